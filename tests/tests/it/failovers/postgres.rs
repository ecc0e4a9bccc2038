//! A standby of PostgreSQL that takes over.

use sqlx::PgPool;
use tests::{SOON, app::Place, eventually, programs, servers::PostgresPair};

use super::events;

#[tokio::test(flavor = "multi_thread")]
async fn after_the_primary_has_died_all_goes_on_with_the_standby_and_nothing_is_lost() {
    let mut pair = PostgresPair::start(true).await;
    let place = Place::with_database(&pair.both()).await;
    let publisher = place.publisher(&[]);
    let aggregator = place.aggregator(&["--lease-seconds=2"]);
    publisher.publish_until_accepted(&events("a", 0..50)).await;
    aggregator.drained(50).await;

    // Claims are under way when it dies.
    for batch in 0..20 {
        publisher
            .publish_until_accepted(&events("b", batch..batch + 1))
            .await;
    }
    pair.kill_primary();
    aggregator.not_ready("postgres").await;
    publisher.publish_until_accepted(&events("c", 0..50)).await;
    pair.promote().await;
    let counters = aggregator.drained(120).await;
    assert_eq!(counters["unique_processed"], 120, "{counters}");
    assert_eq!(counters["received"], 120, "{counters}");
    aggregator.ready().await;
    // A command finds the new primary, too, though the former one is named first.
    for arguments in [
        &["verify"][..],
        &["--retention-days=1", "retention", "--dry-run"],
    ] {
        let both = pair.both();
        let settings = [("DATABASE_URL", both.as_str())];
        let ended = programs::run("aggregator", arguments, &settings).await;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.err);
    }

    // And back.
    pair.rejoin().await;
    pair.kill_primary();
    pair.promote().await;
    publisher.publish_until_accepted(&events("d", 0..50)).await;
    let counters = aggregator.drained(170).await;
    assert_eq!(counters["unique_processed"], 170, "{counters}");
    publisher.stop().await;
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_stays_on_a_former_primary_that_lives_and_takes_no_writes() {
    let mut pair = PostgresPair::start(false).await;
    let place = Place::with_database(&pair.both()).await;
    let publisher = place.publisher(&[]);
    let aggregator = place.aggregator(&["--lease-seconds=2"]);
    publisher.publish_until_accepted(&events("a", 0..50)).await;
    aggregator.drained(50).await;

    let former = pair.primary_url();
    eventually("the standby has everything", SOON, async || {
        let standby = PgPool::connect(&pair.standby_url()).await.unwrap();
        let rows = sqlx::query_scalar("SELECT count(*) FROM processed_events");
        let rows: i64 = rows.fetch_one(&standby).await.unwrap();
        rows == 50
    })
    .await;
    pair.demote().await;
    // It is the first host that is tried, and the one that was used last.
    publisher.publish_until_accepted(&events("b", 0..50)).await;
    aggregator.not_ready("takes no writes").await;
    pair.promote().await;
    let counters = aggregator.drained(100).await;
    assert_eq!(counters["unique_processed"], 100, "{counters}");
    let former = PgPool::connect(&former).await.unwrap();
    let rows = sqlx::query_scalar("SELECT count(*) FROM processed_events");
    let rows: i64 = rows.fetch_one(&former).await.unwrap();
    assert_eq!(rows, 50, "nothing was stored there");
    publisher.stop().await;
    aggregator.stop().await;
}
