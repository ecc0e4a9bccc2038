//! A worker's end of the queue.

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use event::{Claim, ClaimId, Verdict, WorkerId, envelope};
use redis::{AsyncCommands, Direction, FromRedisValue, ParsingError, ScriptInvocation, Value};

use super::{
    Address,
    health::Step,
    keys::Keys,
    link::Link,
    scripts::{Scripts, about, millis},
    server::{Server, Use},
};
use crate::{Consumer, Depth, Holder, LONGEST_LEASE, QueueError};

/// How long the server may take to answer a command that does not wait.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long a worker is parked in one `BLMOVE`.
const WAIT: Duration = Duration::from_secs(1);
/// A claim ends early once it holds this many bytes, whatever its number of events.
const MAX_CLAIM_BYTES: usize = 8 * 1024 * 1024;
/// An element of more bytes is not read: it is set aside in Redis. No event of ours is so large: twice the largest
/// `MAX_EVENT_BYTES`.
pub const MAX_ELEMENT_BYTES: usize = 32 * 1024 * 1024;

/// A worker's end. Each worker has its own, because waiting blocks the connection.
pub struct RedisConsumer {
    waiting: Link,
    /// Shared with the other workers of the process.
    shared: Arc<Shared>,
}

struct Shared {
    server: Arc<Server>,
    /// For claims.
    link: Link,
    /// For questions: no claim keeps them waiting.
    asking: Link,
    scripts: Scripts,
    lease_millis: u64,
}

impl RedisConsumer {
    /// The ends for `workers` workers of this process; a claim is theirs for `lease` at a time, and for
    /// [`LONGEST_LEASE`] at most. Call it within the runtime.
    #[must_use]
    pub fn for_workers(address: &Address, lease: Duration, workers: usize) -> Vec<Self> {
        let server = address.opened_to(Use::Work);
        let link = |answer_within| Link::new(server.peer.clone(), answer_within);
        let shared = Arc::new(Shared {
            link: link(ANSWER_WITHIN),
            asking: link(ANSWER_WITHIN),
            scripts: Scripts::new(),
            lease_millis: millis(lease.min(LONGEST_LEASE)),
            server: server.clone(),
        });
        (0..workers)
            .map(|_| Self {
                waiting: link(WAIT + ANSWER_WITHIN),
                shared: Arc::clone(&shared),
            })
            .collect()
    }
}

#[async_trait]
impl Consumer for RedisConsumer {
    async fn wait(&self) -> Result<(), QueueError> {
        let Keys { queue, handoff, .. } = self.shared.keys();
        let (from, to) = (Direction::Right, Direction::Left);
        let waited = self
            .waiting
            .run(async |redis| {
                redis
                    .blmove::<_, _, Option<Vec<u8>>>(queue, handoff, from, to, WAIT.as_secs_f64())
                    .await
            })
            .await;
        let waited = waited.map(|_| ()).map_err(QueueError::from);
        self.shared.note(Step::Wait, waited, |()| false)
    }

    async fn claim(&self, id: ClaimId, max: usize) -> Result<Option<Claim>, QueueError> {
        let taken = self.shared.take(id, max).await;
        let elements = self
            .shared
            .note(Step::Claim, taken, |elements| !elements.is_empty())?;
        Ok((!elements.is_empty()).then(|| into_claim(id, elements)))
    }

    async fn renew(&self, id: ClaimId) -> Result<bool, QueueError> {
        let mut script = about(&self.shared.scripts.renew, self.shared.keys(), id);
        script.arg(self.shared.lease_millis);
        let renewed = self.shared.run(&script).await;
        self.shared.note(Step::Renew, renewed, |renewed| *renewed)
    }

    async fn settle(&self, id: ClaimId, _verdicts: Option<&[Verdict]>) -> Result<(), QueueError> {
        let script = about(&self.shared.scripts.settle, self.shared.keys(), id);
        let settled = self.shared.run(&script).await;
        self.shared.note(Step::Settle, settled, |()| true)
    }

    async fn release(&self, id: ClaimId, holder: Holder) -> Result<bool, QueueError> {
        let mut script = about(&self.shared.scripts.release, self.shared.keys(), id);
        script.arg(u8::from(holder == Holder::Anyone));
        let released = self.shared.run(&script).await;
        self.shared.note(Step::Release, released, |done| *done)
    }

    async fn adopt(&self) -> Result<Option<Claim>, QueueError> {
        let shared = &self.shared;
        let script = shared.scripts.adopt(shared.keys(), shared.lease_millis);
        let found: Result<Vec<Vec<u8>>, QueueError> = shared.run(&script).await;
        let mut found = shared.note(Step::Adopt, found, |found| !found.is_empty())?;
        if found.is_empty() {
            return Ok(None);
        }
        let elements = found.split_off(1);
        let id = String::from_utf8_lossy(&found[0]);
        match id.parse() {
            Ok(id) => Ok(Some(into_claim(id, elements))),
            Err(_) => Err(QueueError::Foreign(id.into_owned())),
        }
    }

    async fn holders(&self) -> Result<HashSet<WorkerId>, QueueError> {
        let leases = &self.shared.keys().leases;
        let ids: Vec<String> = self
            .shared
            .asking
            .run(async |redis| redis.zrange(leases, 0, -1).await)
            .await?;
        // What stands there and is no claim belongs to no worker.
        let ids = ids.iter().filter_map(|id| id.parse::<ClaimId>().ok());
        Ok(ids.map(|id| id.worker).collect())
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let script = self.shared.scripts.depth(self.shared.keys());
        let (pending, processing) = self
            .shared
            .asking
            .run(async |redis| script.invoke_async(redis).await)
            .await?;
        Ok(Depth {
            pending,
            processing,
        })
    }
}

impl Shared {
    fn keys(&self) -> &Keys {
        &self.server.keys
    }

    /// Takes elements into the list of a claim.
    async fn take(&self, id: ClaimId, max: usize) -> Result<Vec<Vec<u8>>, QueueError> {
        let mut script = about(&self.scripts.claim, self.keys(), id);
        script
            .key(&self.keys().oversized)
            .arg(max)
            .arg(MAX_CLAIM_BYTES)
            .arg(self.lease_millis)
            .arg(MAX_ELEMENT_BYTES);
        let Taken { aside, elements } = self.run(&script).await?;
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

    async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, QueueError> {
        let link = &self.link;
        Ok(link
            .run(async |redis| script.invoke_async(redis).await)
            .await?)
    }

    /// See [`super::health::Health::note`].
    fn note<T>(
        &self,
        step: Step,
        result: Result<T, QueueError>,
        moved: impl FnOnce(&T) -> bool,
    ) -> Result<T, QueueError> {
        self.server.health.note(step, &result, moved);
        result
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
    let (mut events, mut malformed) = (Vec::with_capacity(elements.len()), Vec::new());
    for element in elements {
        match envelope::decode(element) {
            Ok(event) => events.push(event),
            Err(bad) => malformed.push(bad),
        }
    }
    Claim {
        id,
        events: Arc::new(events),
        malformed,
    }
}
