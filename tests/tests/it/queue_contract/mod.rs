//! What every queue promises, checked on each, and what only the one in memory or in Redis does.

macro_rules! contract {
    ($($case:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $case() {
                super::$case(crate::queue_contract::Queue::in_memory()).await;
            })*
        }
        mod redis_ {
            $(#[tokio::test]
            async fn $case() {
                super::$case(crate::queue_contract::Queue::in_redis().await).await;
            })*
        }
    };
}

mod every_queue;
mod memory;
mod redis_frames;
mod redis_keys;
mod redis_leases;
mod redis_rights;
mod redis_shards;

use std::{sync::Arc, time::Duration};

use event::{
    Claim, ClaimId, Event, Verdict, WorkerId,
    clock::{Clock, Ids, SystemClock},
};
use queue::{
    Consumer, Depth, Producer, PushError,
    memory::MemoryQueue,
    redis::{Address, RedisConsumer, RedisProducer},
};
use redis::AsyncCommands;
use runtime::hold::Hold;
use tests::{SOON, eventually, servers};
use tokio::{task::JoinHandle, time::timeout};

const MAX_LEN: u64 = 1000;
const LEASE: Duration = Duration::from_secs(30);

struct Queue {
    producer: Arc<dyn Producer>,
    consumers: [Arc<dyn Consumer>; 2],
    claims: Arc<dyn queue::Queue>,
}

impl Queue {
    fn in_memory() -> Self {
        let queue = Arc::new(MemoryQueue::new(MAX_LEN));
        Self {
            producer: queue.clone(),
            consumers: [queue.clone().consumer(), queue.clone().consumer()],
            claims: queue,
        }
    }

    async fn in_redis() -> Self {
        Self::at(&servers::redis_url().await, &servers::queue_name())
    }

    fn at(url: &str, name: &str) -> Self {
        let address = Address::new(url, name.parse().unwrap()).unwrap();
        let opened = RedisConsumer::for_workers(&address, LEASE, 2);
        let [one, two] = &opened.consumers[..] else {
            panic!("one for each worker");
        };
        Self {
            producer: Arc::new(RedisProducer::new(&address, MAX_LEN)),
            consumers: [one.clone(), two.clone()],
            claims: opened.shards.all().remove(0),
        }
    }

    /// Pushes in the background (a queue in memory confirms only once the events are settled) and
    /// returns when the events wait in the queue.
    async fn push(&self, batch: Vec<Event>) -> JoinHandle<Result<(), PushError>> {
        let expected = self.depth().await.pending + batch.len() as u64;
        let producer = self.producer.clone();
        let pushing = tokio::spawn(async move { producer.push(batch, Hold::nothing()).await });
        eventually("the batch waits in the queue", SOON, async || {
            self.depth().await.pending == expected
        })
        .await;
        pushing
    }

    /// Pushes, and waits until that is confirmed.
    async fn pushed(&self, batch: Vec<Event>) {
        let pushing = self.push(batch).await;
        confirmed(pushing).await.unwrap();
    }

    /// How much is in it; how long it has been there is left out.
    async fn depth(&self) -> Depth {
        let depth = self.claims.depth().await.unwrap();
        Depth {
            oldest: None,
            ..depth
        }
    }

    /// As a worker does it: what is not known to be there is waited for.
    async fn claim(&self, id: ClaimId, max: usize) -> Option<Claim> {
        let consumer = &self.consumers[0];
        let mut taken = consumer.claim(id, max).await.unwrap();
        if taken.is_none() {
            consumer.wait().await.unwrap();
            taken = consumer.claim(id, max).await.unwrap();
        }
        taken.map(|taken| taken.claim)
    }

    async fn settle(&self, claim: &Claim) {
        let verdicts = vec![Verdict::Accepted; claim.events.len()];
        self.claims.recorded(claim.id, &verdicts);
        self.claims.settle(claim.id).await.unwrap();
    }
}

/// What a task comes to that is bound to end.
async fn confirmed<T>(task: JoinHandle<T>) -> T {
    let ended = timeout(SOON, task).await;
    ended.expect("it ends in time").expect("it ends well")
}

fn a_worker() -> ClaimId {
    ClaimId::first(WorkerId(Ids::default().next(SystemClock.now())))
}

fn depth(pending: u64, processing: u64) -> Depth {
    Depth {
        pending,
        processing,
        oldest: None,
    }
}

async fn connect(url: &str) -> redis::aio::MultiplexedConnection {
    redis::Client::open(url)
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap()
}

async fn keys(url: &str, name: &str) -> Vec<String> {
    connect(url)
        .await
        .keys(format!("{{{name}}}:*"))
        .await
        .unwrap()
}
