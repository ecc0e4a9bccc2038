//! The steps of the workers, as in the code.

use super::state::{Doing, Ground, Known, State};

/// The bounds of one exploration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Of each worker its process, and how many deliveries it records.
    pub(super) workers: &'static [(usize, u8)],
    pub(super) buckets: usize,
    pub(super) drops: u8,
    pub(super) promotions: u8,
    pub(super) crashes: u8,
}

/// One rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutant {
    /// A bucket is closed while others record.
    ClosesBesideRecorders,
    /// A transaction looks which bucket is open, and then takes the lock.
    LooksBeforeTheLock,
    /// A filter is made of a bucket that is not closed yet.
    FiltersTheOpenBucket,
    /// A bucket without a filter is not asked.
    NoFilterMeansNo,
    /// What is known stays known when a bucket is dropped.
    CacheOutlivesADrop,
    /// What is committed is known afterwards, whatever happened in between.
    LearnsWhatIsForgotten,
    /// What is known stays known when a replica is promoted.
    CacheOutlivesAPromotion,
    /// Filters are asked wherever they come from.
    FiltersOutliveAPromotion,
    /// What was dropped is not counted any more.
    DropsUncounted,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Ledger {
    pub(super) bounds: Bounds,
    pub(super) mutant: Option<Mutant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Begin(usize),
    Look(usize),
    Know(usize),
    Insert(usize),
    Commit(usize),
    Learn(usize),
    Close,
    Seal(usize),
    Filter(usize),
    Load(usize, usize),
    Drop,
    Replicate,
    Promote,
    Crash(usize),
}

pub(super) fn ground(state: &State) -> Ground {
    Ground {
        place: state.database.place,
        oldest: state.database.oldest(),
        open: state.database.open(),
    }
}

pub(super) fn insert(state: &mut State, at: usize) -> Option<()> {
    let Doing::Planned(ground, known) = state.workers[at].doing else {
        return None;
    };
    let bucket = &state.database.buckets[ground.open];
    state.workers[at].doing = if known.stored {
        Doing::Inserted(ground, known, false)
    } else if bucket.sealed || !bucket.is_kept() {
        // An error; the transaction begins anew.
        Doing::Idle
    } else {
        Doing::Inserted(ground, known, !bucket.stored)
    };
    Some(())
}

pub(super) fn commit(state: &mut State, at: usize) -> Option<()> {
    let Doing::Inserted(ground, known, inserted) = state.workers[at].doing else {
        return None;
    };
    if inserted {
        state.database.buckets[ground.open].stored = true;
        state.database.unique += 1;
    } else {
        state.false_duplicate |= !state.workers[at].was_kept;
    }
    state.workers[at].doing = Doing::Committed(known);
    Some(())
}

/// Filters of another place go.
pub(super) fn load(state: &mut State, process: usize, at: usize) {
    let place = state.database.place;
    let memory = &mut state.memories[process];
    if memory.filters_of != Some(place) {
        memory.filters_of = Some(place);
        memory.filters.clear();
    }
    memory
        .filters
        .resize(memory.filters.len().max(at + 1), None);
    memory.filters[at] = state.database.buckets[at].filter;
}

impl Ledger {
    pub(super) fn is(self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// The cache, the filters, and then a query for each closed bucket that they cannot rule out.
    pub(super) fn know(self, state: &mut State, at: usize) -> Option<()> {
        let Doing::Looked(ground) = state.workers[at].doing else {
            return None;
        };
        let memory = &mut state.memories[state.workers[at].process];
        let home = (ground.place, ground.oldest);
        let is_home = memory.home.is_none_or(|(place, oldest)| {
            (place == home.0 || self.is(Mutant::CacheOutlivesAPromotion))
                && (oldest == home.1 || self.is(Mutant::CacheOutlivesADrop))
        });
        if !is_home {
            memory.known = false;
            memory.epoch += 1;
        }
        memory.home = Some(home);
        let mut stored = memory.known;
        let filters_are_here =
            memory.filters_of == Some(ground.place) || self.is(Mutant::FiltersOutliveAPromotion);
        for bucket in ground.oldest..ground.open {
            let filter = memory.filters.get(bucket).copied().flatten();
            let may_have = filter
                .filter(|_| filters_are_here)
                .unwrap_or(!self.is(Mutant::NoFilterMeansNo));
            let asked = &state.database.buckets[bucket];
            stored |= may_have && asked.is_kept() && asked.stored;
        }
        let epoch = memory.epoch;
        state.workers[at].doing = Doing::Planned(ground, Known { stored, epoch });
        Some(())
    }

    pub(super) fn learn(self, state: &mut State, at: usize) -> Option<()> {
        let Doing::Committed(known) = state.workers[at].doing else {
            return None;
        };
        let memory = &mut state.memories[state.workers[at].process];
        if memory.epoch == known.epoch || self.is(Mutant::LearnsWhatIsForgotten) {
            memory.known = true;
        }
        state.workers[at].left -= 1;
        state.workers[at].doing = Doing::Idle;
        state.workers[at].was_kept = false;
        Some(())
    }
}
