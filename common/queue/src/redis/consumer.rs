//! A worker's end of the queue.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use event::{Claim, ClaimId};
use redis::{AsyncCommands, Direction};

use super::{
    Address,
    connections::Connections,
    failure::Failure,
    health::Step,
    keys::Keys,
    queue::{ANSWER_WITHIN, RedisQueue},
    server::Use,
};
use crate::{Consumer, Opened, QueueError};

/// How long a worker is parked in one `BLMOVE`.
const WAIT: Duration = Duration::from_secs(1);

/// A worker's end. Each worker has its own, because waiting blocks the connection.
pub struct RedisConsumer {
    waiting: Connections,
    queue: Arc<RedisQueue>,
}

impl RedisConsumer {
    /// Opens the queue for `workers` workers of this process; a claim is theirs for `lease` at a time, and for
    /// [`LONGEST_LEASE`](crate::LONGEST_LEASE) at most. Call it within the runtime.
    #[must_use]
    pub fn for_workers(address: &Address, lease: Duration, workers: usize) -> Opened {
        let server = address.opened_to(Use::Work);
        let queue = Arc::new(RedisQueue::new(server.clone(), lease));
        let consumer = || Self {
            waiting: Connections::one(server.peer.clone(), WAIT + ANSWER_WITHIN),
            queue: queue.clone(),
        };
        Opened {
            consumers: (0..workers).map(|_| Arc::new(consumer()) as _).collect(),
            queue,
        }
    }
}

#[async_trait]
impl Consumer for RedisConsumer {
    async fn wait(&self) -> Result<(), QueueError> {
        let Keys { queue, handoff, .. } = self.queue.keys();
        let (from, to) = (Direction::Right, Direction::Left);
        let waited = self
            .waiting
            .run(async |redis| {
                redis
                    .blmove::<_, _, Option<Vec<u8>>>(queue, handoff, from, to, WAIT.as_secs_f64())
                    .await
            })
            .await;
        let waited = waited.map(|_| ()).map_err(Failure::from);
        self.queue.note(Step::Wait, waited, |()| false)
    }

    async fn claim(&self, id: ClaimId, max: usize) -> Result<Option<Claim>, QueueError> {
        self.queue.claim(id, max).await
    }
}
