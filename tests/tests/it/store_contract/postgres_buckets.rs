//! The ledger of PostgreSQL in buckets: an identity is stored once, whichever bucket it is in.

use std::{sync::Arc, time::Duration};

use event::{
    Event,
    Verdict::{Accepted, Duplicate},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, query_scalar};
use store::{
    Cursor, EventQuery, Limit, Order, Part, Rules, Selection, Step, Store, StoreError,
    postgres::Postgres,
};
use tests::events::{event, events};
use tokio::task::JoinSet;

use super::{Tables, Tested, WORKERS, claim, names, verdicts};

/// A bucket that has any event is full.
const FULL: Rules = Rules {
    bucket_events: 1,
    bucket_age: None,
    retention: None,
};

/// Closes the open bucket, which must have so many events.
async fn close(tested: &Tested, events: i64) {
    let closed = tested.store.keep(&FULL).await.unwrap();
    let fits = matches!(closed, Some(Step::Closed { events: had, .. }) if had == events);
    assert!(fits, "{closed:?}");
}

/// Makes or loads every filter that is missing. Answers how many were made.
async fn filter(store: &dyn Store) -> usize {
    let mut made = 0;
    while let Some(step) = store.keep(&Rules::NOTHING_DUE).await.unwrap() {
        assert!(matches!(step, Step::Filtered { .. }), "{step:?}");
        made += 1;
    }
    made
}

fn url(tested: &Tested) -> &str {
    match &tested.tables {
        Tables::Postgres(database) => database.url(),
        Tables::Sqlite(_) => panic!("it is one of PostgreSQL"),
    }
}

async fn ask<T>(tested: &Tested, sql: &'static str) -> T
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
{
    let mut connection = PgConnection::connect(url(tested)).await.unwrap();
    query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn an_event_in_a_closed_bucket_is_a_duplicate_with_a_filter_and_without() {
    for filters in [0, usize::MAX] {
        let tested = Tested::over(Tables::postgres().await).await;
        tested.add(&events("a", 3)).await;
        close(&tested, 3).await;
        tested.add(&events("b", 2)).await;
        close(&tested, 2).await;
        // Another process, which has committed none of them.
        let other = Postgres::from_url(url(&tested), WORKERS).unwrap();
        let other = Tested {
            store: Arc::new(other.filter_memory(filters)),
            tables: tested.tables,
        };
        let made = filter(&*other.store).await;
        assert_eq!(made, if filters == 0 { 0 } else { 2 });
        let batch = [
            event("a", "000001"),
            event("b", "000001"),
            event("a", "new"),
            event("b", "new"),
        ];
        let expected = [Duplicate, Duplicate, Accepted, Accepted];
        assert_eq!(other.add(&batch).await, expected);
        let used = other.store.filters().unwrap();
        assert_eq!(used.filters, made);
        assert_eq!(used.found, 2, "{used:?}");
        // Without filters each bucket is asked for all that is not known by then.
        assert_eq!(
            used.looked_up,
            if filters == 0 { 4 + 3 } else { 2 },
            "{used:?}"
        );
        assert_eq!(other.counters().await, (7, 2, 0));
        assert!(other.store.audit().await.unwrap().is_exact());
    }
}

#[tokio::test]
async fn a_late_claim_is_recorded_in_the_bucket_that_is_open_by_then() {
    let tested = Tested::over(Tables::postgres().await).await;
    let (late, early) = (tested.worker().await, events("t", 4));
    tested.add(&early[..2]).await;
    close(&tested, 2).await;
    filter(&*tested.store).await;
    // It was claimed before the bucket was closed; half of it was recorded under another claim.
    let recorded = verdicts(tested.record(late, &early).await);
    assert_eq!(recorded, [Duplicate, Duplicate, Accepted, Accepted]);
    let again = tested.store.record(&claim(late, &early)).await.unwrap();
    assert_eq!(again, store::Recorded::AlreadyCommitted);
    let rows: i64 = ask(&tested, "SELECT count(*) FROM processed_events_1").await;
    assert_eq!(rows, 2);
    assert!(tested.store.audit().await.unwrap().is_exact());
}

#[tokio::test]
async fn events_that_are_recorded_while_buckets_are_closed_are_each_stored_once() {
    const IDENTITIES: usize = 60;
    const ROUNDS: usize = 25;
    let tested = Tested::over(Tables::postgres().await).await;
    // Each process has its own memory. All record the same identities again and again.
    let stores: Vec<Arc<dyn Store>> = (0..3).map(|_| tested.tables.store()).collect();
    let mut working = JoinSet::new();
    for store in &stores {
        for judged in [true, false] {
            let (store, worker) = (store.clone(), tested.worker().await);
            working.spawn(async move {
                let mut id = worker;
                for round in 0..ROUNDS {
                    let fresh = event("t", &format!("{}-{round}", worker.worker.0));
                    let mut batch = events("t", IDENTITIES);
                    batch.push(fresh);
                    let mut claim = claim(id, &batch[round..]);
                    claim.judged = judged;
                    while let Err(error) = store.record(&claim).await {
                        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
                    }
                    id = id.next();
                }
                0
            });
        }
        let store = store.clone();
        working.spawn(async move {
            let mut closed = 0;
            for _ in 0..3 * ROUNDS {
                let kept = store.keep(&FULL).await;
                closed += usize::from(matches!(kept, Ok(Some(Step::Closed { .. }))));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            closed
        });
    }
    let closed: usize = working.join_all().await.into_iter().sum();
    assert!(closed > 10, "{closed} buckets");
    let (unique, ..) = tested.counters().await;
    assert_eq!(usize::try_from(unique).unwrap(), IDENTITIES + 6 * ROUNDS);
    let twice = "SELECT count(*) FROM (SELECT FROM processed_events GROUP BY topic, event_id HAVING count(*) > 1) AS twice";
    assert_eq!(ask::<i64>(&tested, twice).await, 0);
    let audit = tested.store.audit().await.unwrap();
    assert!(audit.is_exact(), "{audit}");
}

#[tokio::test]
async fn a_bucket_is_closed_once_however_many_look_after_the_ledger() {
    let tested = Tested::over(Tables::postgres().await).await;
    tested.add(&events("t", 5)).await;
    let keepers: JoinSet<_> = (0..4)
        .map(|_| {
            let store = tested.tables.store();
            async move { store.keep(&FULL).await.unwrap() }
        })
        .collect();
    let steps = keepers.join_all().await;
    let closed = steps
        .iter()
        .filter(|step| matches!(step, Some(Step::Closed { .. })));
    assert_eq!(closed.count(), 1, "{steps:?}");
    assert_eq!(
        ask::<i64>(&tested, "SELECT count(*) FROM ledger_buckets").await,
        2
    );
    assert!(tested.store.audit().await.unwrap().is_exact());
}

#[tokio::test]
async fn a_filter_that_is_damaged_is_noticed_and_made_anew() {
    let tested = Tested::over(Tables::postgres().await).await;
    tested.add(&events("t", 50)).await;
    close(&tested, 50).await;
    assert_eq!(filter(&*tested.store).await, 1);
    for damage in [
        "UPDATE bucket_filters SET filter = set_byte(filter, 100, get_byte(filter, 100) # 1)",
        "UPDATE bucket_filters SET filter = substr(filter, 1, 40)",
        "UPDATE bucket_filters SET filter = ''",
        "DELETE FROM bucket_filters",
    ] {
        tested.tables.run(damage).await;
        let other = tested.tables.store();
        assert_eq!(filter(&*other).await, 1, "{damage}");
        let recorded = other
            .record(&claim(tested.worker().await, &events("t", 50)))
            .await;
        assert_eq!(verdicts(recorded.unwrap()), [Duplicate; 50], "{damage}");
        assert_eq!(filter(&*tested.tables.store()).await, 0, "it is mended");
    }
    assert!(tested.store.audit().await.unwrap().is_exact());
}

/// As when a backup is restored or a replica is promoted: the bucket of the same number has other events.
#[tokio::test]
async fn filters_of_another_place_are_not_asked() {
    let tested = Tested::over(Tables::postgres().await).await;
    let stored = events("t", 3);
    tested.add(&stored).await;
    close(&tested, 3).await;
    assert_eq!(filter(&*tested.store).await, 1);
    // The tables are made anew with the last event missing, and with one that the filter does not know.
    let elsewhere = "
        ALTER SEQUENCE processed_events_id_seq OWNED BY NONE;
        CREATE TABLE anew (LIKE processed_events INCLUDING ALL) PARTITION BY LIST (bucket);
        ALTER TABLE processed_events DETACH PARTITION processed_events_0;
        ALTER TABLE processed_events DETACH PARTITION processed_events_1;
        DROP TABLE processed_events;
        ALTER TABLE anew RENAME TO processed_events;
        DROP TRIGGER sealed ON processed_events_0;
        DELETE FROM processed_events_0 WHERE event_id = '000002';
        INSERT INTO processed_events_0 (topic, event_id, source, payload, event_timestamp, received_at, receipt_id)
        VALUES ('t', 'unknown to the filter', 's', '{}', now(), now(), gen_random_uuid());
        ALTER TABLE processed_events ATTACH PARTITION processed_events_0 FOR VALUES IN (0);
        ALTER TABLE processed_events ATTACH PARTITION processed_events_1 FOR VALUES IN (1)";
    tested.tables.run(elsewhere).await;
    let batch = [
        stored[0].clone(),
        event("t", "unknown to the filter"),
        stored[2].clone(),
    ];
    assert_eq!(tested.add(&batch).await, [Duplicate, Duplicate, Accepted]);
}

#[tokio::test]
async fn nobody_can_store_an_event_in_a_closed_bucket() {
    let tested = Tested::over(Tables::postgres().await).await;
    tested.add(&events("t", 1)).await;
    close(&tested, 1).await;
    filter(&*tested.store).await;
    let mut connection = PgConnection::connect(url(&tested)).await.unwrap();
    for into in ["processed_events_0", "processed_events"] {
        let insert = format!(
            "INSERT INTO {into} (bucket, topic, event_id, source, payload, event_timestamp, received_at, receipt_id)
             VALUES (0, 't', 'late', 's', '{{}}', now(), now(), gen_random_uuid())"
        );
        let refused = sqlx::query(AssertSqlSafe(insert))
            .execute(&mut connection)
            .await;
        let error = refused.unwrap_err().to_string();
        assert!(
            error.contains("the bucket of processed_events_0 is closed"),
            "{into}: {error}"
        );
    }
}

#[tokio::test]
async fn dead_letters_of_events_in_closed_buckets_are_duplicates() {
    let tested = Tested::over(Tables::postgres().await).await;
    tested.tables.refuse_source("bad").await;
    let id = tested.worker().await;
    let mut bad = events("t", 2);
    for event in &mut bad {
        event.source = "bad".try_into().unwrap();
    }
    tested.record(id, &bad).await;
    tested.add(&events("t", 1)).await;
    close(&tested, 1).await;
    tested
        .tables
        .run("ALTER TABLE processed_events DROP CONSTRAINT refuse")
        .await;
    let replayed = tested
        .store
        .replay(&Selection::After(None), false)
        .await
        .unwrap();
    assert_eq!((replayed.accepted, replayed.duplicates), (1, 1));
    assert_eq!(tested.counters().await, (2, 1, 0));
    assert!(tested.store.audit().await.unwrap().is_exact());
}

#[tokio::test]
async fn pages_go_through_all_buckets_in_both_orders_with_filters_and_without() {
    let tested = Tested::over(Tables::postgres().await).await;
    let mut expected = Vec::new();
    for bucket in 0..4 {
        let batch: Vec<Event> = (0..5)
            .map(|at| event(["a", "b"][at % 2], &format!("{bucket}-{at}")))
            .collect();
        tested.add(&batch).await;
        expected.extend(
            tested
                .all()
                .await
                .into_iter()
                .filter(|event| event.event_id.starts_with(&format!("{bucket}-"))),
        );
        if bucket < 3 {
            close(&tested, 5).await;
        }
    }
    assert!(expected.is_sorted_by_key(|event| event.id));
    for order in [Order::Oldest, Order::Newest] {
        for topic in [None, Some("b")] {
            let mut wanted = expected.clone();
            wanted.retain(|event| topic.is_none_or(|topic| event.topic == topic));
            if order == Order::Newest {
                wanted.reverse();
            }
            for limit in [1, 3, 5, 7, 100] {
                let mut query = EventQuery {
                    topic: topic.map(|topic| topic.try_into().unwrap()),
                    part: Part {
                        order,
                        limit: Limit::new(limit).unwrap(),
                        ..Part::default()
                    },
                    ..EventQuery::default()
                };
                let mut found = Vec::new();
                loop {
                    let page = tested.store.events(&query).await.unwrap();
                    found.extend(page.items);
                    assert!(found.len() <= wanted.len(), "it comes to an end");
                    let Some(next) = page.next else { break };
                    query.part.after = Some(next);
                }
                assert_eq!(names(&found), names(&wanted), "{order:?} {topic:?} {limit}");
            }
        }
    }
    // One that was received only just now is found without looking at what was stored long before.
    let received = EventQuery {
        received_since: Some(expected[0].received_at),
        ..EventQuery::default()
    };
    let page = tested.store.events(&received).await.unwrap();
    assert_eq!(page.items.len(), expected.len());
    assert!(
        tested
            .page(10, Some(Cursor { id: i64::MAX }))
            .await
            .items
            .is_empty()
    );
}

#[tokio::test]
async fn filters_that_do_not_fit_into_memory_are_those_of_the_oldest_buckets() {
    let tested = Tested::over(Tables::postgres().await).await;
    for bucket in 0..3 {
        tested.add(&events(&format!("bucket {bucket}"), 1000)).await;
        close(&tested, 1000).await;
    }
    assert_eq!(filter(&*tested.store).await, 3);
    let all = tested.store.filters().unwrap();
    // About 20 bits for each of few.
    assert!(all.bytes > 3 * 2000 && all.bytes < 3 * 4000, "{all:?}");
    let small = Postgres::from_url(url(&tested), WORKERS).unwrap();
    let small = small.filter_memory(all.bytes - 1);
    assert_eq!(filter(&small).await, 0, "they are there, and read");
    assert_eq!(small.filters().unwrap().filters, 2);
    for bucket in 0..3 {
        let batch = events(&format!("bucket {bucket}"), 10);
        let recorded = small.record(&claim(tested.worker().await, &batch)).await;
        assert_eq!(verdicts(recorded.unwrap()), [Duplicate; 10], "{bucket}");
    }
    assert!(tested.store.audit().await.unwrap().is_exact());
}
