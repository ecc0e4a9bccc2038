//! One shard of the queue. All workers of the process share it.

use std::{collections::HashSet, num::NonZeroUsize, sync::Arc, time::Duration};

use async_trait::async_trait;
use event::{
    Claim, ClaimId, WorkerId,
    element::{self, Opened},
    frame,
};
use redis::{AsyncCommands, Direction, FromRedisValue, ParsingError, ScriptInvocation, Value};
use runtime::readiness::Watched;

use super::{
    connections::Connections,
    failure::Failure,
    health::Step,
    keys::Keys,
    rehearsal::Rehearsal,
    scripts::{Scripts, about, millis},
    server::Server,
};
use crate::{Depth, Holder, LONGEST_LEASE, Queue, QueueError};

/// How long the server may take to answer a command that does not wait.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A claim takes no further event once it has this many bytes.
const MAX_CLAIM_BYTES: usize = 8 * 1024 * 1024;
/// An element of more bytes is not read, but set aside in Redis. This is twice the largest `MAX_EVENT_BYTES`, so an event
/// that a publisher has accepted is never so large.
pub const MAX_ELEMENT_BYTES: usize = frame::MAX_BODY_BYTES;

/// How long one `BLMOVE` waits for an event.
pub(super) const WAIT: Duration = Duration::from_secs(1);

/// One shard of the queue.
pub struct RedisQueue {
    server: Arc<Server>,
    /// For claims.
    connections: Connections,
    /// For making and adopting claims, where replicas are asked: each keeps its connection until they have answered.
    claiming: Option<Connections>,
    /// For waiting, which blocks it.
    waiting: Connections,
    /// For questions: no claim keeps them waiting.
    asking: Connections,
    scripts: Scripts,
    lease_millis: u64,
}

#[async_trait]
impl Queue for RedisQueue {
    async fn renew(&self, id: ClaimId) -> Result<bool, QueueError> {
        let mut script = about(&self.scripts.renew, self.keys(), id);
        script.arg(self.lease_millis);
        let renewed = self.run(&script).await;
        self.note(Step::Renew, renewed, |renewed| *renewed)
    }

    async fn settle(&self, id: ClaimId) -> Result<(), QueueError> {
        let script = about(&self.scripts.settle, self.keys(), id);
        let settled = self.run(&script).await;
        self.note(Step::Settle, settled, |()| true)
    }

    async fn release(&self, id: ClaimId, holder: Holder) -> Result<bool, QueueError> {
        let mut script = about(&self.scripts.release, self.keys(), id);
        script.arg(u8::from(holder == Holder::Anyone));
        let released = self.run(&script).await;
        self.note(Step::Release, released, |done| *done)
    }

    async fn adopt(&self) -> Result<Option<Claim>, QueueError> {
        let script = self.scripts.adopt(self.keys(), self.lease_millis);
        let found = self.run_replicated(&script, Vec::<Vec<u8>>::is_empty).await;
        let mut found = self.note(Step::Adopt, found, |found| !found.is_empty())?;
        if found.is_empty() {
            return Ok(None);
        }
        let elements = found.split_off(1);
        let id = String::from_utf8_lossy(&found[0]);
        match id.parse() {
            Ok(id) => Ok(Some(into_claim(id, elements))),
            Err(_) => Err(Failure::Foreign(id.into_owned()).into()),
        }
    }

    async fn holders(&self) -> Result<HashSet<WorkerId>, QueueError> {
        let leases = &self.keys().leases;
        let ids: Vec<String> = self
            .asking
            .run(async |redis| redis.zrange(leases, 0, -1).await)
            .await
            .map_err(Failure::from)?;
        // An entry that is not the id of a claim was made by another program, and belongs to no worker.
        let ids = ids.iter().filter_map(|id| id.parse::<ClaimId>().ok());
        Ok(ids.map(|id| id.worker).collect())
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let script = self.scripts.depth(self.keys());
        let (pending, processing, oldest): (u64, u64, Vec<u8>) = self
            .asking
            .run(async |redis| script.invoke_async(redis).await)
            .await
            .map_err(Failure::from)?;
        Ok(Depth {
            pending,
            processing,
            oldest: element::accepted_at(&oldest),
        })
    }

    fn shard(&self) -> String {
        self.server.tag.to_string()
    }

    fn watched(&self) -> Option<Watched> {
        Some(Rehearsal::watch(&self.server))
    }
}

impl RedisQueue {
    /// `workers` make claims.
    pub(super) fn new(server: Arc<Server>, lease: Duration, workers: usize) -> Self {
        let connections = || Connections::one(server.peer.clone(), ANSWER_WITHIN);
        let for_workers = || {
            let workers = NonZeroUsize::new(workers).unwrap_or(NonZeroUsize::MIN);
            Connections::several(workers, server.peer.clone(), ANSWER_WITHIN)
        };
        Self {
            connections: connections(),
            claiming: server.replicas.are_asked().then(for_workers),
            waiting: Connections::one(server.peer.clone(), WAIT + ANSWER_WITHIN),
            asking: connections(),
            scripts: Scripts::new(),
            lease_millis: millis(lease.min(LONGEST_LEASE)),
            server,
        }
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.server.keys
    }

    /// Waits until there may be an event, for [`WAIT`] at most.
    pub(super) async fn wait(&self) -> Result<(), QueueError> {
        let Keys { queue, handoff, .. } = self.keys();
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
        self.note(Step::Wait, waited, |()| false)
    }

    /// Makes a claim; see [`Consumer::claim`](crate::Consumer::claim).
    pub(super) async fn claim(&self, id: ClaimId, max: usize) -> Result<Option<Claim>, QueueError> {
        let taken = self.take(id, max).await;
        let elements = self.note(Step::Claim, taken, |elements| !elements.is_empty())?;
        Ok((!elements.is_empty()).then(|| into_claim(id, elements)))
    }

    /// Takes elements into the list of a claim.
    async fn take(&self, id: ClaimId, max: usize) -> Result<Vec<Vec<u8>>, Failure> {
        let mut script = about(&self.scripts.claim, self.keys(), id);
        script
            .key(&self.keys().oversized)
            .arg(max)
            .arg(MAX_CLAIM_BYTES)
            .arg(self.lease_millis)
            .arg(MAX_ELEMENT_BYTES);
        let is_nothing = |taken: &Taken| taken.elements.is_empty();
        let Taken { aside, elements } = self.run_replicated(&script, is_nothing).await?;
        if aside > 0 {
            tracing::error!(
                element.bytes = aside,
                "the queue held an element that is larger than any event (over {MAX_ELEMENT_BYTES} bytes): somebody \
                 else pushed it; it is set aside in the list {}: look at it there, and remove it",
                self.keys().oversized
            );
        }
        Ok(elements)
    }

    async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Failure> {
        let connections = &self.connections;
        Ok(connections
            .run(async |redis| script.invoke_async(redis).await)
            .await?)
    }

    /// Before anything is done because of what such a script has written, the replicas must have it, too: after a failover
    /// to one that does not have a claim, its events would be handed out again.
    async fn run_replicated<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
        is_nothing: impl FnOnce(&T) -> bool,
    ) -> Result<T, Failure> {
        let connections = self.claiming.as_ref().unwrap_or(&self.connections);
        let replicas = self.server.replicas;
        Ok(connections
            .run(async |redis| replicas.invoke(script, redis, is_nothing).await)
            .await?)
    }

    /// See [`super::health::Health::note`].
    pub(super) fn note<T>(
        &self,
        step: Step,
        result: Result<T, Failure>,
        moved: impl FnOnce(&T) -> bool,
    ) -> Result<T, QueueError> {
        self.server.health.note(step, &result, moved);
        Ok(result?)
    }
}

/// What the script that claims returns.
struct Taken {
    aside: u64,
    elements: Vec<Vec<u8>>,
}

impl FromRedisValue for Taken {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let mut values = Vec::<Value>::from_redis_value(value)?.into_iter();
        let aside = values.next().unwrap_or(Value::Int(0));
        Ok(Self {
            aside: u64::from_redis_value(aside)?,
            elements: values
                .map(Vec::<u8>::from_redis_value)
                .collect::<Result<_, _>>()?,
        })
    }
}

fn into_claim(id: ClaimId, elements: Vec<Vec<u8>>) -> Claim {
    let opened = Opened::from_iter(elements);
    Claim {
        id,
        events: Arc::new(opened.events),
        malformed: opened.malformed,
        judged: false,
    }
}
