//! The ledger in buckets (ARCHITECTURE.md) as a small state machine, explored exhaustively with
//! [stateright](https://docs.rs/stateright): is an identity ever in two buckets, and is every count right?
//!
//! **What is in it.** Transactions that record, statement by statement, each with one delivery: the lock, the look at which
//! buckets there are, what is known (the cache of the process, its filters, and a query for each closed bucket that they cannot
//! rule out), the insert, the commit, and what the process learns afterwards. Keepers that close a bucket, seal it, make its
//! filter, load filters that others made, and drop the oldest bucket, between any two of those statements. Processes that crash
//! and forget. A replica that is promoted at any moment without what was committed last, which is also what a restored backup is.
//!
//! **What it proves**, within the bounds of each exploration: the properties in [`ALWAYS`].
//!
//! **What it does not prove**: that PostgreSQL's locks, snapshots and unique indexes do what they promise, and that the code does
//! what the model does. What a claim is, and that it is counted once, is in the model of the claim protocol. Each [`Mutant`]
//! breaks one rule and must be found out.

mod model;
mod properties;
mod state;
mod steps;

use std::time::Instant;

use stateright::{Checker, Model, Path};

use properties::{COUNTED, NO_FALSE_DUPLICATE, STORED_ONCE};
use steps::{Bounds, Ledger, Mutant};

/// Two processes, each with a worker.
const TWO_PROCESSES: Bounds = Bounds {
    workers: &[(0, 2), (1, 1)],
    buckets: 3,
    drops: 1,
    promotions: 0,
    crashes: 0,
};
/// Two workers that share what their process remembers.
const ONE_PROCESS: Bounds = Bounds {
    workers: &[(0, 2), (0, 1)],
    ..TWO_PROCESSES
};
/// The database goes back to what a replica has.
const PROMOTED: Bounds = Bounds {
    workers: &[(0, 2), (0, 1)],
    buckets: 2,
    drops: 1,
    promotions: 1,
    crashes: 0,
};
/// A process comes back with nothing in memory.
const CRASHING: Bounds = Bounds {
    crashes: 1,
    buckets: 2,
    ..TWO_PROCESSES
};

fn prove(bounds: Bounds) {
    let mutant = None;
    let started = Instant::now();
    let checker = Ledger { bounds, mutant }
        .checker()
        .threads(2)
        .spawn_bfs()
        .join();
    println!(
        "{} states in {:.1?}",
        checker.unique_state_count(),
        started.elapsed()
    );
    assert!(checker.is_done());
    checker.assert_properties();
}

#[test]
fn two_processes_store_an_identity_once_while_buckets_are_closed_and_dropped() {
    prove(TWO_PROCESSES);
}

#[test]
fn two_workers_with_one_memory_store_an_identity_once_while_buckets_are_closed_and_dropped() {
    prove(ONE_PROCESS);
}

#[test]
fn nothing_is_remembered_of_what_a_promoted_replica_does_not_have() {
    prove(PROMOTED);
}

#[test]
fn a_process_that_begins_anew_stores_an_identity_once() {
    prove(CRASHING);
}

/// Shows the shortest way in which a mutant breaks a promise.
fn refute(mutant: Mutant, bounds: Bounds, broken: &'static str) {
    let mutant = Some(mutant);
    let checker = Ledger { bounds, mutant }
        .checker()
        .threads(2)
        .spawn_bfs()
        .join();
    let path = checker.discovery(broken).map(Path::into_actions);
    println!("{mutant:?}: {path:?}");
    assert!(path.is_some(), "{mutant:?} is not found out");
}

#[test]
fn closing_a_bucket_beside_those_who_record_stores_an_identity_twice() {
    refute(Mutant::ClosesBesideRecorders, TWO_PROCESSES, STORED_ONCE);
}

#[test]
fn looking_at_the_buckets_before_the_lock_stores_an_identity_twice() {
    refute(Mutant::LooksBeforeTheLock, TWO_PROCESSES, STORED_ONCE);
}

#[test]
fn a_filter_of_a_bucket_that_is_open_stores_an_identity_twice() {
    refute(Mutant::FiltersTheOpenBucket, TWO_PROCESSES, STORED_ONCE);
}

#[test]
fn not_asking_a_bucket_without_a_filter_stores_an_identity_twice() {
    refute(Mutant::NoFilterMeansNo, TWO_PROCESSES, STORED_ONCE);
}

#[test]
fn a_cache_that_outlives_a_bucket_takes_a_new_event_for_a_duplicate() {
    refute(
        Mutant::CacheOutlivesADrop,
        TWO_PROCESSES,
        NO_FALSE_DUPLICATE,
    );
}

#[test]
fn a_commit_that_is_learnt_whatever_was_forgotten_meanwhile_takes_a_new_event_for_a_duplicate() {
    refute(
        Mutant::LearnsWhatIsForgotten,
        ONE_PROCESS,
        NO_FALSE_DUPLICATE,
    );
}

#[test]
fn a_cache_that_outlives_a_promotion_takes_a_new_event_for_a_duplicate() {
    refute(
        Mutant::CacheOutlivesAPromotion,
        PROMOTED,
        NO_FALSE_DUPLICATE,
    );
}

#[test]
fn filters_that_outlive_a_promotion_store_an_identity_twice() {
    let bounds = Bounds {
        workers: &[(0, 1), (1, 1)],
        ..PROMOTED
    };
    refute(Mutant::FiltersOutliveAPromotion, bounds, STORED_ONCE);
}

#[test]
fn dropping_without_keeping_the_numbers_loses_count() {
    refute(Mutant::DropsUncounted, TWO_PROCESSES, COUNTED);
}
