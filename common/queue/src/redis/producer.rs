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

    /// The shards that a batch may go to: those that work and have memory left, as far as is known. If none works, all may.
    fn open(&self) -> Vec<(usize, &Shard)> {
        let all = || self.shards.iter().enumerate();
        let mut open: Vec<_> = all().filter(|(_, shard)| shard.may_work()).collect();
        if open.is_empty() {
            open = all().collect();
        }
        open.retain(|(_, shard)| shard.has_memory());
        open
    }

    /// A random one of them. It is asked for with every push, and one shard takes no choice.
    fn chosen(&self) -> Option<&Shard> {
        if let [only] = &self.shards[..] {
            return Some(only).filter(|only| only.has_memory());
        }
        let open = self.open();
        open.choose(&mut rand::rng()).map(|(_, shard)| *shard)
    }

    /// Every push tells the length of its shard, so the servers are asked only while the queue seems full. Of a shard that
    /// does not answer, what it told last counts.
    async fn check_length(&self, batch: u64) -> Result<(), PushError> {
        if self.limit.fits(batch) {
            return Ok(());
        }
        let shards = self.open();
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
        let shard = self.chosen().ok_or(PushError::NoMemory(MEMORY_FULL))?;
        self.check_length(batch.len() as u64).await?;
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
