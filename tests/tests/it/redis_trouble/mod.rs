//! What Redis may answer when something is wrong with it: nothing accepted is lost, nothing is counted
//! twice, and all goes on by itself once it is mended.

mod contents;
mod failover;
mod refusals;

use std::time::Duration;

use redis::{FromRedisValue, aio::MultiplexedConnection};
use serde_json::{Value, json};
use tests::{
    app::{App, Place},
    chaos::proxy::Proxy,
    servers::OwnRedis,
};

const NO_LATENCY: Duration = Duration::ZERO;

/// A Redis of the test's own, and the system over it.
struct Scene {
    redis: OwnRedis,
    proxy: Proxy,
    place: Place,
}

/// The name of the queue.
const QUEUE: &str = "events";

impl Scene {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(redis: &[&str]) -> Self {
        let redis = OwnRedis::start_with(redis).await;
        let proxy = Proxy::start(address(&redis), NO_LATENCY).await;
        let url = format!("redis://{}", proxy.address());
        let place = Place::with_redis(&url).await.named(QUEUE);
        Self {
            redis,
            proxy,
            place,
        }
    }

    fn publisher(&self) -> App {
        self.place.publisher(&[])
    }

    fn aggregator(&self) -> App {
        self.place.aggregator(&["--lease-seconds=2"])
    }

    /// The same queue and store, with this address of Redis.
    fn with_redis(&self, url: &str) -> Place {
        Place::at(url, self.place.database_url()).named(QUEUE)
    }

    async fn ask<T: FromRedisValue>(&self, command: &str) -> T {
        ask(&self.redis, command).await
    }
}

fn address(redis: &OwnRedis) -> std::net::SocketAddr {
    ([127, 0, 0, 1], redis.port()).into()
}

async fn connect(redis: &OwnRedis) -> MultiplexedConnection {
    let client = redis::Client::open(redis.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn ask<T: FromRedisValue>(redis: &OwnRedis, command: &str) -> T {
    ask_words(redis, &command.split(' ').collect::<Vec<_>>()).await
}

async fn ask_words<T: FromRedisValue>(redis: &OwnRedis, words: &[&str]) -> T {
    let asked = redis::cmd(words[0]).arg(&words[1..]).clone();
    asked.query_async(&mut connect(redis).await).await.unwrap()
}

fn events(ids: std::ops::Range<u32>) -> Value {
    ids.map(|id| json!({"topic": "t", "event_id": id.to_string()}))
        .collect()
}

async fn stop(apps: [App; 2]) {
    for app in apps {
        app.stop().await;
    }
}

async fn assert_exact(aggregator: &App, received: i64, unique: i64) {
    let counters = aggregator.drained(received).await;
    assert_eq!(
        (&counters["received"], &counters["unique_processed"]),
        (&json!(received), &json!(unique)),
        "{counters}"
    );
    assert_eq!(counters["dead_lettered"], 0);
}
