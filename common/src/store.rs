//! The store seam: what is recorded, and what can be read back. No SQL here.
//!
//! Implementations: PostgreSQL (in `aggregator`) and SQLite (in `standalone`).

use std::{collections::BTreeMap, fmt, str::FromStr};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    event::{Event, EventId, EventTime, Source, Topic},
    queue::{Claim, Verdict, WorkerId},
};

/// Where events are stored exactly once, with counters that agree with them.
#[async_trait]
pub trait Store: Send + Sync {
    /// Brings the tables up to date. Safe to run from several processes at once.
    async fn migrate(&self) -> Result<(), StoreError>;

    /// Makes a worker known, before its first claim. Registering twice changes nothing.
    async fn register(&self, worker: WorkerId) -> Result<(), StoreError>;

    /// Stores a claim's events and counts them, in one transaction, at most once for a
    /// [`ClaimId`](crate::queue::ClaimId). Safe to call again after any error.
    async fn record(&self, claim: &Claim) -> Result<Recorded, StoreError>;

    /// The counters, in one snapshot.
    async fn stats(&self) -> Result<Stats, StoreError>;

    /// One page of stored events, oldest first.
    async fn events(&self, query: &EventQuery) -> Result<Page, StoreError>;

    /// One event by its identity.
    async fn event(&self, topic: &Topic, id: &EventId) -> Result<Option<StoredEvent>, StoreError>;

    /// Whether it answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Closes every connection, once they are back. Nothing works afterwards.
    async fn close(&self);
}

/// What [`Store::record`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// Committed now; one verdict an event, in the claim's order.
    Committed(Vec<Verdict>),
    /// This claim, or a later one of its worker, was committed before: only settle it.
    AlreadyCommitted,
    /// The worker is not known (any more). Nothing of this claim was ever committed.
    UnknownWorker,
}

/// Why the store could not do what it was asked, by what the caller should do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Away, overloaded or in conflict: nothing was committed, try again later.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] BoxError),
    /// The answer to the commit was lost: it may have happened. Trying again under the same claim
    /// finds out.
    #[error("the database did not confirm the commit: {0}")]
    Uncertain(#[source] BoxError),
    /// The database will not take this data, now or later.
    #[error("the database refused the data: {0}")]
    Refused(#[source] BoxError),
    /// The tables are not what this version expects.
    #[error("the database schema does not fit: {0}")]
    Schema(#[source] BoxError),
}

/// The driver's error behind a [`StoreError`].
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The counters of the whole system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Everything that came to a verdict; always the sum of the other three.
    pub received: i64,
    /// Events stored.
    pub unique_processed: i64,
    /// Deliveries of events that were stored before.
    pub duplicate_dropped: i64,
    /// Deliveries that could not be stored.
    pub dead_lettered: i64,
    /// Unique events by topic.
    pub topics: BTreeMap<String, i64>,
    /// Since when the counters count.
    pub uptime_start: DateTime<Utc>,
}

/// An event as it is stored.
#[derive(Debug, Clone, Serialize)]
pub struct StoredEvent {
    /// Its number in the store; grows, with gaps.
    pub id: i64,
    /// See [`Event`].
    pub topic: String,
    /// See [`Event`].
    pub event_id: String,
    /// See [`Event`].
    pub timestamp: EventTime,
    /// See [`Event`].
    pub source: String,
    /// See [`Event`].
    pub payload: Box<RawValue>,
    /// When the first delivery was accepted.
    pub received_at: EventTime,
    /// When it was stored.
    pub processed_at: EventTime,
}

/// Which stored events to read.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Only of this topic.
    pub topic: Option<Topic>,
    /// Only of this source.
    pub source: Option<Source>,
    /// Only with this `timestamp` or a later one.
    pub since: Option<EventTime>,
    /// Only with a `timestamp` before this one.
    pub until: Option<EventTime>,
    /// At most so many.
    pub limit: Limit,
    /// Only after this place.
    pub after: Option<Cursor>,
}

/// A page size: 1 to [`Limit::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u16);

impl Limit {
    /// Largest page.
    pub const MAX: u16 = 1000;

    /// `None` if it is 0 or over [`Limit::MAX`].
    #[must_use]
    pub const fn new(limit: u16) -> Option<Self> {
        match limit {
            1..=Self::MAX => Some(Self(limit)),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

/// A place in the list of stored events. Opaque to clients: its text may change with any version,
/// and stays readable for as long as a client could reasonably hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The last event that was seen.
    pub id: i64,
}

const CURSOR_VERSION: &str = "01";

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{CURSOR_VERSION}{:016x}", self.id)
    }
}

/// A text that no [`Cursor`] prints.
#[derive(Debug, thiserror::Error)]
#[error("is no cursor; use a next_cursor as it was answered")]
pub struct CursorError;

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let digits = text.strip_prefix(CURSOR_VERSION).ok_or(CursorError)?;
        let canonical = digits.len() == 16
            && digits
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match i64::from_str_radix(digits, 16) {
            Ok(id) if canonical => Ok(Self { id }),
            _ => Err(CursorError),
        }
    }
}

/// A page of stored events.
#[derive(Debug, Clone)]
pub struct Page {
    /// Oldest first.
    pub events: Vec<StoredEvent>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Cursor>,
}

impl Page {
    /// A page from up to `limit + 1` rows: the one too many only tells that there is more.
    #[must_use]
    pub fn from_rows(mut rows: Vec<StoredEvent>, limit: Limit) -> Self {
        let more = rows.len() > usize::from(limit.get());
        rows.truncate(usize::from(limit.get()));
        let next = rows
            .last()
            .filter(|_| more)
            .map(|last| Cursor { id: last.id });
        Self { events: rows, next }
    }
}

/// A claim made ready for the store: each identity once, in key order, so that two transactions
/// with the same events lock them in the same order and cannot deadlock.
#[derive(Debug)]
pub struct Plan<'a> {
    events: &'a [Event],
    /// Positions in `events`, in key order, first deliveries only.
    firsts: Vec<usize>,
}

/// What one batch changes in the counters of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicDelta<'a> {
    /// Which topic.
    pub topic: &'a str,
    /// Newly stored.
    pub unique: i64,
    /// Stored before.
    pub duplicate: i64,
}

/// What one batch changes in the counters.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome<'a> {
    /// One an event, in the order they came.
    pub verdicts: Vec<Verdict>,
    /// In key order.
    pub topics: Vec<TopicDelta<'a>>,
}

impl Outcome<'_> {
    /// Newly stored events.
    #[must_use]
    pub fn unique(&self) -> i64 {
        self.topics.iter().map(|topic| topic.unique).sum()
    }

    /// Events that were stored before.
    #[must_use]
    pub fn duplicate(&self) -> i64 {
        self.topics.iter().map(|topic| topic.duplicate).sum()
    }
}

impl<'a> Plan<'a> {
    /// Sorts the events and finds those that come twice within the batch; the first one counts.
    #[must_use]
    pub fn new(events: &'a [Event]) -> Self {
        let mut firsts: Vec<usize> = (0..events.len()).collect();
        firsts.sort_by_key(|&at| (events[at].key(), at));
        firsts.dedup_by_key(|at| events[*at].key());
        Self { events, firsts }
    }

    /// The rows to insert, in key order, each identity once.
    #[must_use]
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &'a Event> + Clone + use<'a, '_> {
        let events = self.events;
        self.firsts.iter().map(move |&at| &events[at])
    }

    /// The verdicts and counters, given which of [`Plan::rows`] the database inserted, in any order.
    #[must_use]
    pub fn outcome<K: AsRef<str>>(&self, inserted: &[(K, K)]) -> Outcome<'a> {
        let inserted: std::collections::HashSet<(&str, &str)> = inserted
            .iter()
            .map(|(topic, id)| (topic.as_ref(), id.as_ref()))
            .collect();
        let mut verdicts = vec![Verdict::Duplicate; self.events.len()];
        for &at in &self.firsts {
            if inserted.contains(&self.events[at].key()) {
                verdicts[at] = Verdict::Accepted;
            }
        }
        let mut topics: BTreeMap<&str, TopicDelta<'_>> = BTreeMap::new();
        for (event, verdict) in self.events.iter().zip(&verdicts) {
            let topic = event.topic.as_str();
            let delta = topics.entry(topic).or_insert(TopicDelta {
                topic,
                unique: 0,
                duplicate: 0,
            });
            match verdict {
                Verdict::Accepted => delta.unique += 1,
                Verdict::Duplicate | Verdict::DeadLettered => delta.duplicate += 1,
            }
        }
        Outcome {
            verdicts,
            topics: topics.into_values().collect(),
        }
    }
}
