//! Tables that are made or missing, and stores that are closed or away.

use std::time::{Duration, Instant};

use event::Verdict::Accepted;
use futures_util::future::join_all;
use store::postgres::Postgres;
use store::sqlite::Sqlite;
use store::{EventQuery, StatsQuery, Store, StoreError};
use tests::{SOON, events::event, eventually};
use tokio::net::TcpListener;

use super::{Tables, Tested, a_worker, claim};

contract![
    many_may_migrate_at_once_and_again,
    tables_of_another_version_are_named,
    a_closed_store_is_unavailable,
];

/// A store that is away says so within its own bounds, and a little more for a busy machine.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(15);
const WORKERS: u16 = 8;

async fn many_may_migrate_at_once_and_again(tested: Tested) {
    for round in 0..5 {
        let tables = match tested.tables {
            Tables::Postgres(_) => Tables::postgres().await,
            Tables::Sqlite(_) => Tables::sqlite(),
        };
        let stores: Vec<_> = (0..4).map(|_| tables.store()).collect();
        let migrating = stores.iter().map(|store| insist_on_tables(&**store));
        for migrated in join_all(migrating).await {
            migrated.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        }
        let again = Tested::over(tables).await;
        assert_eq!(again.add(&[event("a", "1")]).await, [Accepted]);
        again.store.migrate().await.unwrap();
        assert_eq!(again.counters().await, (1, 0, 0));
    }
}

/// SQLite may say at once that a new file is in use: a program that migrates has to try again.
async fn insist_on_tables(store: &dyn Store) -> Result<(), StoreError> {
    eventually("the tables are there", SOON, async || {
        match store.migrate().await {
            Err(StoreError::Unavailable(_)) => None,
            migrated => Some(migrated),
        }
    })
    .await
}

async fn tables_of_another_version_are_named(tested: Tested) {
    tested
        .tables
        .run(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'of the future', true, '', 0)",
        )
        .await;
    let error = tested.store.migrate().await.unwrap_err();
    assert!(matches!(error, StoreError::Schema(_)), "{error:?}");

    let claim = claim(tested.worker().await, &[event("a", "1")]);
    tested
        .tables
        .run("DROP VIEW agg_stats_total; DROP TABLE agg_stats")
        .await;
    let error = tested
        .store
        .stats(&StatsQuery::with_all())
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Schema(_)), "{error:?}");
    let error = tested.store.record(&claim).await.unwrap_err();
    assert!(matches!(error, StoreError::Schema(_)), "{error:?}");
    assert!(tested.all().await.is_empty());
}

async fn a_closed_store_is_unavailable(tested: Tested) {
    tested.add(&[event("a", "1")]).await;
    tested.store.close().await;
    all_is_unavailable(&*tested.store).await;
    let again = Tested::over(tested.tables).await;
    assert_eq!(again.counters().await, (1, 0, 0));
}

async fn all_is_unavailable(store: &dyn Store) {
    let started = Instant::now();
    let event = event("a", "1");
    let (claim, query) = (
        claim(a_worker(), std::slice::from_ref(&event)),
        EventQuery::default(),
    );
    let failed = tokio::join!(
        async { store.migrate().await.err() },
        async { store.register(claim.id.worker).await.err() },
        async { store.record(&claim).await.err() },
        async { store.stats(&StatsQuery::with_all()).await.err() },
        async { store.events(&query).await.err() },
        async { store.event(&event.topic, &event.event_id).await.err() },
        async { store.probe().await.err() },
    );
    let probed = format!("{:?}", failed.6.expect("nothing can be written"));
    assert!(!probed.contains("s3cret"), "{probed}");
    let failed = [failed.0, failed.1, failed.2, failed.3, failed.4, failed.5];
    for failed in failed {
        assert!(
            matches!(failed, Some(StoreError::Unavailable(_))),
            "{failed:?}"
        );
        let shown = format!("{failed:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
    assert!(started.elapsed() < GIVEN_UP_WITHIN);
}

#[tokio::test]
async fn a_postgres_that_is_away_or_silent_is_unavailable() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ports = [&silent, &away].map(|listener| listener.local_addr().unwrap().port());
    drop(away);
    let [silent, away] = ports.map(|port| async move {
        let url = format!("postgres://user:s3cret@127.0.0.1:{port}/database");
        let store = Postgres::from_url(&url, WORKERS).unwrap();
        all_is_unavailable(&store).await;
    });
    tokio::join!(silent, away);
}

#[test]
fn an_address_that_is_not_valid_is_not_repeated() {
    for url in [
        "",
        "s3cret",
        "mysql://user:s3cret@host/database",
        "postgres://user:s3cret@host:port/database",
        "postgres:user:s3cret@host",
    ] {
        let error = Postgres::from_url(url, WORKERS).err().expect(url);
        assert!(!format!("{error} {error:?}").contains("s3cret"));
        let error = Sqlite::open(url).err().expect(url);
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
}
