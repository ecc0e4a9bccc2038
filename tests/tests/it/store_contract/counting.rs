//! Each identity is stored once, each claim counts once, and each delivery is counted.

use std::{collections::HashSet, time::Duration};

use chrono::{TimeDelta, Utc};
use event::{
    Event,
    Verdict::{Accepted, Duplicate},
};
use store::{Recorded, Tally};
use tests::events::{event, events};

use super::{Tested, a_worker, claim, names, payload, time, topics, verdicts};

contract![
    a_fresh_store_has_counted_nothing,
    each_identity_is_stored_once_and_every_delivery_is_counted,
    the_first_one_stored_wins,
    a_claim_counts_once,
    a_claim_brought_by_two_at_once_counts_once,
    an_unknown_worker_stores_nothing,
    a_claim_without_events_is_a_claim_too,
    an_audit_sees_drift,
    a_forgotten_worker_can_commit_no_more,
];

async fn a_fresh_store_has_counted_nothing(tested: Tested) {
    tested.store.probe().await.unwrap();
    let stats = tested.stats().await;
    assert_eq!(stats.received, 0);
    assert_eq!(tested.counters().await, (0, 0, 0));
    assert!(stats.topics.is_empty());
    assert!((Utc::now() - stats.uptime_start).abs() < TimeDelta::minutes(1));
    let page = tested.page(1, None).await;
    assert!(page.items.is_empty() && page.next.is_none());
    assert!(tested.find(&event("a", "1")).await.is_none());
}

async fn each_identity_is_stored_once_and_every_delivery_is_counted(tested: Tested) {
    let id = tested.worker().await;
    let batch = [
        event("b", "1"),
        event("a", "2"),
        event("a", "1"),
        event("a", "2"),
        event("b", "1"),
    ];
    let recorded = tested.record(id, &batch).await;
    let expected = [Accepted, Accepted, Accepted, Duplicate, Duplicate];
    assert_eq!(verdicts(recorded), expected);
    assert_eq!(tested.counters().await, (3, 2, 0));

    let batch = [event("b", "1"), event("c", "1"), event("a", "1")];
    let recorded = tested.record(id.next(), &batch).await;
    assert_eq!(verdicts(recorded), [Duplicate, Accepted, Duplicate]);
    let stats = tested.stats().await;
    assert_eq!(stats.received, 8);
    assert_eq!(tested.counters().await, (4, 4, 0));
    assert_eq!(stats.topics, topics([("a", 2), ("b", 1), ("c", 1)]));
    let stored: HashSet<_> = names(&tested.all().await)
        .into_iter()
        .map(|(topic, id)| format!("{topic}/{id}"))
        .collect();
    assert_eq!(
        stored,
        ["a/1", "a/2", "b/1", "c/1"].map(str::to_owned).into()
    );
}

async fn the_first_one_stored_wins(tested: Tested) {
    let version = |n: u32| Event {
        source: format!("source {n}").try_into().unwrap(),
        timestamp: time(&format!("2026-01-01T00:00:0{n}Z")),
        payload: payload(&format!(r#"{{"n":{n}}}"#)),
        ..event("a", "1")
    };
    assert_eq!(
        tested.add(&[version(1), version(2)]).await,
        [Accepted, Duplicate]
    );
    assert_eq!(tested.add(&[version(3)]).await, [Duplicate]);

    let stored = tested.find(&version(1)).await.unwrap();
    assert_eq!(stored.source, "source 1");
    assert_eq!(stored.timestamp, version(1).timestamp);
    assert_eq!(stored.payload.get().replace(' ', ""), r#"{"n":1}"#);
}

async fn a_claim_counts_once(tested: Tested) {
    let id = tested.worker().await;
    let second = id.next();
    let fourth = second.next().next();
    let recorded = tested.record(second, &[event("a", "1")]).await;
    assert_eq!(verdicts(recorded), [Accepted]);
    for (again, what) in [(second, "the same"), (id, "a lower one")] {
        let recorded = tested.record(again, &[event("a", what)]).await;
        assert_eq!(recorded, Recorded::AlreadyCommitted, "{what}");
    }
    // Registering again does not forget what is committed.
    tested.store.register(id.worker).await.unwrap();
    let recorded = tested.record(second, &[event("a", "2")]).await;
    assert_eq!(recorded, Recorded::AlreadyCommitted);
    assert_eq!(tested.counters().await, (1, 0, 0));

    let recorded = tested.record(fourth, &[event("a", "1")]).await;
    assert_eq!(verdicts(recorded), [Duplicate]);
    assert_eq!(tested.counters().await, (1, 1, 0));
    assert_eq!(names(&tested.all().await), [("a", "1")]);
}

async fn a_claim_brought_by_two_at_once_counts_once(tested: Tested) {
    let mut id = tested.worker().await;
    for round in 1..=20 {
        let claim = claim(id, &events(&format!("round {round}"), 10));
        let (owner, adopter) = (tested.store.record(&claim), tested.store.record(&claim));
        let (owner, adopter) = tokio::join!(owner, adopter);
        let once = match (owner.unwrap(), adopter.unwrap()) {
            (Recorded::Committed(tally), Recorded::AlreadyCommitted)
            | (Recorded::AlreadyCommitted, Recorded::Committed(tally)) => tally.verdicts,
            other => panic!("{other:?}"),
        };
        assert_eq!(once, [Accepted; 10]);
        assert_eq!(tested.counters().await, (10 * round, 0, 0));
        id = id.next();
    }
}

async fn an_unknown_worker_stores_nothing(tested: Tested) {
    tested.worker().await;
    let unknown = a_worker();
    for id in [unknown, unknown.next()] {
        let recorded = tested.record(id, &[event("a", "1")]).await;
        assert_eq!(recorded, Recorded::UnknownWorker);
    }
    assert_eq!(tested.counters().await, (0, 0, 0));
    assert!(tested.all().await.is_empty());

    // A worker whose row was removed stays out, until it registers as it would anew.
    let id = tested.worker().await;
    tested.tables.run("DELETE FROM worker_claims").await;
    let recorded = tested.record(id, &[event("a", "1")]).await;
    assert_eq!(recorded, Recorded::UnknownWorker);
    assert_eq!(tested.counters().await, (0, 0, 0));
}

async fn a_claim_without_events_is_a_claim_too(tested: Tested) {
    let id = tested.worker().await;
    let recorded = tested.record(id, &[]).await;
    assert_eq!(recorded, Recorded::Committed(Tally::default()));
    let recorded = tested.record(id, &[event("a", "1")]).await;
    assert_eq!(recorded, Recorded::AlreadyCommitted);
    assert_eq!(tested.counters().await, (0, 0, 0));
}

async fn an_audit_sees_drift(tested: Tested) {
    let id = tested.worker().await;
    tested
        .record(id, &[event("a", "1"), event("a", "1"), event("b", "1")])
        .await;
    assert!(tested.store.audit().await.unwrap().is_exact());
    tested
        .tables
        .run("DELETE FROM processed_events WHERE topic = 'b'")
        .await;
    let audit = tested.store.audit().await.unwrap();
    let drifted: Vec<_> = audit
        .lines
        .iter()
        .filter(|line| line.counter != line.rows)
        .map(|line| &*line.what)
        .filter(|what| !what.starts_with("closed bucket"))
        .collect();
    assert_eq!(drifted.len(), 2, "the total and the topic: {audit}");
}

async fn a_forgotten_worker_can_commit_no_more(tested: Tested) {
    let (gone, active) = (tested.worker().await, tested.worker().await);
    tested.record(gone, &[event("a", "1")]).await;
    // SQLite's store tells times in milliseconds.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let idle = tested.store.idle_workers(Duration::ZERO).await.unwrap();
    assert_eq!(idle.len(), 2);
    tokio::time::sleep(Duration::from_millis(5)).await;
    // One commits after it was seen idle.
    tested.record(active, &[event("a", "2")]).await;
    assert_eq!(tested.store.forget_workers(&idle).await.unwrap(), 1);
    let late = tested
        .store
        .record(&claim(gone.next(), &[event("a", "3")]))
        .await;
    assert_eq!(late.unwrap(), Recorded::UnknownWorker);
    tested.record(active.next(), &[event("a", "3")]).await;
    assert_eq!(tested.counters().await, (3, 0, 0));
    let long_idle = tested.store.idle_workers(Duration::from_hours(1)).await;
    assert!(long_idle.unwrap().is_empty());
}
