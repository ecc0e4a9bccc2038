//! The publisher's end of one shard.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use event::Event;
use runtime::{hold::Hold, readiness::Watched};

use super::{
    backpressure::LengthLimit,
    connections::Connections,
    failure::Failure,
    health::Step,
    pushes::{MAX_GROUPS, Pushes, length},
    rehearsal::Rehearsal,
    server::Server,
};

/// How long the server may take to answer a command.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Connections of a publisher to a shard: one for each command that may be under way.
pub const PUSH_CONNECTIONS: NonZeroUsize = MAX_GROUPS;

pub(super) struct Shard {
    connections: Arc<Connections>,
    server: Arc<Server>,
    pushes: Arc<Pushes>,
}

impl Shard {
    /// Its pushes tell `limit` how long the shard with this number is.
    pub(super) fn new(server: Arc<Server>, limit: Arc<LengthLimit>, number: usize) -> Self {
        let connections =
            Connections::several(PUSH_CONNECTIONS, server.peer.clone(), ANSWER_WITHIN);
        let connections = Arc::new(connections);
        let pushes = Pushes::new(connections.clone(), server.clone(), limit, number);
        Self {
            connections,
            server,
            pushes: Arc::new(pushes),
        }
    }

    /// Whether it works, as far as is known. One that has not answered yet may.
    pub(super) fn may_work(&self) -> bool {
        !self.server.health.dependency().is_unwell()
    }

    pub(super) fn has_memory(&self) -> bool {
        !self.server.memory.is_full()
    }

    /// How many events wait in it.
    pub(super) async fn len(&self) -> Result<u64, Failure> {
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
        let (queue, handoff, extra): (u64, u64, Option<i64>) = asked?;
        Ok(length(queue + handoff, extra.unwrap_or(0)))
    }

    pub(super) async fn push(&self, batch: Vec<Event>, hold: Hold) -> Result<(), Failure> {
        let pushed = self.pushes.push(batch, hold).await.map_err(Failure::from);
        self.server.health.note(Step::Push, &pushed, |()| true);
        pushed
    }

    pub(super) fn watched(&self) -> Watched {
        Rehearsal::watch(&self.server)
    }
}
