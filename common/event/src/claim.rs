//! Claims: the events that one worker has taken off the queue, and under which identity they are recorded.

use std::{fmt, str::FromStr, sync::Arc};

use uuid::Uuid;

use crate::Event;

/// One incarnation of a worker. A fresh one at each start and after each claim it gives up on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub Uuid);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of a claim: the worker that made it and its running number, from 1.
///
/// A store records a claim at most once under this identity, also if several workers bring it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClaimId {
    /// Who claimed.
    pub worker: WorkerId,
    /// The running number of the claim among those of its worker, from 1.
    pub number: i64,
}

impl ClaimId {
    /// The first claim of an incarnation.
    #[must_use]
    pub const fn first(worker: WorkerId) -> Self {
        Self { worker, number: 1 }
    }

    /// The claim after this one. Only for the owner, once this one is settled.
    #[must_use]
    pub const fn next(self) -> Self {
        Self {
            worker: self.worker,
            number: self.number + 1,
        }
    }
}

impl fmt::Display for ClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.worker, self.number)
    }
}

/// A text that no [`ClaimId`] prints.
#[derive(Debug, thiserror::Error)]
#[error("is not a claim id; a claim id is WORKER:NUMBER")]
pub struct ClaimIdError;

impl FromStr for ClaimId {
    type Err = ClaimIdError;

    fn from_str(text: &str) -> Result<Self, ClaimIdError> {
        let (worker, number) = text.split_once(':').ok_or(ClaimIdError)?;
        Ok(Self {
            worker: WorkerId(worker.parse().map_err(|_| ClaimIdError)?),
            number: number.parse().map_err(|_| ClaimIdError)?,
        })
    }
}

/// Events that one worker has taken off the queue and nobody else will, until it is settled,
/// released or adopted.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Under which identity it is recorded.
    pub id: ClaimId,
    /// The events, oldest first.
    pub events: Arc<Vec<Event>>,
    /// What is not an event: elements of the queue, or parts of one.
    pub malformed: Vec<Malformed>,
    /// Whether those who pushed the events wait for the verdict of each.
    pub judged: bool,
}

impl Claim {
    /// How many events it holds, and what is not an event.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len() + self.malformed.len()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A queue element that is neither a frame nor an envelope of ours, because somebody else pushed it, or a frame of one event
/// that is not valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The element, byte for byte.
    pub raw: Vec<u8>,
    /// Why it could not be read.
    pub reason: String,
}

/// What became of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Stored: it is the first of its identity.
    Accepted,
    /// Dropped: its identity was stored before.
    Duplicate,
    /// Put aside: the store refused its data.
    DeadLettered,
}
