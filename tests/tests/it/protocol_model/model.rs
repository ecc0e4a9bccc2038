//! The state machine that is explored.

use std::{collections::BTreeMap, collections::BTreeSet};

use stateright::{Model, Property};

use super::{
    actions::{Action, is_fault},
    ids::{Deliveries, WorkerId},
    properties::{ALWAYS, SOMETIMES},
    protocol::Protocol,
    state::{Actor, Doing, Forgetting, Lease, State, Worker},
};

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let worker = |worker| {
            Worker::new(WorkerId {
                worker,
                incarnation: 0,
            })
        };
        vec![State {
            pushed: self.bounds.pushed,
            queue: Deliveries::first(self.bounds.pushed),
            claims: BTreeMap::new(),
            leases: BTreeMap::new(),
            adopted: BTreeSet::new(),
            late: BTreeSet::new(),
            behind: BTreeSet::new(),
            worker_claims: BTreeMap::new(),
            stored: BTreeSet::new(),
            received: 0,
            unique: 0,
            duplicate: 0,
            workers: (0..self.bounds.workers).map(worker).collect(),
            adopters: vec![None; self.bounds.adopters],
            forgetting: None,
            counted: vec![0; self.bounds.deliveries.len()],
            faults_left: self.bounds.faults,
            remark: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.steps(state, actions);
        if state.faults_left > 0 {
            Self::faults(state, actions);
            actions.extend((0..state.behind.len()).map(Action::Failover));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        state.remark = None;
        state.faults_left -= u8::from(is_fault(action));
        match action {
            Action::Push => {
                state.queue.add(Deliveries(1 << state.pushed));
                state.pushed += 1;
            }
            Action::Register(at) => {
                let worker = &mut state.workers[at];
                state.worker_claims.insert(worker.id.worker, 0);
                worker.doing = Doing::Claiming;
            }
            Action::Claim(at, fate) => self.claim(&mut state, at, fate),
            Action::Record(actor, fate) => self.work_on_record(&mut state, actor, fate),
            Action::Settle(actor, fate) => self.work_on_settle(&mut state, actor, fate),
            Action::Release(actor, fate) => self.work_on_release(&mut state, actor, fate),
            Action::Renew(actor) => {
                let id = state.work(actor)?.id;
                state.leases.insert(id, Lease::Live);
            }
            Action::Adopt(at, id, fate) => self.adopt(&mut state, at, id, fate),
            Action::GiveUp(actor) => self.give_up(&mut state, actor),
            Action::GiveWay(actor) => self.give_way(&mut state, actor),
            Action::Failover(at) => state.fail_over(at),
            Action::Crash(Actor::Worker(at)) => state.workers[at] = state.workers[at].reborn(),
            Action::Crash(Actor::Adopter(at)) => state.adopters[at] = None,
            Action::Expire(id) => {
                state.leases.insert(id, Lease::Expired);
            }
            Action::Arrive(command) => self.arrive(&mut state, command),
            Action::IdleWorker(id) => {
                state.forgetting = Some(Forgetting::Idle(id, state.worker_claims[&id]));
            }
            Action::Holders => self.holders(&mut state),
            Action::ForgetWorker => self.forget_worker(&mut state),
        }
        state.adopters.sort_unstable();
        self.replicate(last, &mut state, action);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let always = ALWAYS.map(|(name, holds)| Property::always(name, holds));
        let sometimes = SOMETIMES.map(|(name, seen)| Property::sometimes(name, seen));
        always.into_iter().chain(sometimes).collect()
    }
}
