//! The state machine that is explored.

use stateright::{Model, Property};

use super::{
    properties::{ALWAYS, SOMETIMES},
    state::{Bucket, Database, Doing, Memory, State, Status, Worker},
    steps::{Action, Ledger, Mutant, commit, ground, insert, load},
};

impl Model for Ledger {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let database = Database {
            place: 0,
            buckets: vec![Bucket::open()],
            unique: 0,
            retired: 0,
        };
        let worker = |&(process, left)| Worker {
            process,
            left,
            doing: Doing::Idle,
            was_kept: false,
        };
        let processes = self.bounds.workers.iter().map(|&(process, _)| process + 1);
        vec![State {
            replica: database.clone(),
            database,
            memories: vec![Memory::default(); processes.max().unwrap_or_default()],
            workers: self.bounds.workers.iter().map(worker).collect(),
            drops: self.bounds.drops,
            promotions: self.bounds.promotions,
            crashes: self.bounds.crashes,
            false_duplicate: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (at, worker) in state.workers.iter().enumerate() {
            match worker.doing {
                Doing::Idle if worker.left > 0 => actions.push(Action::Begin(at)),
                Doing::Idle => {}
                Doing::Begun(_) => actions.push(Action::Look(at)),
                Doing::Looked(_) => actions.push(Action::Know(at)),
                Doing::Planned(ground, _) => {
                    // Whoever inserts the same key waits for the other's commit.
                    let waits = state.workers.iter().any(|other| {
                        matches!(other.doing, Doing::Inserted(its, _, true) if its.open == ground.open)
                    });
                    if !waits {
                        actions.push(Action::Insert(at));
                    }
                }
                Doing::Inserted(..) => actions.push(Action::Commit(at)),
                Doing::Committed(_) => actions.push(Action::Learn(at)),
            }
        }
        let database = &state.database;
        let is_free = !state
            .workers
            .iter()
            .any(|worker| worker.doing.holds_the_lock());
        if database.buckets.len() < self.bounds.buckets
            && (is_free || self.is(Mutant::ClosesBesideRecorders))
        {
            actions.push(Action::Close);
        }
        for (at, bucket) in database.buckets.iter().enumerate() {
            let closed = bucket.status == Status::Closed;
            // The table's own lock: those who have inserted, and not committed, come first.
            let in_use = state.workers.iter().any(|worker| {
                matches!(worker.doing, Doing::Inserted(ground, _, true) if ground.open == at)
            });
            if closed && !bucket.sealed && !in_use {
                actions.push(Action::Seal(at));
            }
            let filterable = (closed && bucket.sealed)
                || (bucket.status == Status::Open && self.is(Mutant::FiltersTheOpenBucket));
            if filterable && bucket.filter.is_none() {
                actions.push(Action::Filter(at));
            }
            if bucket.filter.is_some() && closed {
                let loads = (0..state.memories.len()).map(|process| Action::Load(process, at));
                actions.extend(loads);
            }
        }
        if state.drops > 0 && database.oldest() < database.open() {
            actions.push(Action::Drop);
        }
        if state.promotions > 0 {
            actions.push(Action::Promote);
            if state.replica != state.database {
                actions.push(Action::Replicate);
            }
        }
        if state.crashes > 0 {
            actions.extend((0..state.memories.len()).map(Action::Crash));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Begin(at) => {
                let early = self.is(Mutant::LooksBeforeTheLock).then(|| ground(&state));
                state.workers[at].doing = Doing::Begun(early);
            }
            Action::Look(at) => {
                let Doing::Begun(early) = state.workers[at].doing else {
                    return None;
                };
                state.workers[at].doing = Doing::Looked(early.unwrap_or_else(|| ground(&state)));
                state.workers[at].was_kept = state.database.stored() > 0;
            }
            Action::Know(at) => self.know(&mut state, at)?,
            Action::Insert(at) => insert(&mut state, at)?,
            Action::Commit(at) => commit(&mut state, at)?,
            Action::Learn(at) => self.learn(&mut state, at)?,
            Action::Close => {
                state.database.buckets.last_mut()?.status = Status::Closed;
                state.database.buckets.push(Bucket::open());
            }
            Action::Seal(at) => state.database.buckets[at].sealed = true,
            Action::Filter(at) => {
                let bucket = &mut state.database.buckets[at];
                bucket.filter = Some(bucket.stored);
            }
            Action::Load(process, at) => load(&mut state, process, at),
            Action::Drop => {
                state.drops -= 1;
                let oldest = state.database.oldest();
                let bucket = &mut state.database.buckets[oldest];
                if bucket.stored && !self.is(Mutant::DropsUncounted) {
                    state.database.retired += 1;
                }
                *bucket = Bucket {
                    status: Status::Dropped,
                    ..Bucket::open()
                };
            }
            Action::Replicate => state.replica = state.database.clone(),
            Action::Promote => {
                state.promotions -= 1;
                let place = state.database.place + 1;
                state.database = Database {
                    place,
                    ..state.replica.clone()
                };
                for worker in &mut state.workers {
                    if worker.doing.holds_the_lock() {
                        worker.doing = Doing::Idle;
                    }
                }
            }
            Action::Crash(process) => {
                state.crashes -= 1;
                state.memories[process] = Memory::default();
                for worker in &mut state.workers {
                    if worker.process == process {
                        // What was committed is found committed by whoever adopts the claim.
                        let done = matches!(worker.doing, Doing::Committed(_));
                        worker.left -= u8::from(done);
                        worker.doing = Doing::Idle;
                    }
                }
            }
        }
        if state.database.stored() > 0 {
            for worker in &mut state.workers {
                worker.was_kept |= worker.doing.holds_the_lock();
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let always = ALWAYS.map(|(name, holds)| Property::always(name, holds));
        let sometimes = SOMETIMES.map(|(name, seen)| Property::sometimes(name, seen));
        always.into_iter().chain(sometimes).collect()
    }
}
