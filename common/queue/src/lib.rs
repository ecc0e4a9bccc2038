//! The queue seam: a producer half that accepts batches, a consumer half that hands them out in
//! claims.
//!
//! Two implementations: [`redis`], shared by any number of processes, and [`memory`], inside one.
//! What both promise is in `tests/tests/queue_contract.rs`; the protocol is in
//! `docs/EXACTLY-ONCE.md`.

pub mod memory;
pub mod redis;
pub mod settings;

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use event::{Claim, ClaimId, Event, Verdict, WorkerId};
use runtime::hold::Hold;
use tls::{TlsError, trust::Distrust};

/// How long a lease may be. A deadline further away than this was set by another clock, and counts as run out.
pub const LONGEST_LEASE: Duration = Duration::from_hours(1);

/// How much is in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, utoipa::ToSchema)]
pub struct Depth {
    /// Waiting.
    pub pending: u64,
    /// Claimed and not yet settled.
    pub processing: u64,
}

/// In which right a claim is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The worker that made it, which will not commit it any more. Nothing is done where somebody has
    /// adopted it: that one may be committing it now.
    Owner,
    /// Anyone, after the store has said that it does not know the worker: nobody can commit it.
    Anyone,
}

/// Why a batch was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The queue holds as much as it may; nothing was accepted.
    #[error("the queue holds {len} of at most {max} events; try again when it has drained")]
    Full {
        /// Events waiting.
        len: u64,
        /// `QUEUE_MAX_LEN`.
        max: u64,
    },
    /// The server's memory is nearly full; nothing was accepted.
    #[error("redis has used nearly all of its maxmemory; try again when the queue has drained")]
    MemoryFull,
    /// The queue cannot be reached, or its answer was lost: the batch may or may not be in. It is
    /// never pushed again from here; the client's retry with the same ids is harmless.
    #[error("the queue did not confirm the batch; send it again with the same ids")]
    Unconfirmed(#[source] QueueError),
    /// The server must not be given events; nothing was accepted.
    #[error("redis: {0}; nothing was accepted")]
    Unfit(redis::Unfit),
    /// The process is going down; nothing was accepted.
    #[error("shutting down; send the batch again to another instance")]
    Closed,
}

/// Why the queue could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Redis is away, or refused the command.
    #[error("redis: {0}")]
    Redis(#[source] ::redis::RedisError),
    /// Redis is not the one that was meant, as far as its certificate tells.
    #[error("redis is not trusted: {}", .0.advice("REDIS_CA_CERT", "REDIS_URL"))]
    Untrusted(Distrust),
    /// The authorities that sign its certificate cannot be read.
    #[error(transparent)]
    Authorities(#[from] TlsError),
    /// Authorities were named, and no TLS is spoken.
    #[error("REDIS_CA_CERT needs TLS: give rediss://HOST:PORT in REDIS_URL, or unset it")]
    AuthoritiesWithoutTls,
    /// The address of the server cannot be read. (It may hold a password: it is not shown.)
    #[error(
        "REDIS_URL is not the address of a Redis server; give redis://HOST:PORT or rediss://HOST:PORT"
    )]
    Address,
    /// Redis answers, but would not keep the queue.
    #[error("redis: {0}")]
    Unfit(#[source] redis::Unfit),
    /// Something under the queue's keys is not ours.
    #[error("{0:?} is among the leases and is not a claim; remove it")]
    Foreign(String),
    /// Other events went first, because the store failed on these again and again.
    #[error("the store failed on these events again and again")]
    GaveWay,
    /// It took longer than the named limit.
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
}

impl From<::redis::RedisError> for QueueError {
    fn from(error: ::redis::RedisError) -> Self {
        if let Some(unfit) = redis::Unfit::find(&error) {
            return Self::Unfit(unfit);
        }
        match Distrust::find(&error) {
            Some(distrust) => Self::Untrusted(distrust),
            None => Self::Redis(error),
        }
    }
}

/// The half that accepts.
#[async_trait]
pub trait Producer: Send + Sync {
    /// Accepts the whole batch durably, or none of it as far as this side can tell. `hold` is kept for as long as the
    /// events are in memory here, also if the caller gives up waiting.
    async fn push(&self, batch: Vec<Event>, hold: Hold) -> Result<(), PushError>;
}

/// The half that hands out.
#[async_trait]
pub trait Consumer: Send + Sync {
    /// Waits a bounded time until there may be something to claim. May be cancelled at any point.
    async fn wait(&self) -> Result<(), QueueError>;

    /// Claims up to `max` of the oldest events under `id`, with a lease, in one step. `None`: there
    /// are none. Never cancel it half-way.
    ///
    /// # Errors
    /// After an error the claim may exist all the same, now or later. The caller must go on as a new
    /// worker: the lease runs out, and the claim is adopted under its own identity.
    async fn claim(&self, id: ClaimId, max: usize) -> Result<Option<Claim>, QueueError>;

    /// Extends the lease. `false`: the claim is gone (somebody adopted and settled it).
    async fn renew(&self, id: ClaimId) -> Result<bool, QueueError>;

    /// Removes a claim that the store has committed. `verdicts` are those of its events, in order,
    /// where they are known. Settling twice does nothing.
    async fn settle(&self, id: ClaimId, verdicts: Option<&[Verdict]>) -> Result<(), QueueError>;

    /// Puts the events of a claim back where they came from, in their order. Only for a claim that
    /// certainly was not committed and, as `holder` says, never will be. `false`: nothing was done.
    async fn release(&self, id: ClaimId, holder: Holder) -> Result<bool, QueueError>;

    /// The worker that made this claim works on it no more, and it may be committed. In a shared queue it keeps its lease,
    /// until it is adopted; so nothing need be done.
    async fn leave(&self, _id: ClaimId) {}

    /// Takes over one claim whose lease has run out, under its own identity and with a new lease.
    /// `None`: there is none.
    async fn adopt(&self) -> Result<Option<Claim>, QueueError>;

    /// The workers that have a claim.
    async fn holders(&self) -> Result<HashSet<WorkerId>, QueueError>;

    /// How much waits and how much is claimed, in one snapshot.
    async fn depth(&self) -> Result<Depth, QueueError>;
}
