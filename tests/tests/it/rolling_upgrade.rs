//! An upgrade while events arrive, in the order that the documents name: aggregators first, then publishers.
//!
//! A publisher that knows no frames is played by a task that pushes what such a publisher pushed: an envelope an event, in
//! batches, each in one `LPUSH`.

use event::{Event, envelope};
use futures_util::future::join_all;
use redis::AsyncCommands;
use serde_json::{Value, json};
use tests::{
    SOON,
    app::{Deployment, Place},
    events::event,
    eventually,
};

/// Batches of each publisher.
const BATCHES: usize = 60;
/// Events in a batch.
const EVENTS: usize = 25;
/// A batch repeats as many events of the one before it.
const REPEATED: usize = 5;

/// The ids of a batch of the publisher with this name.
fn ids(publisher: &str, batch: usize) -> impl Iterator<Item = String> {
    let first = batch * (EVENTS - REPEATED);
    (first..first + EVENTS).map(move |n| format!("{publisher}-{n}"))
}

fn unique() -> usize {
    BATCHES * (EVENTS - REPEATED) + REPEATED
}

async fn as_an_old_publisher(place: &Place, name: &str, batches: std::ops::Range<usize>) {
    let (mut redis, key) = (place.redis().await, place.key("queue"));
    for batch in batches {
        let events = ids(name, batch).map(|id| event("rolling", &id));
        let elements: Vec<Vec<u8>> = events
            .map(|event: Event| envelope::encode(&event).unwrap())
            .collect();
        let _: () = redis.lpush(&key, elements).await.unwrap();
    }
}

fn body(name: &str, batch: usize) -> Value {
    let events = ids(name, batch).map(|id| json!({"topic": "rolling", "event_id": id}));
    events.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn old_publishers_then_both_then_only_new_ones_are_counted_exactly() {
    let place = Place::of(Deployment::Services).await;
    // Its leases are short, because it is killed.
    let settings = [("LEASE_SECONDS", "1"), ("BATCH_SIZE", "40")];
    let aggregators = [
        place.process("aggregator", &settings),
        place.process("aggregator", &settings),
    ];
    let half = BATCHES / 2;
    as_an_old_publisher(&place, "old", 0..half).await;

    let publishers = [place.publisher(&[]), place.publisher(&[])];
    let [first, second] = aggregators;
    let old = as_an_old_publisher(&place, "old", half..BATCHES);
    let new = join_all(
        publishers
            .iter()
            .zip(["one", "two"])
            .map(|(publisher, name)| async move {
                for batch in 0..BATCHES {
                    publisher.publish_until_accepted(&body(name, batch)).await;
                }
            }),
    );
    let kill = async {
        eventually("some of it is stored", SOON, async || {
            first.stats().await["received"].as_i64() > Some(500)
        })
        .await;
        first.signal("KILL");
    };
    tokio::join!(old, new, kill);

    let received = i64::try_from(3 * BATCHES * EVENTS).unwrap();
    let stats = second.drained(received).await;
    assert_eq!(stats["received"], received);
    assert_eq!(stats["unique_processed"], 3 * unique());
    assert_eq!(stats["dead_lettered"], 0);
    eventually("the queue is empty and says so", SOON, async || {
        let queue = &second.stats().await["queue"];
        queue["pending"] == 0 && queue["processing"] == 0
    })
    .await;
    let keys: Vec<String> = place
        .redis()
        .await
        .keys(place.key("*").replace('{', "\\{"))
        .await
        .unwrap();
    assert_eq!(keys, Vec::<String>::new());
    for publisher in publishers {
        publisher.stop().await;
    }
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_can_be_looked_at_and_stays() {
    let place = Place::of(Deployment::Services).await;
    let publisher = place.publisher(&[]);
    publisher.publish_until_accepted(&body("one", 0)).await;
    let mut redis = place.redis().await;
    let _: () = redis.lpush(place.key("queue"), "hello").await.unwrap();
    let queue = place.key("queue");
    let queue = queue.trim_start_matches('{').split('}').next().unwrap();
    let settings = [("REDIS_URL", place.redis_url()), ("QUEUE_NAME", queue)];
    let peek = async |arguments: &[&str]| {
        let arguments = [&["queue", "peek"], arguments].concat();
        let ended = tests::programs::run("aggregator", &arguments, &settings).await;
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        let lines = ended
            .out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        lines.collect::<Vec<Value>>()
    };
    let lines = peek(&[]).await;
    assert_eq!(lines.len(), EVENTS, "the rest of a frame is shown, too");
    assert_eq!(
        (&lines[0]["event_id"], &lines[0]["payload"]),
        (&json!("one-0"), &json!({}))
    );
    let lines = peek(&["100"]).await;
    assert_eq!(lines.len(), EVENTS + 1);
    assert_eq!(lines[EVENTS]["raw"], "hello");
    let aggregator = place.aggregator(&[]);
    assert_eq!(aggregator.drained(26).await["dead_lettered"], 1);
    assert_eq!(peek(&[]).await, Vec::<Value>::new());
    publisher.stop().await;
    aggregator.stop().await;
}
