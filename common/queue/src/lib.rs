//! The queue's interface: a [`Producer`] accepts batches, a [`Consumer`] of each worker hands them out in claims, and a
//! [`Queue`] knows the claims of all workers. A queue that is shared with other processes may be in several [`Shards`], each
//! of which is a [`Queue`] by itself.
//!
//! Two implementations: [`redis`], shared by any number of processes, and [`memory`], inside one.
//! What both promise is in `tests/tests/it/queue_contract`; the protocol is in
//! `docs/EXACTLY-ONCE.md`.

pub mod memory;
pub mod redis;
pub mod settings;

use std::{collections::HashSet, error::Error, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use event::{Claim, ClaimId, Event, Verdict, WorkerId};
use runtime::{hold::Hold, readiness::Watched};

/// How long a lease may be. A deadline further away than this was set by another clock, and counts as run out.
pub const LONGEST_LEASE: Duration = Duration::from_hours(1);

/// How much is in a queue, or in one shard of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Events that wait.
    pub pending: u64,
    /// Events that are claimed and not yet settled.
    pub processing: u64,
    /// When the event that waits longest was accepted. `None`: no event waits, or its element does not tell, because
    /// another program put it there.
    pub oldest: Option<DateTime<Utc>>,
}

impl Depth {
    /// How much there is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            pending: self.pending + other.pending,
            processing: self.processing + other.processing,
            oldest: self.oldest.into_iter().chain(other.oldest).min(),
        }
    }
}

/// Who releases a claim.
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
    /// What holds the queue has no memory left, for this reason; nothing was accepted.
    #[error("{0}; try again when the queue has drained")]
    NoMemory(&'static str),
    /// The queue cannot be reached, or its answer was lost: the batch may or may not be in. It is
    /// never pushed again from here; the client's retry with the same ids is harmless.
    #[error("the queue did not confirm the batch; send it again with the same ids")]
    Unconfirmed(#[source] QueueError),
    /// The queue would not keep events, for this reason; nothing was accepted.
    #[error("{0}; nothing was accepted")]
    Unfit(String),
    /// The process is going down; nothing was accepted.
    #[error("shutting down; send the batch again to another instance")]
    Closed,
}

/// The queue did not do what it was asked, or its answer was lost. The caller does the same in each case: it tries again,
/// or leaves a claim to its lease. The text is for the log.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct QueueError(Box<dyn Error + Send + Sync>);

impl QueueError {
    /// An error with this cause, or this text.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// What a publisher needs of the queue.
#[async_trait]
pub trait Producer: Send + Sync {
    /// Accepts the whole batch durably, or none of it as far as this side can tell. `hold` is kept for as long as the
    /// events are in memory here, also if the caller gives up waiting.
    async fn push(&self, batch: Vec<Event>, hold: Hold) -> Result<(), PushError>;

    /// What `/ready` knows of the servers that hold the queue, one a shard. None: no other process holds it.
    fn watched(&self) -> Vec<Watched>;
}

/// What one worker needs of the queue to make claims. Each worker has its own.
#[async_trait]
pub trait Consumer: Send + Sync {
    /// Waits a bounded time until there may be something to claim. May be cancelled at any point.
    async fn wait(&self) -> Result<(), QueueError>;

    /// Claims up to `max` of the oldest events under `id`, with a lease, in one step. `None`: there
    /// are none, as far as is known before [`wait`](Self::wait) has returned. Never cancel it half-way.
    ///
    /// # Errors
    /// After an error the claim may exist all the same, now or later. The caller must go on as a new
    /// worker: the lease runs out, and the claim is adopted under its own identity.
    async fn claim(&self, id: ClaimId, max: usize) -> Result<Option<Taken>, QueueError>;
}

/// A claim, and the queue that it was taken from. Only that one can renew, settle or release it.
pub struct Taken {
    /// The claim.
    pub claim: Claim,
    /// Where its events come from.
    pub from: Arc<dyn Queue>,
}

/// The shards of a queue.
pub trait Shards: Send + Sync {
    /// All that are served, those of the layout first.
    fn all(&self) -> Vec<Arc<dyn Queue>>;

    /// The name of the queue, and how many shards it has. `None`: it can have no other number.
    fn layout(&self) -> Option<(String, u16)>;

    /// Serves those shards, too, that the queue had when it had so many. Call it within the runtime.
    fn serve_also(&self, shards: u16);
}

/// One queue, or one shard of it: the claims of all workers, and how much is in it.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Extends the lease. `false`: the claim is gone (somebody adopted and settled it).
    async fn renew(&self, id: ClaimId) -> Result<bool, QueueError>;

    /// The store has committed this claim, with these verdicts of its events, in order. Publishers that wait for them are
    /// told. In a queue whose publishers do not wait for them, nothing need be done.
    fn recorded(&self, _id: ClaimId, _verdicts: &[Verdict]) {}

    /// Removes a claim that the store has committed. Settling twice does nothing.
    async fn settle(&self, id: ClaimId) -> Result<(), QueueError>;

    /// Puts the events of a claim back where they came from, in their order. Only for a claim that
    /// certainly was not committed and, as `holder` says, never will be. `false`: nothing was done.
    async fn release(&self, id: ClaimId, holder: Holder) -> Result<bool, QueueError>;

    /// The worker that made this claim does not work on it any more, and it may be committed. In a shared queue it keeps its
    /// lease until it is adopted, so nothing need be done.
    fn leave(&self, _id: ClaimId) {}

    /// Takes over one claim whose lease has run out, under its own identity and with a new lease.
    /// `None`: there is none.
    async fn adopt(&self) -> Result<Option<Claim>, QueueError>;

    /// The workers that have a claim.
    async fn holders(&self) -> Result<HashSet<WorkerId>, QueueError>;

    /// How much waits and how much is claimed, in one snapshot.
    async fn depth(&self) -> Result<Depth, QueueError>;

    /// The name of the shard; of the only one, that of the queue.
    fn shard(&self) -> String;

    /// What `/ready` knows of the server that holds it. `None`: no other process holds it.
    fn watched(&self) -> Option<Watched>;
}

/// A queue that is open to the workers of this process.
#[derive(Clone)]
pub struct Opened {
    /// The queue as a whole.
    pub shards: Arc<dyn Shards>,
    /// For each worker its own.
    pub consumers: Vec<Arc<dyn Consumer>>,
}
