//! What only PostgreSQL does: tables and databases that are refused.

use store::postgres::Postgres;
use store::{Store, StoreError};

use super::{Tables, Tested, WORKERS};

#[tokio::test]
async fn postgres_tables_in_which_events_would_be_lost_or_miscounted_are_refused_at_start() {
    for (fault, told) in [
        (
            "ALTER TABLE processed_events_0 DROP CONSTRAINT processed_events_0_topic_event_id_key",
            "no unique constraint on (event_id, topic)",
        ),
        (
            "ALTER TABLE processed_events_0 DROP CONSTRAINT processed_events_0_topic_event_id_key;
             CREATE UNIQUE INDEX ON processed_events_0 (topic, event_id) WHERE topic <> 'a'",
            "no unique constraint on (event_id, topic)",
        ),
        (
            "ALTER TABLE topic_stats DROP CONSTRAINT topic_stats_pkey",
            "no unique constraint on (slot, topic)",
        ),
        (
            "CREATE RULE swallow AS ON INSERT TO processed_events DO INSTEAD NOTHING",
            "processed_events has a rule",
        ),
        (
            "CREATE TABLE pg_dist_partition (logicalrelid regclass);
             INSERT INTO pg_dist_partition VALUES ('agg_stats')",
            "Citus has distributed the table agg_stats",
        ),
        (
            "ALTER TABLE topic_stats RENAME TO away; CREATE VIEW topic_stats AS SELECT * FROM away",
            "topic_stats is not an ordinary table",
        ),
        (
            "ALTER TABLE processed_events RENAME TO away; CREATE TABLE processed_events (LIKE away)",
            "processed_events is not a partitioned table",
        ),
    ] {
        let tested = Tested::over(Tables::postgres().await).await;
        tested.tables.run(fault).await;
        let error = tested.store.migrate().await.unwrap_err();
        assert!(matches!(error, StoreError::Unfit(_)), "{error:?}");
        assert!(error.to_string().contains(told), "{error}");
    }
    let tested = Tested::over(Tables::postgres().await).await;
    let fine = "
        CREATE TABLE pg_dist_partition (logicalrelid regclass);
        ALTER TABLE processed_events_0 DROP CONSTRAINT processed_events_0_topic_event_id_key,
            ADD UNIQUE (event_id, topic) INCLUDE (source);
        CREATE RULE swallow AS ON INSERT TO processed_events DO INSTEAD NOTHING;
        DROP RULE swallow ON processed_events";
    tested.tables.run(fine).await;
    tested.store.migrate().await.unwrap();
}

#[tokio::test]
async fn a_postgres_database_that_cannot_hold_every_text_is_refused_at_start() {
    let tested = Tested::over(Tables::postgres().await).await;
    let Tables::Postgres(database) = &tested.tables else {
        unreachable!("asked for");
    };
    let (server, own) = database.url().rsplit_once('/').unwrap();
    for encoding in ["SQL_ASCII", "LATIN1"] {
        let name = format!("{own}_{encoding}").to_lowercase();
        let url = format!("{server}/{name}");
        let run = async |sql: String| tested.tables.run(&sql).await;
        run(format!(
            "CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
        ))
        .await;
        let store = Postgres::from_url(&url, WORKERS).unwrap();
        let error = store.migrate().await.unwrap_err();
        store.close().await;
        run(format!("DROP DATABASE {name} WITH (FORCE)")).await;
        assert!(matches!(error, StoreError::Unfit(_)), "{error:?}");
        let told = error.to_string();
        assert!(told.contains(encoding) && told.contains("UTF8"), "{told}");
    }
}
