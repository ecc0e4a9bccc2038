//! The publisher's end of the queue.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use async_trait::async_trait;
use event::Event;
use runtime::{hold::Hold, readiness::Watched};

use super::{
    Address,
    backpressure::LengthLimit,
    connections::Connections,
    failure::Failure,
    health::Step,
    pushes::{MAX_GROUPS, Pushes, length},
    rehearsal::Rehearsal,
    server::{Server, Use},
};
use crate::{Producer, PushError};

/// How long the server may take to answer a command.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Connections of a publisher: one for each command that may be under way.
pub const PUSH_CONNECTIONS: NonZeroUsize = MAX_GROUPS;

/// Why nothing is accepted while the server has no memory left.
const MEMORY_FULL: &str = "redis has used nearly all of its maxmemory";

/// The publisher's end.
pub struct RedisProducer {
    connections: Arc<Connections>,
    server: Arc<Server>,
    limit: Arc<LengthLimit>,
    pushes: Arc<Pushes>,
}

impl RedisProducer {
    /// `max_len` bounds the waiting events; publishers that push at the same moment can exceed it by
    /// a batch each. Call it within the runtime.
    #[must_use]
    pub fn new(address: &Address, max_len: u64) -> Self {
        let server = address.opened_to(Use::Publish);
        let connections =
            Connections::several(PUSH_CONNECTIONS, server.peer.clone(), ANSWER_WITHIN);
        let (connections, limit) = (Arc::new(connections), Arc::new(LengthLimit::new(max_len)));
        let pushes = Pushes::new(connections.clone(), server.clone(), limit.clone());
        Self {
            connections,
            server,
            limit,
            pushes: Arc::new(pushes),
        }
    }

    /// Every push tells the length, so the server is asked only while the queue seems full.
    async fn check_limits(&self, batch: u64) -> Result<(), PushError> {
        if self.server.memory.is_full() {
            return Err(PushError::NoMemory(MEMORY_FULL));
        }
        if self.limit.fits(batch) {
            return Ok(());
        }
        let keys = &self.server.keys;
        let mut ask = redis::pipe();
        ask.atomic()
            .llen(&keys.queue)
            .llen(&keys.handoff)
            .get(&keys.extra);
        let asked = self
            .connections
            .run(async |redis| ask.query_async(redis).await)
            .await;
        let asked = asked.map_err(Failure::from);
        self.server.health.note(Step::Push, &asked, |_| false);
        let (queue, handoff, extra): (u64, u64, Option<i64>) = asked.map_err(refused)?;
        let len = length(queue + handoff, extra.unwrap_or(0));
        if self.limit.fits_into(len, batch) {
            Ok(())
        } else {
            Err(PushError::Full {
                len,
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
        self.check_limits(batch.len() as u64).await?;
        let pushed = self.pushes.push(batch, hold).await.map_err(Failure::from);
        self.server.health.note(Step::Push, &pushed, |()| true);
        pushed.map_err(refused)
    }

    fn watched(&self) -> Option<Watched> {
        Some(Rehearsal::watch(&self.server))
    }
}

fn refused(failure: Failure) -> PushError {
    match failure {
        // It shows when a connection is made: no command was sent.
        Failure::Unfit(_) => PushError::Unfit(failure.to_string()),
        other => PushError::Unconfirmed(other.into()),
    }
}
