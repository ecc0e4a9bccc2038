//! Shards on several primaries, of which one is away.

use reqwest::StatusCode;
use tests::{
    SOON,
    app::Place,
    eventually,
    servers::{RedisCluster, Replicated},
};

use super::{events, scrape};

const SHARDS: &str = "--queue-shards=3";

#[tokio::test(flavor = "multi_thread")]
async fn while_a_shard_is_away_the_others_take_and_give_and_later_it_does_again() {
    let mut cluster = RedisCluster::start(3, 0).await;
    let place = Place::with_redis(&cluster.url()).await;
    let (publisher, aggregator) = (
        place.publisher(&[SHARDS]),
        place.aggregator(&[SHARDS, "--lease-seconds=2"]),
    );
    for batch in 0..30 {
        publisher
            .publish_until_accepted(&events("before", batch..batch + 1))
            .await;
    }
    aggregator.drained(30).await;
    let scraped = scrape(&aggregator).await;
    let shards = scraped.matches("queue_shard_events{shard=").count();
    assert_eq!(shards, 6, "each shard in two states");

    cluster.nodes_mut()[1].stop();
    // A request that meets it first fails; those after it are sent elsewhere.
    eventually("ten in a row are accepted", SOON, async || {
        for batch in 0..10 {
            let answer = publisher.publish(&events("first", batch..batch + 1)).await;
            if answer != Some(StatusCode::ACCEPTED) {
                return false;
            }
        }
        true
    })
    .await;
    for batch in 0..20 {
        publisher
            .publish_until_accepted(&events("while", batch..batch + 1))
            .await;
    }
    // The others stand for it.
    publisher.ready().await;
    aggregator.ready().await;
    eventually("the others are served", SOON, async || {
        let (_, page) = aggregator.get("/events?limit=1000").await;
        let stored = page["events"].as_array().map_or(0, |events| {
            let of_then = events.iter().filter(|event| {
                event["event_id"]
                    .as_str()
                    .is_some_and(|id| id.starts_with("while"))
            });
            of_then.count()
        });
        stored == 20
    })
    .await;
    let (status, problem) = aggregator.get("/stats").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");

    cluster.nodes_mut()[1].restart().await;
    eventually("every shard takes events again", SOON, async || {
        let scraped = scrape(&publisher).await;
        scraped.matches("dependency_up{dependency=\"redis").count() == 3
            && !scraped
                .lines()
                .any(|line| line.starts_with("dependency_up") && line.ends_with(" 0.0"))
    })
    .await;
    for batch in 0..30 {
        publisher
            .publish_until_accepted(&events("after", batch..batch + 1))
            .await;
    }
    eventually("all is stored once", SOON, async || {
        let (status, counters) = aggregator.get("/stats").await;
        status == StatusCode::OK
            && counters["queue"]["pending"] == 0
            && counters["queue"]["processing"] == 0
            && counters["unique_processed"] == 90
    })
    .await;
    publisher.stop().await;
    aggregator.stop().await;
}
