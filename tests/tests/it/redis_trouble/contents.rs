//! Servers that are full, or hold what the programs did not put there.

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{SOON, events::noise, eventually};

use super::{Scene, assert_exact, events, stop};

#[tokio::test]
async fn a_full_redis_accepts_nothing_and_can_still_be_drained() {
    let scene = Scene::start().await;
    let publisher = scene.publisher();
    publisher.ready().await;
    let info: String = scene.ask("INFO memory").await;
    let used = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    let limit = used.unwrap().trim().parse::<u64>().unwrap() + 4 * 1024 * 1024;
    let _: () = scene.ask(&format!("CONFIG SET maxmemory {limit}")).await;

    let mut accepted = 0_i64;
    eventually("redis is full", SOON, async || {
        let event = json!({"topic": "t", "event_id": accepted.to_string(), "payload": {"x": noise(100_000, accepted.unsigned_abs())}});
        let (status, problem) = publisher.post("/publish", event.to_string()).await;
        if status == StatusCode::ACCEPTED {
            accepted += 1;
            return false;
        }
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
        true
    })
    .await;
    assert!(accepted > 10, "there was room for some: {accepted}");

    let aggregator = scene.aggregator();
    assert_exact(&aggregator, accepted, accepted).await;
    let next = u32::try_from(accepted).unwrap();
    publisher
        .publish_until_accepted(&events(next..next + 1))
        .await;
    assert_exact(&aggregator, accepted + 1, accepted + 1).await;
    stop([publisher, aggregator]).await;
}

#[tokio::test]
async fn a_redis_that_is_nearly_full_is_given_nothing_until_there_is_room() {
    let scene = Scene::start().await;
    let (publisher, aggregator) = (scene.publisher(), scene.aggregator());
    assert_eq!(
        publisher.publish(&events(0..1)).await,
        Some(StatusCode::ACCEPTED)
    );
    // Nearly nothing, then: what is used is over nine tenths of it.
    let _: () = scene.ask("CONFIG SET maxmemory 100kb").await;
    eventually("it is told to wait", SOON, async || {
        let request = publisher.request(reqwest::Method::POST, "/publish");
        let answer = request.json(&events(0..1)).send().await.unwrap();
        let retry_after = answer.headers().contains_key("retry-after");
        let problem: Value = answer.json().await.unwrap();
        let full = problem["type"] == "urn:event-aggregator:problem:queue-full";
        assert!(!full || retry_after, "{problem}");
        full
    })
    .await;
    let _: () = scene.ask("CONFIG SET maxmemory 100mb").await;
    publisher.publish_until_accepted(&events(1..2)).await;
    let counters = aggregator.drained(2).await;
    assert_eq!(counters["unique_processed"], 2, "{counters}");
    stop([publisher, aggregator]).await;
}

#[tokio::test]
async fn a_key_of_another_type_stops_the_queue_until_it_is_removed() {
    let scene = Scene::start().await;
    let (publisher, aggregator) = (scene.publisher(), scene.aggregator());
    aggregator.ready().await;
    for key in ["queue", "handoff", "leases", "sizes", "adopted"] {
        let _: () = scene.ask(&format!("SET {{events}}:{key} somebody's")).await;
        for app in [&publisher, &aggregator] {
            app.not_ready(&format!("redis: the key {{events}}:{key} holds"))
                .await;
        }
        if key == "queue" {
            let refused = publisher.publish(&events(0..5)).await;
            assert_eq!(refused, Some(StatusCode::SERVICE_UNAVAILABLE));
        }
        let _: () = scene.ask(&format!("DEL {{events}}:{key}")).await;
        aggregator.ready().await;
    }
    publisher.publish_until_accepted(&events(0..5)).await;
    assert_exact(&aggregator, 5, 5).await;
    stop([publisher, aggregator]).await;
}

#[tokio::test]
async fn a_stranger_among_the_leases_holds_nobody_up() {
    let scene = Scene::start().await;
    let _: () = scene.ask("ZADD {events}:leases 1 stranger").await;
    let (publisher, aggregator) = (scene.publisher(), scene.aggregator());
    publisher.publish_until_accepted(&events(0..5)).await;
    assert_exact(&aggregator, 5, 5).await;
    let leases: Vec<String> = scene.ask("ZRANGE {events}:leases 0 -1").await;
    assert_eq!(leases, ["stranger"], "it is left for somebody to look at");
    stop([publisher, aggregator]).await;
}
