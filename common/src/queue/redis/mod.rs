//! The queue in Redis, shared by any number of publishers and aggregators.
//!
//! - Accept: `LPUSH` of the batch in one command, together with those that come at the same time.
//! - Wait: `BLMOVE queue handoff RIGHT LEFT`, `BRPOP` in its reliable form: what wakes a worker is
//!   parked in a list that every worker looks into first, so it does not matter whether the answer
//!   arrives ([pattern: reliable queue](https://redis.io/docs/latest/commands/lmove/)).
//! - Claim: one script registers the lease and moves a batch from `handoff` and `queue` into a list
//!   of the claim's own. There is never a claim without a lease, so none can be overlooked.
//! - Settle, release, renew, adopt: one script each.
//!
//! Answers can be lost, so each step is one that may happen unnoticed. How the store makes the whole
//! exact is in `ARCHITECTURE.md`.

mod keys;
mod link;
mod pushes;
mod room;
mod scripts;
mod server;

use std::{collections::HashSet, num::NonZeroUsize, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use redis::{
    AsyncCommands, Client, ConnectionAddr, Direction, FromRedisValue, IntoConnectionInfo,
    ScriptInvocation, TlsCertificates,
};

pub use keys::{QueueName, QueueNameError};
pub use server::{Server, Unfit};

use self::{
    keys::Keys,
    link::Link,
    pushes::Pushes,
    room::Room,
    scripts::{Scripts, about},
};
use super::{
    Claim, ClaimId, Consumer, Depth, Holder, Producer, PushError, QueueError, Verdict, WorkerId,
};
use crate::{
    envelope,
    event::Event,
    faults::{Mutant, is_mutant},
    hold::Hold,
    tls,
};

/// How long the server may take to answer a command that does not wait.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Connections of a publisher: one for each command that may be under way.
pub const PUSH_CONNECTIONS: NonZeroUsize = pushes::MAX_GROUPS;
/// How long a worker is parked in one `BLMOVE`.
const WAIT: Duration = Duration::from_secs(1);
/// A claim ends early once it holds this many bytes, whatever its number of events.
const MAX_CLAIM_BYTES: usize = 8 * 1024 * 1024;

/// Where the queue is.
#[derive(Clone)]
pub struct Address {
    client: Client,
    name: QueueName,
}

impl Address {
    /// Contacts nobody yet.
    ///
    /// # Errors
    /// [`QueueError::Address`] if `url` is no Redis address.
    pub fn new(url: &str, name: QueueName) -> Result<Self, QueueError> {
        let info = url
            .into_connection_info()
            .map_err(|_| QueueError::Address)?;
        let client = Client::open(info).map_err(|_| QueueError::Address)?;
        Ok(Self { client, name })
    }

    /// Trusts the authorities in this PEM file, instead of the public ones.
    ///
    /// # Errors
    /// [`QueueError`] if the file cannot be used, or the address is not one of `rediss://`.
    pub fn trusting(self, authorities: &Path) -> Result<Self, QueueError> {
        let info = self.client.get_connection_info();
        if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            return Err(QueueError::AuthoritiesWithoutTls);
        }
        let certificates = TlsCertificates {
            client_tls: None,
            root_cert: Some(tls::authorities("REDIS_CA_CERT", authorities)?),
        };
        let client = Client::build_with_tls(info.clone(), certificates)?;
        Ok(Self { client, ..self })
    }
}

/// The publisher's end.
pub struct RedisProducer {
    link: Arc<Link>,
    keys: Keys,
    room: Arc<Room>,
    pushes: Arc<Pushes>,
}

impl RedisProducer {
    /// `max_len` bounds the waiting events; publishers that push at the same moment can exceed it by
    /// a batch each.
    #[must_use]
    pub fn new(address: &Address, max_len: u64) -> Self {
        let client = address.client.clone();
        let link = Arc::new(Link::of_several(PUSH_CONNECTIONS, client, ANSWER_WITHIN));
        let keys = Keys::new(&address.name);
        let room = Arc::new(Room::new(max_len));
        let pushes = Pushes::new(link.clone(), keys.queue.clone(), room.clone());
        Self {
            link,
            keys,
            room,
            pushes: Arc::new(pushes),
        }
    }

    /// The server behind it. Somebody must watch it ([`Server::watch`]), or its memory is not looked at.
    #[must_use]
    pub fn server(&self) -> Server {
        Server::new(
            self.link.clone(),
            self.keys.clone(),
            Some(self.room.clone()),
        )
    }

    /// Every push tells the length, so the server is asked only while the queue seems full.
    async fn check_room(&self, batch: u64) -> Result<(), PushError> {
        if self.room.memory_full() {
            return Err(PushError::MemoryFull);
        }
        if self.room.fits(batch) {
            return Ok(());
        }
        let key = &self.keys.queue;
        let len: u64 = self
            .link
            .run(async |redis| redis.llen(key).await)
            .await
            .map_err(|error| PushError::Unconfirmed(error.into()))?;
        if self.room.fits_into(len, batch) {
            Ok(())
        } else {
            Err(PushError::Full {
                len,
                max: self.room.max_len(),
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
        self.check_room(batch.len() as u64).await?;
        let pushed = self.pushes.push(batch, hold).await;
        pushed.map_err(|error| PushError::Unconfirmed(error.into()))
    }
}

/// A worker's end. Each worker has its own, because waiting blocks the connection.
pub struct RedisConsumer {
    waiting: Link,
    /// Shared with the other workers of the process.
    shared: Arc<Shared>,
}

struct Shared {
    link: Arc<Link>,
    keys: Keys,
    scripts: Scripts,
    lease: Duration,
}

impl RedisConsumer {
    /// The ends for `workers` workers of this process; a claim is theirs for `lease` at a time.
    #[must_use]
    pub fn for_workers(address: &Address, lease: Duration, workers: usize) -> Vec<Self> {
        let shared = Arc::new(Shared {
            link: Arc::new(Link::new(address.client.clone(), ANSWER_WITHIN)),
            keys: Keys::new(&address.name),
            scripts: Scripts::new(),
            lease,
        });
        (0..workers)
            .map(|_| Self {
                waiting: Link::new(address.client.clone(), WAIT + ANSWER_WITHIN),
                shared: Arc::clone(&shared),
            })
            .collect()
    }

    /// The server behind it.
    #[must_use]
    pub fn server(&self) -> Server {
        Server::new(self.shared.link.clone(), self.shared.keys.clone(), None)
    }

    fn lease_millis(&self) -> u64 {
        u64::try_from(self.shared.lease.as_millis()).unwrap_or(u64::MAX)
    }
}

#[async_trait]
impl Consumer for RedisConsumer {
    async fn wait(&self) -> Result<(), QueueError> {
        let Keys { queue, handoff, .. } = &self.shared.keys;
        let (from, to) = (Direction::Right, Direction::Left);
        self.waiting
            .run(async |redis| {
                redis
                    .blmove::<_, _, Option<Vec<u8>>>(queue, handoff, from, to, WAIT.as_secs_f64())
                    .await
            })
            .await?;
        Ok(())
    }

    async fn claim(&self, id: ClaimId, max: usize) -> Result<Option<Claim>, QueueError> {
        let mut script = about(&self.shared.scripts.claim, &self.shared.keys, id);
        script
            .arg(max)
            .arg(MAX_CLAIM_BYTES)
            .arg(self.lease_millis());
        let elements: Vec<Vec<u8>> = if is_mutant(Mutant::PlainRpop) {
            self.shared.plain_rpop(max).await?
        } else {
            self.shared.run(&script).await?
        };
        Ok((!elements.is_empty()).then(|| into_claim(id, &elements)))
    }

    async fn renew(&self, id: ClaimId) -> Result<bool, QueueError> {
        let mut script = about(&self.shared.scripts.renew, &self.shared.keys, id);
        script.arg(self.lease_millis());
        self.shared.run(&script).await
    }

    async fn settle(&self, id: ClaimId, _verdicts: Option<&[Verdict]>) -> Result<(), QueueError> {
        let script = about(&self.shared.scripts.settle, &self.shared.keys, id);
        self.shared.run(&script).await
    }

    async fn release(&self, id: ClaimId, holder: Holder) -> Result<bool, QueueError> {
        let mut script = about(&self.shared.scripts.release, &self.shared.keys, id);
        script.arg(u8::from(holder == Holder::Anyone));
        self.shared.run(&script).await
    }

    async fn adopt(&self) -> Result<Option<Claim>, QueueError> {
        let script = self
            .shared
            .scripts
            .adopt(&self.shared.keys, self.lease_millis());
        let mut found: Vec<Vec<u8>> = self.shared.run(&script).await?;
        if found.is_empty() {
            return Ok(None);
        }
        let elements = found.split_off(1);
        let id = String::from_utf8_lossy(&found[0]);
        match id.parse() {
            Ok(id) => Ok(Some(into_claim(id, &elements))),
            Err(_) => Err(QueueError::Foreign(id.into_owned())),
        }
    }

    async fn holders(&self) -> Result<HashSet<WorkerId>, QueueError> {
        let leases = &self.shared.keys.leases;
        let ids: Vec<String> = self
            .shared
            .link
            .run(async |redis| redis.zrange(leases, 0, -1).await)
            .await?;
        // What stands there and is no claim belongs to no worker.
        let ids = ids.iter().filter_map(|id| id.parse::<ClaimId>().ok());
        Ok(ids.map(|id| id.worker).collect())
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let script = self.shared.scripts.depth(&self.shared.keys);
        let (pending, processing) = self.shared.run(&script).await?;
        Ok(Depth {
            pending,
            processing,
        })
    }
}

impl Shared {
    /// Only [`Mutant::PlainRpop`] does this.
    async fn plain_rpop(&self, max: usize) -> Result<Vec<Vec<u8>>, QueueError> {
        let mut elements = Vec::new();
        for key in [&self.keys.handoff, &self.keys.queue] {
            let Some(room) = NonZeroUsize::new(max - elements.len()) else {
                break;
            };
            let popped: Vec<Vec<u8>> = self
                .link
                .run(async |redis| redis.rpop(key, Some(room)).await)
                .await?;
            elements.extend(popped);
        }
        Ok(elements)
    }

    async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, QueueError> {
        let link = &self.link;
        Ok(link
            .run(async |redis| script.invoke_async(redis).await)
            .await?)
    }
}

fn into_claim(id: ClaimId, elements: &[Vec<u8>]) -> Claim {
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
