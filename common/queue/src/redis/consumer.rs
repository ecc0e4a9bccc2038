//! The workers' ends of the queue.
//!
//! One connection a shard waits for events, however many workers there are. A shard is awake or asleep. While it is awake,
//! workers claim from it without waiting. The worker that finds it empty sends it to sleep, and only then the connection waits.
//! When something arrives, or a second has passed, the shard is awake again, and one idle worker is told. Each worker that has
//! claimed something tells the next one, so as many work as there is work for.

use std::{
    sync::{
        Arc, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use event::ClaimId;
use runtime::lifecycle::Backoff;
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Address,
    queue::{RedisQueue, WAIT},
    server::Use,
};
use crate::{Consumer, Opened, Queue, QueueError, Shards, Taken};

/// The end of a worker. All workers of a process share what is known of the shards.
pub struct RedisConsumer(Arc<Served>);

/// The shards that the workers of this process serve.
struct Served {
    address: Address,
    lease: Duration,
    workers: usize,
    shards: RwLock<Vec<Arc<Shard>>>,
    /// The shard that the next claim begins with.
    turn: AtomicUsize,
    /// A shard is awake that somebody should look at.
    arrived: Notify,
    /// Ends waiting when nobody serves any more.
    closed: CancellationToken,
    _close: DropGuard,
}

/// A shard, and whether it is awake.
struct Shard {
    queue: Arc<RedisQueue>,
    /// Odd: awake. It grows with each change, so that nobody sends a shard to sleep for what was before it woke.
    changes: AtomicU64,
    asleep: Notify,
    /// A claim has failed since it was woken.
    failed: AtomicBool,
}

impl RedisConsumer {
    /// Opens the queue for `workers` workers of this process; a claim is theirs for `lease` at a time, and for
    /// [`LONGEST_LEASE`](crate::LONGEST_LEASE) at most. Call it within the runtime.
    #[must_use]
    pub fn for_workers(address: &Address, lease: Duration, workers: usize) -> Opened {
        let closed = CancellationToken::new();
        let served = Arc::new(Served {
            address: address.clone(),
            lease,
            workers,
            shards: RwLock::default(),
            turn: AtomicUsize::new(0),
            arrived: Notify::new(),
            _close: closed.clone().drop_guard(),
            closed,
        });
        served.add(address);
        Opened {
            consumers: (0..workers)
                .map(|_| Arc::new(Self(served.clone())) as _)
                .collect(),
            shards: Arc::new(RedisShards(served)),
        }
    }
}

#[async_trait]
impl Consumer for RedisConsumer {
    async fn wait(&self) -> Result<(), QueueError> {
        // Running out of time is as good an answer as an event: the caller looks again.
        let _ = timeout(WAIT, self.0.arrived.notified()).await;
        Ok(())
    }

    async fn claim(&self, id: ClaimId, max: usize) -> Result<Option<Taken>, QueueError> {
        let served = &self.0;
        let mut shards = served.shards();
        let turn = served.turn.fetch_add(1, Ordering::Relaxed);
        let first = turn % shards.len().max(1);
        shards.rotate_left(first);
        for shard in shards {
            let Some(awake) = shard.awake() else {
                continue;
            };
            match shard.queue.claim(id, max).await {
                Ok(Some(claim)) => {
                    served.arrived.notify_one();
                    let from = shard.queue.clone();
                    return Ok(Some(Taken { claim, from }));
                }
                Ok(None) => shard.sleep(awake),
                Err(error) => {
                    shard.failed.store(true, Ordering::Relaxed);
                    shard.sleep(awake);
                    return Err(error);
                }
            }
        }
        Ok(None)
    }
}

/// The shards of a queue in Redis, as a whole.
struct RedisShards(Arc<Served>);

impl Shards for RedisShards {
    fn all(&self) -> Vec<Arc<dyn Queue>> {
        let shards = self.0.shards().into_iter();
        shards.map(|shard| shard.queue.clone() as _).collect()
    }

    fn layout(&self) -> Option<(String, u16)> {
        let address = &self.0.address;
        Some((address.name().to_string(), address.shards()))
    }

    fn serve_also(&self, shards: u16) {
        self.0.add(&self.0.address.in_shards(shards));
    }
}

impl Served {
    fn add(self: &Arc<Self>, address: &Address) {
        for server in address.opened_to(Use::Work) {
            let queue = RedisQueue::new(server.clone(), self.lease, self.workers);
            let shard = Arc::new(Shard {
                queue: Arc::new(queue),
                changes: AtomicU64::new(1),
                asleep: Notify::new(),
                failed: AtomicBool::new(false),
            });
            let waiting = wait_for_events(shard.clone(), Arc::downgrade(self));
            tokio::spawn(self.closed.clone().run_until_cancelled_owned(waiting));
            // No step under the lock can panic half-way through a change.
            let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
            shards.push(shard);
        }
    }

    fn shards(&self) -> Vec<Arc<Shard>> {
        self.shards
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Shard {
    /// What to give to [`Self::sleep`]. `None`: it is asleep.
    fn awake(&self) -> Option<u64> {
        let changes = self.changes.load(Ordering::Acquire);
        (changes % 2 == 1).then_some(changes)
    }

    /// It was empty, or failed, some time after it was looked at. If it was woken since, it stays awake.
    fn sleep(&self, awake: u64) {
        let (order, failed) = (Ordering::AcqRel, Ordering::Relaxed);
        let changed = self
            .changes
            .compare_exchange(awake, awake + 1, order, failed);
        if changed.is_ok() {
            self.asleep.notify_one();
        }
    }

    /// Only the one who waits for events wakes it.
    fn wake(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }
}

/// Wakes a shard whenever it may have something, for as long as it is served. One that fails is left alone for a while, and
/// the workers serve the others.
async fn wait_for_events(shard: Arc<Shard>, served: Weak<Served>) {
    let mut backoff = Backoff::default();
    loop {
        shard.asleep.notified().await;
        if shard.failed.swap(false, Ordering::Relaxed) {
            backoff.sleep().await;
        } else {
            backoff = Backoff::default();
        }
        while let Err(error) = shard.queue.wait().await {
            tracing::debug!(%error, "nobody can wait for events");
            backoff.sleep().await;
        }
        shard.wake();
        let Some(served) = served.upgrade() else {
            return;
        };
        served.arrived.notify_one();
    }
}
