//! Processes, servers and connections die at any moment, and what was acknowledged is stored once and counted once. These
//! are a few seeds; for any number of others: `cargo run -p tests --bin chaos -- --seeds N`.

use std::time::Duration;

use clap::ValueEnum;
use tests::{
    chaos::{Options, Stage, run},
    faults::Mutant,
};

/// A seed may happen not to hit what a mutant does wrong.
const SEEDS_FOR_A_MUTANT: u64 = 25;

/// Several seeds on one stage: starting servers takes longer than a run.
async fn nothing_is_lost_doubled_or_miscounted(seeds: std::ops::RangeInclusive<u64>) {
    all_are_clean(seeds, &Options::default()).await;
}

async fn all_are_clean(seeds: std::ops::RangeInclusive<u64>, options: &Options) {
    let (mut stage, mut closed, mut dropped) = (Stage::start().await, 0, 0);
    for seed in seeds {
        let report = run(seed, &mut stage, options)
            .await
            .expect("the run can be carried out");
        eprintln!("{report}");
        assert!(report.is_clean(), "{report}");
        assert!(report.verified > 0, "{report}");
        closed += report.buckets.opened - 1;
        dropped += report.buckets.dropped;
    }
    assert!(closed > 0, "buckets were closed");
    assert_eq!(
        dropped > 0,
        options.forgetting,
        "{dropped} buckets were dropped"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_ledger_that_forgets_miscounts_nothing_with_seeds_17_to_20() {
    let options = Options {
        forgetting: true,
        ..Options::default()
    };
    all_are_clean(17..=20, &options).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_doubled_or_miscounted_with_seeds_1_to_4() {
    nothing_is_lost_doubled_or_miscounted(1..=4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_doubled_or_miscounted_with_seeds_5_to_8() {
    nothing_is_lost_doubled_or_miscounted(5..=8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_doubled_or_miscounted_with_seeds_9_to_12() {
    nothing_is_lost_doubled_or_miscounted(9..=12).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_doubled_or_miscounted_with_seeds_13_to_16() {
    nothing_is_lost_doubled_or_miscounted(13..=16).await;
}

/// Programs that break the protocol are noticed, so the tests above can fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_broken_protocol_is_noticed() {
    let mut stage = Stage::start().await;
    for mutant in Mutant::value_variants() {
        let options = Options {
            // Some never drain.
            drained_within: Duration::from_secs(5),
            mutant: Some(*mutant),
            ..Options::default()
        };
        let mut noticed = false;
        for seed in 1..=SEEDS_FOR_A_MUTANT {
            let report = run(seed, &mut stage, &options)
                .await
                .expect("the run can be carried out");
            let verdict = &report.verdict;
            noticed = !verdict.lost.is_empty() || !verdict.drift.is_empty();
            if noticed {
                break;
            }
        }
        assert!(noticed, "{mutant:?} went unnoticed");
    }
}
