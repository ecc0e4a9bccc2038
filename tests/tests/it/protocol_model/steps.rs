//! Which steps are possible, and which faults.

use super::{
    actions::{Action, Fate},
    protocol::Protocol,
    state::{Actor, Doing, Forgetting, Lease, State, Todo},
};

impl Protocol {
    /// What happens without any fault.
    pub(super) fn steps(self, state: &State, actions: &mut Vec<Action>) {
        if state.pushed < self.bounds.deliveries.len() {
            actions.push(Action::Push);
        }
        for (at, worker) in state.workers.iter().enumerate() {
            match worker.doing {
                Doing::Registering => actions.push(Action::Register(at)),
                Doing::Claiming if !state.queue.is_empty() => {
                    actions.push(Action::Claim(at, Fate::Answered));
                }
                Doing::Claiming | Doing::Working(_) => {}
            }
        }
        for actor in state.actors() {
            actions.extend(state.work(actor).map(|work| match work.todo {
                Todo::Record => Action::Record(actor, Fate::Answered),
                Todo::Settle => Action::Settle(actor, Fate::Answered),
                Todo::Release(_) => Action::Release(actor, Fate::Answered),
            }));
        }
        // Adopters are alike. While all are busy it makes no difference whether a lease runs out.
        if let Some(at) = state.idle_adopter() {
            actions.extend(state.leases.iter().map(|(&id, lease)| match lease {
                Lease::Live => Action::Expire(id),
                Lease::Expired => Action::Adopt(at, id, Fate::Answered),
            }));
        }
        actions.extend(state.late.iter().map(|&command| Action::Arrive(command)));
        actions.extend(state.forgetting.map(|forgetting| match forgetting {
            Forgetting::Idle(..) => Action::Holders,
            Forgetting::HoldsNothing(..) => Action::ForgetWorker,
        }));
    }

    /// What may go wrong.
    pub(super) fn faults(state: &State, actions: &mut Vec<Action>) {
        for (at, worker) in state.workers.iter().enumerate() {
            if worker.doing == Doing::Claiming {
                actions.push(Action::Claim(at, Fate::Late));
                if !state.queue.is_empty() {
                    actions.push(Action::Claim(at, Fate::ReplyLost));
                }
            }
            if worker.doing != Doing::Registering {
                actions.push(Action::Crash(Actor::Worker(at)));
            }
        }
        for at in 0..state.adopters.len() {
            if state.adopters[at].is_some() {
                actions.push(Action::Crash(Actor::Adopter(at)));
            }
        }
        for actor in state.actors() {
            let Some(work) = state.work(actor) else {
                continue;
            };
            if state.leases.get(&work.id) == Some(&Lease::Expired) {
                actions.push(Action::Renew(actor));
            }
            for fate in [Fate::ReplyLost, Fate::Late] {
                actions.push(match work.todo {
                    Todo::Record => Action::Record(actor, fate),
                    Todo::Settle => Action::Settle(actor, fate),
                    Todo::Release(_) => Action::Release(actor, fate),
                });
            }
            if work.todo == Todo::Record {
                actions.extend([Action::GiveUp(actor), Action::GiveWay(actor)]);
            }
        }
        if let Some(at) = state.idle_adopter() {
            let expired = state
                .leases
                .iter()
                .filter(|(_, lease)| **lease == Lease::Expired);
            actions.extend(expired.map(|(&id, _)| Action::Adopt(at, id, Fate::ReplyLost)));
        }
        // To forget a worker that nobody asks for any more makes no difference.
        if state.forgetting.is_none() {
            let known = state
                .worker_claims
                .keys()
                .filter(|&&id| state.is_in_use(id));
            actions.extend(known.map(|&id| Action::IdleWorker(id)));
        }
    }

    pub(super) fn is_at_rest(self, state: &State) -> bool {
        let mut steps = Vec::new();
        self.steps(state, &mut steps);
        steps.is_empty()
    }
}
