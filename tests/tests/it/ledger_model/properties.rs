//! What always holds, and what must happen somewhere.

use super::{state::State, steps::Ledger};

pub(super) type Condition = fn(&Ledger, &State) -> bool;

pub(super) const STORED_ONCE: &str = "an identity is in one bucket at most";
pub(super) const NO_FALSE_DUPLICATE: &str =
    "a delivery is a duplicate only of what was kept while it was recorded";
pub(super) const COUNTED: &str = "what is counted is stored or retired";
pub(super) const IMMUTABLE: &str = "a filter denies nothing that its bucket has";

pub(super) const ALWAYS: [(&str, Condition); 4] = [
    (STORED_ONCE, |_, state| state.database.stored() <= 1),
    (NO_FALSE_DUPLICATE, |_, state| !state.false_duplicate),
    (COUNTED, |_, state| {
        let database = &state.database;
        usize::from(database.unique) == database.stored() + usize::from(database.retired)
    }),
    (IMMUTABLE, |_, state| {
        let mut buckets = state.database.buckets.iter();
        buckets.all(|bucket| !bucket.stored || bucket.filter != Some(false))
    }),
];

pub(super) const SOMETIMES: [(&str, Condition); 3] = [
    (
        "the identity is found in a bucket that is closed",
        |_, state| {
            let database = &state.database;
            let is_done = state.workers.iter().all(|worker| worker.left == 0);
            is_done && database.unique == 1 && database.open() > 0 && database.buckets[0].stored
        },
    ),
    ("a repetition after a drop is new", |_, state| {
        state.database.retired == 1 && state.database.stored() == 1
    }),
    ("a filter rules out a closed bucket", |_, state| {
        state
            .memories
            .iter()
            .any(|memory| memory.filters.contains(&Some(false)))
    }),
];
