//! The counters of PostgreSQL in several rows.

use std::{collections::BTreeSet, sync::Arc};

use sqlx::{Connection, PgConnection, query_as, query_scalar, raw_sql};
use store::{Store, postgres::Postgres};
use tests::events::{event, events};
use tokio::task::JoinSet;

use super::{Tables, Tested, WORKERS, a_worker, claim, verdicts};

async fn connect(tested: &Tested) -> PgConnection {
    let Tables::Postgres(database) = &tested.tables else {
        panic!("it is one of PostgreSQL");
    };
    PgConnection::connect(database.url()).await.unwrap()
}

#[tokio::test]
async fn workers_that_register_at_once_get_slots_of_their_own_as_long_as_there_are_any() {
    const SLOTS: u16 = 5;
    let tested = Tested::over(Tables::postgres().await).await;
    let Tables::Postgres(database) = &tested.tables else {
        panic!("it is one of PostgreSQL");
    };
    let store = Postgres::from_url(database.url(), WORKERS).unwrap();
    let store = Arc::new(store.stats_slots(SLOTS));
    let register = async |count: u16| {
        let registering: JoinSet<_> = (0..count)
            .map(|_| {
                let store = store.clone();
                async move { store.register(a_worker().worker).await.unwrap() }
            })
            .collect();
        registering.join_all().await;
        let mut connection = connect(&tested).await;
        let slots: Vec<(i16, i64)> =
            query_as("SELECT slot, count(*) FROM worker_claims GROUP BY slot ORDER BY slot")
                .fetch_all(&mut connection)
                .await
                .unwrap();
        slots
    };
    assert_eq!(
        register(SLOTS).await,
        [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]
    );
    let twice = register(SLOTS).await;
    assert!(twice.iter().all(|&(_, workers)| workers == 2), "{twice:?}");
}

#[tokio::test]
async fn a_worker_does_not_wait_for_one_that_counts_in_another_slot() {
    let tested = Tested::over(Tables::postgres().await).await;
    let (first, second) = (tested.worker().await, tested.worker().await);
    let mut held = connect(&tested).await;
    raw_sql("BEGIN; UPDATE agg_stats SET slot = slot WHERE slot = 1; UPDATE topic_stats SET slot = slot WHERE slot = 1")
        .execute(&mut held)
        .await
        .unwrap();
    let recorded = tested.record(second, &events("t", 3)).await;
    assert_eq!(verdicts(recorded).len(), 3);
    raw_sql("ROLLBACK").execute(&mut held).await.unwrap();
    tested
        .record(first, &[event("t", "000000"), event("t", "new")])
        .await;

    let rows: Vec<(i16, i64, i64)> =
        query_as("SELECT slot, unique_processed, duplicate_dropped FROM agg_stats ORDER BY slot")
            .fetch_all(&mut held)
            .await
            .unwrap();
    assert_eq!(rows, [(1, 1, 1), (2, 3, 0)]);
    assert_eq!(tested.counters().await, (4, 1, 0));
    let topics: (i64, i64) =
        query_as("SELECT unique_processed, duplicate_dropped FROM topic_stats_total")
            .fetch_one(&mut held)
            .await
            .unwrap();
    assert_eq!(topics, (4, 1));
    assert!(tested.store.audit().await.unwrap().is_exact());
}

/// More slots than before, fewer than before, one: it is always the sum that counts.
#[tokio::test]
async fn the_number_of_slots_may_change() {
    let tested = Tested::over(Tables::postgres().await).await;
    let Tables::Postgres(database) = &tested.tables else {
        panic!("it is one of PostgreSQL");
    };
    let mut expected = 0;
    for slots in [4, 1, 8] {
        let store = Postgres::from_url(database.url(), WORKERS).unwrap();
        let store = store.stats_slots(slots);
        for worker in 0..slots {
            let id = a_worker();
            store.register(id.worker).await.unwrap();
            let batch = events(&format!("{slots}-{worker}"), 2);
            store.record(&claim(id, &batch)).await.unwrap();
            expected += 2;
        }
    }
    assert_eq!(tested.counters().await, (expected, 0, 0));
    let used: Vec<i16> = query_scalar("SELECT slot FROM agg_stats WHERE received > 0")
        .fetch_all(&mut connect(&tested).await)
        .await
        .unwrap();
    assert!(used.iter().collect::<BTreeSet<_>>().len() >= 4, "{used:?}");
    assert!(tested.store.audit().await.unwrap().is_exact());
}
