//! A few failovers of Redis under load; for any number of them:
//! `cargo run -p tests --bin chaos -- --failovers N --over cluster`.

use tests::failover::{Blow, Options, Way, run};

/// How many runs a broken protocol gets to be noticed in.
const RUNS_FOR_A_MUTANT: u64 = 8;
/// After these, a replica takes over that is behind.
const AHEAD: [Blow; 2] = [Blow::KillAhead, Blow::FreezeAhead];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn failovers_of_a_cluster_lose_and_double_nothing() {
    let report = run(&Options::new(Way::Cluster, 1, 6)).await.unwrap();
    eprintln!("{report}");
    assert!(report.is_clean() && report.verified > 0, "{report}");
    assert!(report.acknowledged > 0, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn failovers_with_sentinels_lose_and_double_nothing() {
    let report = run(&Options::new(Way::Sentinel, 2, 2)).await.unwrap();
    eprintln!("{report}");
    assert!(report.is_clean() && report.verified > 0, "{report}");
    assert!(report.acknowledged > 0, "{report}");
}

/// Failovers to a replica that is behind, run after run until something is wrong.
async fn is_noticed(wait_on_accept: u8, wait_on_claim: u8) -> (usize, i64) {
    for seed in 1..=RUNS_FOR_A_MUTANT {
        let options = Options {
            wait_on_accept,
            wait_on_claim,
            only: AHEAD.to_vec(),
            ..Options::new(Way::Cluster, seed, 4)
        };
        let report = run(&options).await.unwrap();
        eprintln!("{report}");
        if !report.is_clean() {
            return (report.lost, report.twice);
        }
    }
    (0, 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn claims_that_no_replica_has_are_counted_twice() {
    let (lost, twice) = is_noticed(1, 0).await;
    assert!(twice > 0);
    assert_eq!(lost, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn events_that_no_replica_has_are_lost() {
    let (lost, twice) = is_noticed(0, 1).await;
    assert!(lost > 0);
    assert_eq!(twice, 0);
}
