//! The publisher's end of the queue.

use std::sync::Arc;

use async_trait::async_trait;
use event::Event;
use futures_util::future::join_all;
use rand::seq::IndexedRandom;
use runtime::{hold::Hold, readiness::Watched};

use super::{Address, backpressure::LengthLimit, failure::Failure, server::Use, shard::Shard};
use crate::{Producer, PushError};

/// Why nothing is accepted while the server has no memory left.
const MEMORY_FULL: &str = "redis has used nearly all of its maxmemory";

/// The publisher's end. A batch goes whole to one shard: a random one of those that work as far as is known. One that fails
/// gets no more batches until it was found to work again, unless all fail.
pub struct RedisProducer {
    shards: Vec<Shard>,
    limit: Arc<LengthLimit>,
}

impl RedisProducer {
    /// `max_len` bounds the waiting events of all shards; publishers that push at the same moment can exceed it by
    /// a batch each. Call it within the runtime.
    #[must_use]
    pub fn new(address: &Address, max_len: u64) -> Self {
        let servers = address.opened_to(Use::Publish);
        let limit = Arc::new(LengthLimit::new(max_len, servers.len()));
        let shards = servers.iter().enumerate();
        let shards =
            shards.map(|(number, server)| Shard::new(server.clone(), limit.clone(), number));
        Self {
            shards: shards.collect(),
            limit,
        }
    }

    fn working(&self) -> Vec<(usize, &Shard)> {
        let all = || self.shards.iter().enumerate();
        let working: Vec<_> = all().filter(|(_, shard)| shard.may_work()).collect();
        if working.is_empty() {
            all().collect()
        } else {
            working
        }
    }

    /// Every push tells the length of its shard, so the servers are asked only while the queue seems full. Of a shard that
    /// does not answer, what it told last counts.
    async fn check_length(&self, shards: &[(usize, &Shard)], batch: u64) -> Result<(), PushError> {
        if self.limit.fits(batch) {
            return Ok(());
        }
        let mut failed = None;
        let asking = shards.iter().map(|(_, shard)| shard.len());
        for ((number, _), asked) in shards.iter().zip(join_all(asking).await) {
            match asked {
                Ok(len) => self.limit.set_len(*number, len),
                Err(failure) => failed = Some(failure),
            }
        }
        if let Some(failure) = failed
            && !shards.iter().any(|(_, shard)| shard.may_work())
        {
            return Err(refused(failure));
        }
        if self.limit.has_room(batch) {
            Ok(())
        } else {
            Err(PushError::Full {
                len: self.limit.len(),
                max: self.limit.max_len(),
            })
        }
    }
}

#[async_trait]
impl Producer for RedisProducer {
    async fn push(&self, batch: Vec<Event>, hold: Hold) -> Result<(), PushError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut shards = self.working();
        shards.retain(|(_, shard)| shard.has_memory());
        if shards.is_empty() {
            return Err(PushError::NoMemory(MEMORY_FULL));
        }
        self.check_length(&shards, batch.len() as u64).await?;
        let Some((_, shard)) = shards.choose(&mut rand::rng()) else {
            return Err(PushError::NoMemory(MEMORY_FULL));
        };
        shard.push(batch, hold).await.map_err(refused)
    }

    fn watched(&self) -> Vec<Watched> {
        self.shards.iter().map(Shard::watched).collect()
    }
}

fn refused(failure: Failure) -> PushError {
    match failure {
        // It shows when a connection is made: no command was sent.
        Failure::Unfit(_) => PushError::Unfit(failure.to_string()),
        other => PushError::Unconfirmed(other.into()),
    }
}
