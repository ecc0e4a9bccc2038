//! Whatever the parser accepts goes through the queue and both stores unchanged.

use std::{collections::BTreeMap, sync::Arc};

use event::{
    ClaimId, Event, WorkerId,
    clock::{Clock, Ids, SystemClock},
    parse::{Limits, Receipts, parse},
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngSeed, TestRunner},
};
use queue::{
    Producer, Taken,
    redis::{Address, RedisConsumer, RedisProducer},
};
use runtime::hold::Hold;
use serde_json::{Value, json};
use store::{Store, StoredEvent, postgres::Postgres, sqlite::Sqlite};
use tests::servers;

const EVENTS: usize = 300;
/// A name may be made twice.
const MOST_TRIES: usize = 2 * EVENTS;
const LIMITS: Limits = Limits {
    max_events: EVENTS,
    max_event_bytes: 256 * 1024,
};

/// Text without control characters, 1 to 255 bytes.
fn name() -> impl Strategy<Value = String> {
    let text = prop_oneof![r"[ -~]{1,40}", r"\PC{1,60}", "[🦀é\"'\\\\/%+ ]{1,30}"];
    text.prop_filter("a valid name", |text| {
        text.len() <= 255 && !text.chars().any(char::is_control)
    })
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e15..1e15_f64).prop_map(Value::from),
        "[^\0]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 30, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[^\0]{0,10}", inner, 0..5)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn event() -> impl Strategy<Value = Value> {
    let payload = prop::collection::btree_map("[^\0]{0,10}", json_value(), 0..5);
    let micros = -62_000_000_000_000_000..250_000_000_000_000_000_i64;
    (name(), name(), name(), payload, micros).prop_map(|(topic, id, source, payload, micros)| {
        let time = chrono::DateTime::from_timestamp_micros(micros).unwrap();
        json!({
            "topic": topic, "event_id": id, "source": source, "payload": payload,
            "timestamp": time.to_rfc3339(),
        })
    })
}

/// One big batch, which follows from a seed that is printed.
fn accepted_events() -> Vec<Event> {
    let mut runner = TestRunner::new(Config {
        rng_seed: RngSeed::Fixed(tests::seed("ROUND_TRIP_SEED")),
        ..Config::default()
    });
    let mut unique = BTreeMap::new();
    for _ in 0..MOST_TRIES {
        if unique.len() == EVENTS {
            break;
        }
        let event = event().new_tree(&mut runner).unwrap().current();
        unique.insert(
            (event["topic"].to_string(), event["event_id"].to_string()),
            event,
        );
    }
    assert_eq!(unique.len(), EVENTS, "names hardly ever repeat");
    let body = serde_json::to_vec(&unique.into_values().collect::<Vec<_>>()).unwrap();
    let receipts = Receipts::new(&SystemClock, &Arc::default());
    let parsed = parse(body, &LIMITS, &receipts).unwrap();
    assert_eq!(parsed.invalid.count, 0);
    parsed.events
}

fn assert_same(stored: &StoredEvent, sent: &Event) {
    assert_eq!(
        (stored.topic.as_str(), stored.event_id.as_str()),
        sent.key()
    );
    assert_eq!(stored.timestamp, sent.timestamp);
    assert_eq!(stored.source, sent.source.as_str());
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(value(stored.payload.get()), value(sent.payload.as_str()));
}

#[tokio::test]
async fn accepted_events_survive_queue_and_stores_unchanged() {
    let sent = accepted_events();
    let address = Address::new(
        &servers::redis_url().await,
        servers::queue_name().parse().unwrap(),
    )
    .unwrap();
    let producer = RedisProducer::new(&address, EVENTS as u64);
    producer.push(sent.clone(), Hold::nothing()).await.unwrap();
    let lease = std::time::Duration::from_secs(30);
    let opened = RedisConsumer::for_workers(&address, lease, 1);
    let worker = WorkerId(Ids::default().next(SystemClock.now()));
    let taken = opened.consumers[0]
        .claim(ClaimId::first(worker), EVENTS)
        .await
        .unwrap();
    let Taken { claim, from } = taken.unwrap();
    assert_eq!(*claim.events, sent);
    from.settle(claim.id).await.unwrap();

    let (database, folder) = (servers::database().await, tempfile::tempdir().unwrap());
    let file = format!("sqlite://{}", folder.path().join("events.db").display());
    let stores: [Arc<dyn Store>; 2] = [
        Arc::new(Postgres::from_url(database.url(), 1).unwrap()),
        Arc::new(Sqlite::open(&file).unwrap()),
    ];
    for store in stores {
        store.migrate().await.unwrap();
        store.register(worker).await.unwrap();
        store.record(&claim).await.unwrap();
        for event in &sent {
            let stored = store.event(&event.topic, &event.event_id).await.unwrap();
            assert_same(&stored.unwrap(), event);
        }
        store.close().await;
    }
}
