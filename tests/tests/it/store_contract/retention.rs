//! Forgetting what is old enough: counters never fall, ids never come back, and a repetition is new afterwards.

use std::time::Duration;

use event::Verdict::{Accepted, Duplicate};
use store::{Audit, Cursor, Rules, Step};
use tests::events::{event, events};

use super::{Tables, Tested};

contract![
    what_is_old_enough_is_forgotten_stays_counted_and_is_new_when_it_is_repeated,
    what_is_not_old_enough_is_kept,
    what_would_be_forgotten_can_be_asked_for,
];

const HOUR: Duration = Duration::from_hours(1);

const fn rules(retention: Option<Duration>) -> Rules {
    Rules {
        bucket_events: u64::MAX,
        bucket_age: None,
        retention,
    }
}

/// Nothing is due any more afterwards. Answers how many events were forgotten.
async fn keep(tested: &Tested, rules: &Rules) -> i64 {
    let mut forgotten = 0;
    while let Some(step) = tested.store.keep(rules).await.unwrap() {
        match step {
            Step::Dropped { events, .. } => forgotten += events,
            Step::Removed { events } => forgotten += i64::try_from(events).unwrap(),
            Step::Closed { .. } | Step::Filtered { .. } => {}
        }
    }
    forgotten
}

/// From now on, what is stored lies in another bucket, where there are any.
async fn next_bucket(tested: &Tested) {
    let full = Rules {
        bucket_events: 1,
        ..rules(None)
    };
    // The next steps make filters.
    let _ = tested.store.keep(&full).await.unwrap();
}

/// Whatever is there was processed two hours ago.
async fn grow_old(tested: &Tested) {
    tested
        .tables
        .run(match tested.tables {
            Tables::Postgres(_) => {
                "UPDATE ledger_buckets SET opened_at = opened_at - interval '2 hours', closed_at = closed_at - interval '2 hours'"
            }
            Tables::Sqlite(_) => {
                "UPDATE processed_events SET processed_at = processed_at - 2 * 3600 * 1000000"
            }
        })
        .await;
}

async fn exact(tested: &Tested) -> Audit {
    let audit = tested.store.audit().await.unwrap();
    assert!(audit.is_exact(), "{audit}");
    audit
}

async fn what_is_old_enough_is_forgotten_stays_counted_and_is_new_when_it_is_repeated(
    tested: Tested,
) {
    let old = [events("a", 1500), events("b", 700)].concat();
    tested.add(&old).await;
    tested.add(&old[..10]).await;
    next_bucket(&tested).await;
    grow_old(&tested).await;
    tested.add(&[event("a", "young")]).await;
    let last = tested.find(&event("a", "young")).await.unwrap().id;

    assert_eq!(keep(&tested, &rules(Some(HOUR))).await, 2200);
    assert_eq!(tested.counters().await, (2201, 10, 0));
    exact(&tested).await;
    assert!(tested.find(&old[0]).await.is_none());
    let kept = tested.all().await;
    assert_eq!(kept.len(), 1, "{kept:?}");
    let all = tested.stats().await.topics;
    assert_eq!((all["a"], all["b"]), (1501, 700));

    // What this process knew to be stored, too.
    assert_eq!(tested.add(&old[..10]).await, [Accepted; 10]);
    assert_eq!(tested.add(&old[..10]).await, [Duplicate; 10]);
    assert_eq!(tested.add(&[event("a", "young")]).await, [Duplicate]);
    assert_eq!(tested.counters().await, (2211, 21, 0));
    exact(&tested).await;
    let after = tested.page(100, Some(Cursor { id: last })).await;
    assert_eq!(
        after.items.len(),
        10,
        "their ids are above all that were there"
    );
    // Nothing is done twice.
    assert_eq!(keep(&tested, &rules(Some(HOUR))).await, 0);
}

async fn what_is_not_old_enough_is_kept(tested: Tested) {
    tested.add(&events("a", 5)).await;
    next_bucket(&tested).await;
    assert_eq!(keep(&tested, &rules(Some(HOUR))).await, 0);
    grow_old(&tested).await;
    tested.add(&events("b", 5)).await;
    // Without a retention all of it is kept for ever.
    assert_eq!(keep(&tested, &rules(None)).await, 0);
    assert_eq!(keep(&tested, &rules(Some(3 * HOUR))).await, 0);
    assert_eq!(tested.all().await.len(), 10);
    assert_eq!(tested.add(&events("a", 5)).await, [Duplicate; 5]);
    exact(&tested).await;
}

async fn what_would_be_forgotten_can_be_asked_for(tested: Tested) {
    let outdated = async || tested.store.outdated(HOUR).await.unwrap();
    assert!(outdated().await.is_empty());
    tested.add(&events("a", 5)).await;
    next_bucket(&tested).await;
    grow_old(&tested).await;
    tested.add(&events("b", 2)).await;
    let found = outdated().await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].events, 5);
    assert!(found[0].until < chrono::Utc::now() - HOUR);
    assert_eq!(keep(&tested, &rules(Some(HOUR))).await, 5);
    assert!(outdated().await.is_empty());
}
