//! What only the queue in Redis does: several shards, and replicas that are waited for. All shards are in one server here;
//! `tests/tests/it/failovers` has them in clusters.

use std::{collections::HashSet, sync::Arc, time::Duration};

use event::ClaimId;
use queue::{
    Consumer, Depth, Opened, Producer, PushError, Shards,
    redis::{Address, RedisConsumer, RedisProducer},
};
use runtime::hold::Hold;
use tests::{
    SOON,
    app::{Deployment, Place},
    events::events,
    eventually,
    servers::{self, OwnRedis},
};
use tokio::time::timeout;

use super::{LEASE, MAX_LEN, a_worker};

async fn address(shards: u16) -> Address {
    let name = servers::queue_name().parse().unwrap();
    let address = Address::new(&servers::redis_url().await, name).unwrap();
    address.in_shards(shards)
}

async fn depths(shards: &Arc<dyn Shards>) -> Vec<Depth> {
    let mut depths = Vec::new();
    for queue in shards.all() {
        depths.push(queue.depth().await.unwrap());
    }
    depths
}

async fn pending(opened: &Opened) -> Vec<u64> {
    let depths = depths(&opened.shards).await;
    depths.iter().map(|depth| depth.pending).collect()
}

/// Claims as a worker does, until so many events were taken; how many of them came from each shard, by name.
async fn taken(consumer: &dyn Consumer, events: usize) -> Vec<String> {
    let (mut id, mut from, mut left) = (a_worker(), Vec::new(), events);
    let all = async {
        while left > 0 {
            match consumer.claim(id, 1).await.unwrap() {
                Some(taken) => {
                    left -= taken.claim.len();
                    from.push(taken.from.shard());
                    taken.from.settle(id).await.unwrap();
                    id = id.next();
                }
                None => consumer.wait().await.unwrap(),
            }
        }
    };
    timeout(SOON, all).await.expect("all is taken");
    from
}

#[tokio::test]
async fn a_batch_is_in_one_shard_and_batches_are_in_all() {
    let address = address(3).await;
    let producer = RedisProducer::new(&address, MAX_LEN);
    let opened = RedisConsumer::for_workers(&address, LEASE, 1);
    for batch in 0..60 {
        let batch = events(&format!("t{batch}"), 5);
        producer.push(batch, Hold::nothing()).await.unwrap();
    }
    let pending = pending(&opened).await;
    assert_eq!(pending.iter().sum::<u64>(), 300);
    assert!(pending.iter().all(|events| events % 5 == 0), "{pending:?}");
    // To leave one of three out has a chance of (2/3)^60.
    assert!(pending.iter().all(|&events| events > 0), "{pending:?}");
}

#[tokio::test]
async fn every_shard_is_served_in_turn() {
    let address = address(3).await;
    let producer = RedisProducer::new(&address, MAX_LEN);
    let opened = RedisConsumer::for_workers(&address, LEASE, 1);
    for batch in 0..60 {
        let batch = events(&format!("t{batch}"), 1);
        producer.push(batch, Hold::nothing()).await.unwrap();
    }
    let from = taken(&*opened.consumers[0], 60).await;
    let shards: HashSet<&String> = from.iter().collect();
    assert_eq!(shards.len(), 3);
    let first: HashSet<&String> = from[..3].iter().collect();
    assert_eq!(first.len(), 3, "one after the other: {from:?}");
}

#[tokio::test]
async fn an_idle_worker_is_woken_by_an_event_in_any_shard() {
    let address = address(3).await;
    let producer = RedisProducer::new(&address, MAX_LEN);
    let opened = RedisConsumer::for_workers(&address, LEASE, 2);
    let consumer = opened.consumers[0].clone();
    assert!(consumer.claim(a_worker(), 1).await.unwrap().is_none());
    for batch in 0..10 {
        let waiting = tokio::spawn({
            let consumer = opened.consumers[batch % 2].clone();
            async move { taken(&*consumer, 1).await }
        });
        let batch = events(&format!("t{batch}"), 1);
        producer.push(batch, Hold::nothing()).await.unwrap();
        waiting.await.unwrap();
    }
}

#[tokio::test]
async fn the_limit_is_for_all_shards_together() {
    let address = address(3).await;
    let producer = RedisProducer::new(&address, 100);
    let opened = RedisConsumer::for_workers(&address, LEASE, 1);
    for batch in 0..10 {
        let batch = events(&format!("t{batch}"), 10);
        producer.push(batch, Hold::nothing()).await.unwrap();
    }
    let full = producer.push(events("t", 10), Hold::nothing()).await;
    let Err(PushError::Full { len, max }) = full else {
        panic!("{full:?}");
    };
    assert_eq!((len, max), (100, 100));
    assert_eq!(pending(&opened).await.iter().sum::<u64>(), 100);
    taken(&*opened.consumers[0], 100).await;
    let again = producer.push(events("t", 10), Hold::nothing()).await;
    again.unwrap();
}

#[tokio::test]
async fn shards_of_another_number_are_served_once_they_are_named() {
    let one = address(1).await;
    let three = one.in_shards(3);
    let former = RedisProducer::new(&one, MAX_LEN);
    former.push(events("a", 4), Hold::nothing()).await.unwrap();
    let producer = RedisProducer::new(&three, MAX_LEN);
    producer
        .push(events("b", 4), Hold::nothing())
        .await
        .unwrap();

    let opened = RedisConsumer::for_workers(&three, LEASE, 1);
    assert_eq!(opened.shards.layout(), Some((one.name().to_string(), 3)));
    assert_eq!(pending(&opened).await.iter().sum::<u64>(), 4);
    opened.shards.serve_also(1);
    assert_eq!(opened.shards.all().len(), 4);
    taken(&*opened.consumers[0], 8).await;
    assert_eq!(pending(&opened).await, [0; 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_shards_of_an_earlier_number_is_stored_after_the_number_has_changed() {
    let place = Place::of(Deployment::Services).await;
    let batch = |name: &str| -> serde_json::Value {
        let event = |n| serde_json::json!({"topic": "t", "event_id": format!("{name}-{n}")});
        (0..20).map(event).collect()
    };
    let mut publish = Vec::new();
    for shards in ["1", "4", "2"] {
        // Its aggregator has been there, so the number is known, and it has stored nothing of what comes now.
        let aggregator = place.aggregator(&["--queue-shards", shards]);
        aggregator.ready().await;
        eventually("it has entered its number", SOON, async || {
            let shards: i32 = shards.parse().unwrap();
            let known = "SELECT EXISTS (SELECT FROM queue_layouts WHERE shards = $1)";
            let pool = sqlx::PgPool::connect(place.database_url()).await.unwrap();
            let known = sqlx::query_scalar::<_, bool>(known).bind(shards);
            known.fetch_one(&pool).await.unwrap()
        })
        .await;
        aggregator.stop().await;
        let publisher = place.publisher(&["--queue-shards", shards]);
        publisher.publish_until_accepted(&batch(shards)).await;
        publish.push(publisher);
    }
    let aggregator = place.aggregator(&["--queue-shards", "2"]);
    let counters = aggregator.drained(60).await;
    assert_eq!(counters["unique_processed"], 60, "{counters}");
    for publisher in publish {
        publisher.stop().await;
    }
    aggregator.stop().await;
}

/// A queue whose pushes and claims wait for one replica.
fn replicated(redis: &OwnRedis) -> (RedisProducer, Opened) {
    let address = Address::new(&redis.url(), "events".parse().unwrap()).unwrap();
    let address = address.waiting_for_replicas(1);
    let opened = RedisConsumer::for_workers(&address, Duration::ZERO, 1);
    (RedisProducer::new(&address, MAX_LEN), opened)
}

async fn with_replica(primary: &OwnRedis) -> OwnRedis {
    let port = primary.port().to_string();
    let replica =
        OwnRedis::start_with(&["--replicaof", "127.0.0.1", &port, "--repl-timeout", "5"]).await;
    eventually("it follows", SOON, async || {
        let mut redis = super::connect(&primary.url()).await;
        let (role, _, replicas): (String, u64, Vec<redis::Value>) =
            redis::cmd("ROLE").query_async(&mut redis).await.unwrap();
        role == "master" && replicas.len() == 1
    })
    .await;
    replica
}

#[tokio::test]
async fn nothing_is_accepted_or_claimed_that_too_few_replicas_have() {
    let primary = OwnRedis::start_with(&["--repl-diskless-sync-delay", "0"]).await;
    let (producer, opened) = replicated(&primary);
    let consumer = &opened.consumers[0];
    let pushed = producer.push(events("a", 1), Hold::nothing()).await;
    let Err(PushError::Unconfirmed(error)) = pushed else {
        panic!("{pushed:?}");
    };
    assert!(
        error.to_string().contains("only 0 of 1 replicas"),
        "{error}"
    );
    // It is there all the same, as after an answer that was lost.
    let Err(error) = consumer.claim(a_worker(), 10).await.map(|_| ()) else {
        panic!("no replica has the claim");
    };
    assert!(
        error.to_string().contains("only 0 of 1 replicas"),
        "{error}"
    );
    let queue = opened.shards.all().remove(0);
    assert_eq!(queue.depth().await.unwrap().processing, 1);
    assert!(queue.adopt().await.is_err(), "no replica has it");

    let _replica = with_replica(&primary).await;
    let adopted = queue.adopt().await.unwrap().expect("its lease is over");
    queue.settle(adopted.id).await.unwrap();
    producer
        .push(events("b", 2), Hold::nothing())
        .await
        .unwrap();
    let mut id: ClaimId = a_worker();
    eventually("it is claimed", SOON, async || {
        consumer.wait().await.unwrap();
        id = id.next();
        consumer.claim(id, 10).await.unwrap().is_some()
    })
    .await;
}

#[tokio::test]
async fn a_push_that_is_refused_tells_the_reason_of_the_server() {
    let redis = OwnRedis::start_with(&["--min-replicas-to-write", "1"]).await;
    for replicas in [0, 1] {
        let address = Address::new(&redis.url(), "events".parse().unwrap()).unwrap();
        let producer = RedisProducer::new(&address.waiting_for_replicas(replicas), MAX_LEN);
        let pushed = producer.push(events("a", 1), Hold::nothing()).await;
        let Err(PushError::Unconfirmed(error)) = pushed else {
            panic!("{pushed:?}");
        };
        assert!(error.to_string().contains("NOREPLICAS"), "{error}");
        let (dependency, _) = producer.watched().remove(0);
        let shown = dependency.check().unwrap_err();
        assert!(shown.contains("too few replicas follow it"), "{shown}");
    }
}
