//! A running system is taken from one Redis to a cluster of three shards, in the steps that docs/OPERATIONS.md has; and the slots
//! of a cluster are given to another primary.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::Duration,
};

use tests::{
    SOON,
    app::{App, Deployment, Place},
    eventually,
    servers::{RedisCluster, Replicated},
};
use tokio::{sync::RwLock, time::sleep};

use super::events;

const SHARDS: &str = "--queue-shards=3";
/// How often a shard is moved while its events are stored.
const MOVES: usize = 20;
/// Between two batches.
const PAUSE: Duration = Duration::from_millis(5);

/// A client that publishes all along, to whichever publisher is the current one.
struct Client {
    publisher: RwLock<App>,
    stopped: AtomicBool,
    sent: AtomicI64,
}

impl Client {
    fn of(publisher: App) -> Self {
        Self {
            publisher: RwLock::new(publisher),
            stopped: AtomicBool::new(false),
            sent: AtomicI64::new(0),
        }
    }

    async fn publish(&self) {
        let mut batch = 0;
        while !self.stopped.load(Ordering::Relaxed) {
            let publisher = self.publisher.read().await;
            publisher
                .publish_until_accepted(&events("e", batch..batch + 3))
                .await;
            drop(publisher);
            batch += 3;
            self.sent.fetch_add(3, Ordering::Relaxed);
            sleep(PAUSE).await;
        }
    }

    /// What was sent is stored and counted once. Ends both programs.
    async fn all_is_stored_once(self, aggregator: App) {
        let sent = self.sent.load(Ordering::Relaxed);
        let counters = aggregator.drained(sent).await;
        assert_eq!(counters["received"], sent, "{counters}");
        assert_eq!(counters["unique_processed"], sent, "{counters}");
        self.publisher.into_inner().stop().await;
        aggregator.stop().await;
    }

    /// Waits until so many more events are accepted.
    async fn reaches(&self, more: i64) {
        let least = self.sent.load(Ordering::Relaxed) + more;
        eventually("more is published", SOON, async || {
            self.sent.load(Ordering::Relaxed) >= least
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_system_is_taken_from_one_redis_to_a_cluster_of_three_shards() {
    let cluster = RedisCluster::start(3, 0).await;
    let place = Place::of(Deployment::Services).await;
    let there = Place::at(&cluster.url(), place.database_url());
    let former = place.aggregator(&["--lease-seconds=2"]);
    let client = Client::of(place.publisher(&[]));

    let steps = async {
        client.reaches(60).await;
        // 1. Aggregators of the new queue, beside those of the former one.
        let aggregator = there.aggregator(&[SHARDS, "--lease-seconds=2"]);
        aggregator.ready().await;
        client.reaches(30).await;
        // 2. Publishers, one after another.
        let publisher = there.publisher(&[SHARDS]);
        publisher.ready().await;
        let old = std::mem::replace(&mut *client.publisher.write().await, publisher);
        old.stop().await;
        client.reaches(60).await;
        // 3. Once the former queue is empty, its aggregators.
        eventually("the former queue is empty", SOON, async || {
            let queue = &former.stats().await["queue"];
            queue["pending"] == 0 && queue["processing"] == 0
        })
        .await;
        former.stop().await;
        client.reaches(30).await;
        client.stopped.store(true, Ordering::Relaxed);
        aggregator
    };
    let ((), aggregator) = tokio::join!(client.publish(), steps);

    client.all_is_stored_once(aggregator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_is_given_to_another_primary_key_by_key_while_it_is_used() {
    let cluster = RedisCluster::start(3, 0).await;
    let place = Place::with_redis(&cluster.url()).await.named("moved");
    let client = Client::of(place.publisher(&[SHARDS]));
    let slot = cluster.slot_of_shard("moved", 0).await;
    let steps = async {
        client.reaches(60).await;
        let moved = cluster.move_slot(slot, 0, 1).await;
        assert!(moved > 0, "events wait in it");
        let aggregator = place.aggregator(&[SHARDS, "--lease-seconds=2"]);
        for round in 1..=MOVES {
            client.reaches(15).await;
            let (from, to) = (round % 3, (round + 1) % 3);
            cluster.move_slot(slot, from, to).await;
        }
        client.reaches(60).await;
        client.stopped.store(true, Ordering::Relaxed);
        aggregator
    };
    let ((), aggregator) = tokio::join!(client.publish(), steps);
    client.all_is_stored_once(aggregator).await;
}
