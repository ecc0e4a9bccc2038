//! The steps of the processes, as in the code.

use super::{
    actions::{Action, Fate},
    bounds::Bounds,
    ids::{ClaimId, Deliveries, WorkerId},
    mutant::Mutant,
    remarks::{remark_on_record, remark_on_release, remark_on_settle},
    state::{Actor, Command, Forgetting, Holder, Recorded, Remark, State, Todo, Work},
};

#[derive(Debug, Clone, Copy)]
pub(super) struct Protocol {
    pub(super) bounds: Bounds,
    pub(super) mutant: Option<Mutant>,
}

impl Protocol {
    pub(super) fn is(self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// The transaction.
    pub(super) fn record(self, state: &mut State, id: ClaimId, deliveries: Deliveries) -> Recorded {
        if !self.is(Mutant::WorkerClaimsIgnored) {
            match state.worker_claims.get_mut(&id.worker) {
                None => return Recorded::UnknownWorker,
                Some(last_claim) if *last_claim >= id.number => return Recorded::AlreadyCommitted,
                Some(last_claim) => *last_claim = id.number,
            }
        }
        for delivery in deliveries.iter() {
            state.received += 1;
            if state.stored.insert(self.bounds.deliveries[delivery]) {
                state.unique += 1;
            } else {
                state.duplicate += 1;
            }
            state.counted[delivery] += 1;
        }
        Recorded::Committed
    }

    pub(super) fn claim(self, state: &mut State, at: usize, fate: Fate) {
        let id = state.workers[at].id;
        if fate == Fate::Late {
            state.late.insert(Command::Claim(id));
        } else {
            let deliveries = if self.is(Mutant::PlainRpop) {
                state.queue.take(self.bounds.batch_size)
            } else {
                state.claim(id, self.bounds.batch_size)
            };
            if fate == Fate::Answered {
                let todo = if self.is(Mutant::SettleBeforeCommit) {
                    Todo::Settle
                } else {
                    Todo::Record
                };
                let work = Work {
                    id,
                    deliveries,
                    todo,
                    certain: true,
                };
                return state.set_work(Actor::Worker(at), work);
            }
        }
        if !self.is(Mutant::OwnerReusesNumberAfterLostClaim) {
            state.workers[at] = state.workers[at].reborn();
        }
    }

    pub(super) fn work_on_record(self, state: &mut State, actor: Actor, fate: Fate) {
        let Some(mut work) = state.work(actor) else {
            return;
        };
        let id = self.recorded_as(actor, work.id);
        if fate == Fate::Late {
            state.late.insert(Command::Record(id, work.deliveries));
        } else {
            let recorded = self.record(state, id, work.deliveries);
            if fate == Fate::Answered {
                state.remark = remark_on_record(state, actor, work, recorded);
                return self.recorded(state, actor, work, recorded);
            }
        }
        work.certain = false;
        state.set_work(actor, work);
    }

    pub(super) fn recorded(
        self,
        state: &mut State,
        actor: Actor,
        mut work: Work,
        recorded: Recorded,
    ) {
        match recorded {
            Recorded::Committed | Recorded::AlreadyCommitted
                if self.is(Mutant::SettleBeforeCommit) && matches!(actor, Actor::Worker(_)) =>
            {
                return state.done(actor);
            }
            Recorded::Committed | Recorded::AlreadyCommitted => work.todo = Todo::Settle,
            Recorded::UnknownWorker if work.certain => work.todo = Todo::Release(Holder::Anyone),
            Recorded::UnknownWorker => return state.given_up(actor, self.mutant),
        }
        state.set_work(actor, work);
    }

    pub(super) fn recorded_as(self, actor: Actor, id: ClaimId) -> ClaimId {
        match actor {
            Actor::Adopter(at) if self.is(Mutant::AdopterTakesNewIdentity) => ClaimId {
                worker: WorkerId {
                    worker: self.bounds.workers + at,
                    incarnation: id.worker.incarnation,
                },
                number: id.number,
            },
            _ => id,
        }
    }

    pub(super) fn work_on_settle(self, state: &mut State, actor: Actor, fate: Fate) {
        let Some(work) = state.work(actor) else {
            return;
        };
        if fate == Fate::Late {
            state.late.insert(Command::Settle(work.id));
        } else {
            state.remark = remark_on_settle(state, actor, work.id);
            state.settle(work.id);
        }
        if fate == Fate::ReplyLost {
            return; // It is repeated.
        }
        if self.is(Mutant::SettleBeforeCommit) && matches!(actor, Actor::Worker(_)) {
            let todo = Todo::Record;
            state.set_work(actor, Work { todo, ..work });
        } else {
            state.done(actor);
        }
    }

    pub(super) fn work_on_release(self, state: &mut State, actor: Actor, fate: Fate) {
        let Some(Work {
            id,
            todo: Todo::Release(holder),
            ..
        }) = state.work(actor)
        else {
            return;
        };
        if fate == Fate::Late {
            state.late.insert(Command::Release(id, holder));
        } else {
            state.remark = remark_on_release(state, actor, id, holder);
            state.release(id, holder);
        }
        if fate != Fate::ReplyLost {
            state.given_up(actor, self.mutant);
        }
    }

    /// Told to stop while the database is away.
    pub(super) fn give_up(self, state: &mut State, actor: Actor) {
        let Some(mut work) = state.work(actor) else {
            return;
        };
        let may_release = work.certain || self.is(Mutant::ReleaseThoughUncertain);
        if matches!(actor, Actor::Worker(_)) && may_release {
            work.todo = Todo::Release(if self.is(Mutant::ReleaseThoughAdopted) {
                Holder::Anyone
            } else {
                Holder::Owner
            });
            state.set_work(actor, work);
        } else {
            state.given_up(actor, self.mutant);
        }
    }

    /// Others go first. Whether it may be committed makes no difference: it is left to its lease.
    pub(super) fn give_way(self, state: &mut State, actor: Actor) {
        if let Some(work) = state.work(actor)
            && self.is(Mutant::GivesWayByRelease)
        {
            state.release(work.id, Holder::Owner);
        }
        state.given_up(actor, self.mutant);
    }

    pub(super) fn adopt(self, state: &mut State, at: usize, id: ClaimId, fate: Fate) {
        let again = state.adopted.contains(&id);
        let deliveries = state.adopt(id);
        if fate != Fate::Answered {
            return;
        }
        state.remark = again.then_some(Remark::AdoptedFromAdopter);
        let actor = Actor::Adopter(at);
        if self.is(Mutant::AdopterTakesNewIdentity) {
            let own = self.recorded_as(actor, id).worker;
            state.worker_claims.entry(own).or_default();
        }
        let work = Work {
            id,
            deliveries,
            todo: Todo::Record,
            certain: true,
        };
        state.set_work(actor, work);
    }

    pub(super) fn arrive(self, state: &mut State, command: Command) {
        state.late.remove(&command);
        match command {
            Command::Claim(id) => {
                let taken = state.claim(id, self.bounds.batch_size);
                state.remark = (!taken.is_empty()).then_some(Remark::ClaimArrivesLate);
            }
            Command::Record(id, deliveries) => {
                state.remark = Some(match self.record(state, id, deliveries) {
                    Recorded::Committed => Remark::CommitArrivesLate,
                    _ => Remark::LateCommitIsRefused,
                });
            }
            Command::Settle(id) => state.settle(id),
            Command::Release(id, holder) => {
                state.release(id, holder);
            }
        }
    }

    /// After a step: replicas have confirmed what it has done, or may still be behind it. Replication is a prefix, so who has
    /// confirmed the last has all before it.
    pub(super) fn replicate(self, last: &State, state: &mut State, action: Action) {
        let waited = match action {
            Action::Push => !self.is(Mutant::AcceptsBeforeReplicas),
            Action::Claim(_, Fate::Answered) => !self.is(Mutant::ClaimsBeforeReplicas),
            Action::Adopt(_, _, Fate::Answered) => !self.is(Mutant::AdoptsBeforeReplicas),
            // A worker has been idle for a day then, and a replica that is further behind is none that may take over.
            Action::Holders => true,
            _ => false,
        };
        let possible = self.bounds.failover && state.faults_left > 0;
        if waited || !possible {
            state.behind.clear();
        } else if !matches!(action, Action::Failover(_)) {
            state.behind.insert(last.redis());
            state.behind.remove(&state.redis());
        }
    }

    pub(super) fn holders(self, state: &mut State) {
        if let Some(Forgetting::Idle(id, last_claim)) = state.forgetting {
            let holds = state.leases.keys().any(|lease| lease.worker == id);
            state.forgetting = if holds && !self.is(Mutant::ForgetWithoutCheck) {
                state.remark = Some(Remark::ForgetAbandoned);
                None
            } else {
                Some(Forgetting::HoldsNothing(id, last_claim))
            };
        }
    }

    pub(super) fn forget_worker(self, state: &mut State) {
        if let Some(Forgetting::HoldsNothing(id, last_claim)) = state.forgetting.take() {
            let unchanged = state.worker_claims.get(&id) == Some(&last_claim);
            if unchanged || self.is(Mutant::ForgetThoughUpdated) {
                state.worker_claims.remove(&id);
            } else {
                state.remark = Some(Remark::ForgetRefused);
            }
        }
    }
}
