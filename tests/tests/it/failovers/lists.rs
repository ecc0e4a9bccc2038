//! Lists that are read from a replica, which may be behind.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use tests::{SOON, app::App, app::Place, eventually, servers::PostgresPair};

use super::{events, scrape};

/// Goes on from a cursor to the end of the list, and adds the ids. The cursor is then at the beginning of the last page.
async fn follow(aggregator: &App, cursor: &mut Option<String>, ids: &mut BTreeSet<String>) {
    loop {
        let from = cursor.iter().map(|cursor| format!("&cursor={cursor}"));
        let from: String = from.collect();
        let (status, page) = aggregator.get(&format!("/events?limit=7{from}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let events = page["events"].as_array().unwrap().iter();
        ids.extend(events.map(|event| event["event_id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => *cursor = Some(next.to_owned()),
            None => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_behind_by_the_lag_counters_are_not_and_nothing_is_missed() {
    let pair = PostgresPair::start(false).await;
    let place = Place::with_database(&pair.primary_url()).await;
    let publisher = place.publisher(&[]);
    let replica = format!("--read-database-url={}", pair.standby_url());
    let aggregator = place.aggregator(&[&replica]);
    let lag = async || {
        let scraped = scrape(&aggregator).await;
        let mut lines = scraped.lines();
        let line = lines.find_map(|line| line.strip_prefix("read_replica_lag_seconds "));
        line.map(|lag| lag.parse::<f64>().unwrap())
    };
    publisher.publish_until_accepted(&events("a", 0..20)).await;
    aggregator.drained(20).await;
    eventually("the list has them", SOON, async || {
        let (status, page) = aggregator.get("/events?limit=100").await;
        status == StatusCode::OK && page["events"].as_array().unwrap().len() == 20
    })
    .await;
    eventually("it tells its lag", SOON, async || lag().await.is_some()).await;

    pair.pause_replay(true).await;
    publisher.publish_until_accepted(&events("b", 0..20)).await;
    let counters = aggregator.drained(40).await;
    assert_eq!(counters["unique_processed"], 40, "counters are not behind");
    let (_, page) = aggregator.get("/events?limit=100").await;
    assert_eq!(page["events"].as_array().unwrap().len(), 20, "lists are");
    let (status, event) = aggregator.get("/events/t/b-0").await;
    assert_eq!(status, StatusCode::OK, "one event is not: {event}");
    eventually("it tells how far it is behind", SOON, async || {
        lag().await.is_some_and(|lag| lag > 0.5)
    })
    .await;
    pair.pause_replay(false).await;

    // Whoever follows the list while events are stored misses none that are stored behind their cursor.
    let (mut cursor, mut seen) = (None, BTreeSet::new());
    for batch in 0..30 {
        publisher
            .publish_until_accepted(&events("c", batch * 10..batch * 10 + 10))
            .await;
        follow(&aggregator, &mut cursor, &mut seen).await;
    }
    eventually("the list has caught up", SOON, async || {
        follow(&aggregator, &mut cursor, &mut seen).await;
        seen.len() == 340
    })
    .await;
    publisher.stop().await;
    aggregator.stop().await;
}
