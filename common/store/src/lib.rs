//! The store seam: what is recorded, and what can be read back. No SQL here.
//!
//! - [`query`]: pages of events and dead letters; `scan`: how much a page looks at; [`topics`]: pages of topics
//! - [`history`]: the counters as they were
//! - `plan`: a batch made ready, and what came of it
//! - `record`: recording a claim, the one algorithm of every store; `replay`: dead letters tried again; `failure`: why a
//!   transaction was not committed, and what to do then
//! - [`audit`]: do the counters agree with the rows? [`upkeep`]: keeping the ledger fast, and forgetting
//!
//! Implementations: [`postgres`] and [`sqlite`], each behind the feature of its name.

pub mod audit;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod failure;
pub mod history;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod migrations;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod plan;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod query;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod record;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod replay;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod scan;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod topics;
pub mod upkeep;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use event::{Claim, EventId, Topic, Verdict, WorkerId};
use runtime::readiness::{Dependency, Probe};

pub use audit::Audit;
pub use history::{Sample, Span};
pub use query::{
    Cursor, CursorError, DeadLetter, EventQuery, Limit, Order, Page, Part, Replayed, Selection,
    StoredEvent,
};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use scan::{CLOCKS_WITHIN, SCAN_ROWS};
pub use topics::{StatsQuery, TopicCursor, TopicOrder, TopicPage, TopicQuery, TopicStats, Visible};
pub use upkeep::{FilterUse, Outdated, Rules, Step};

/// Where events are stored exactly once, with counters that agree with them. Its [`Probe`] tries whether it can be written
/// to, and says more until [`Store::migrate`] has succeeded.
#[async_trait]
pub trait Store: Probe {
    /// What `/ready` knows of it. What comes of [`Store::record`] is noted there.
    fn dependency(&self) -> Arc<Dependency>;

    /// Brings the tables up to date. Safe to run from several processes at once.
    async fn migrate(&self) -> Result<(), StoreError>;

    /// Makes a worker known, before its first claim. Registering twice changes nothing.
    async fn register(&self, worker: WorkerId) -> Result<(), StoreError>;

    /// Stores a claim's events and counts them, in one transaction, at most once for a
    /// [`ClaimId`](event::ClaimId). Safe to call again after any error.
    async fn record(&self, claim: &Claim) -> Result<Recorded, StoreError>;

    /// The counters and the topics that are asked for, in one snapshot.
    async fn stats(&self, query: &StatsQuery) -> Result<Stats, StoreError>;

    /// One page of topics.
    async fn topics(&self, query: &TopicQuery) -> Result<TopicPage, StoreError>;

    /// Keeps the counters as they are now for this moment, unless that was done already. Moments are multiples of
    /// [`history::EVERY`].
    async fn take_sample(&self, moment: DateTime<Utc>) -> Result<(), StoreError>;

    /// Drops the samples that are too old by now to be kept, or to be kept so close to each other.
    async fn thin_history(&self, now: DateTime<Utc>) -> Result<(), StoreError>;

    /// The counters as they were, oldest first: of each step the first sample, [`history::MAX_SAMPLES`] at most.
    async fn history(&self, span: &Span) -> Result<Vec<Sample>, StoreError>;

    /// One page of stored events. With a filter it may hold less than it could, even nothing, before the end of the list:
    /// it looks at [`SCAN_ROWS`] rows at most.
    async fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>, StoreError>;

    /// One event by its identity.
    async fn event(&self, topic: &Topic, id: &EventId) -> Result<Option<StoredEvent>, StoreError>;

    /// One page of dead letters.
    async fn dead_letters(&self, part: Part) -> Result<Page<DeadLetter>, StoreError>;

    /// Tries to store one page of dead letters again, of these or of all, after a place: in one transaction, as many as
    /// [`Limit::MAX`] and [`FULL_PAGE_BYTES`](query::FULL_PAGE_BYTES) allow, and one at least.
    ///
    /// What is stored now, or was stored before, is a dead letter no more, and moves from one counter to the other;
    /// `received` stays. Replaying again changes nothing. With `dry_run` all of it is rolled back.
    async fn replay_page(
        &self,
        ids: Option<&[i64]>,
        after: Option<Cursor>,
        dry_run: bool,
    ) -> Result<Replayed, StoreError>;

    /// [`Store::replay_page`] of a selection. Letters that were named are replayed to the last page, of all letters one
    /// page. An error leaves the pages before it replayed; to repeat it is harmless.
    async fn replay(&self, which: &Selection, dry_run: bool) -> Result<Replayed, StoreError> {
        let ids = match which {
            Selection::After(after) => return self.replay_page(None, *after, dry_run).await,
            Selection::Ids(ids) => Some(&ids[..]),
        };
        let mut all = Replayed::default();
        let mut after = None;
        // Each page holds one of the letters at least.
        for _ in 0..Limit::MAX {
            let page = self.replay_page(ids, after, dry_run).await?;
            all.accepted += page.accepted;
            all.duplicates += page.duplicates;
            all.refused.extend(page.refused);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(all)
    }

    /// Throws away what is in a dead letter. It stays counted. `false`: no dead letter has this id.
    async fn discard(&self, id: i64) -> Result<bool, StoreError>;

    /// Compares the counters with the rows, in one snapshot.
    async fn audit(&self) -> Result<Audit, StoreError>;

    /// Does one step of what is due by these rules, beside the running system: also beside other processes that do the same.
    /// `None`: nothing was due, or another process does it now.
    async fn keep(&self, rules: &Rules) -> Result<Option<Step>, StoreError>;

    /// What [`Store::keep`] would forget now, oldest first.
    async fn outdated(&self, retention: Duration) -> Result<Vec<Outdated>, StoreError>;

    /// Workers that have committed nothing for so long, as many as are looked at at a time.
    async fn idle_workers(&self, idle_for: Duration) -> Result<Vec<IdleWorker>, StoreError>;

    /// Forgets these workers, but for those that have committed meanwhile. Answers how many.
    ///
    /// A forgotten worker can never commit again. So that none is forgotten whose claim is
    /// committed and not settled: first [`Store::idle_workers`], then look who has a claim
    /// (`queue::Queue::holders`), then forget the others.
    async fn forget_workers(&self, workers: &[IdleWorker]) -> Result<u64, StoreError>;

    /// Notes that this queue has so many shards, and answers the other numbers that it has had.
    async fn enter_layout(&self, queue: &str, shards: u16) -> Result<Vec<u16>, StoreError>;

    /// How its connections are used.
    fn pools(&self) -> Vec<PoolUse>;

    /// How old what a replica shows is, from which lists are read. `None`: there is none, or it does not answer.
    async fn replica_lag(&self) -> Option<Duration> {
        None
    }

    /// How its cache of stored events is used. `None`: it has none.
    fn cache(&self) -> Option<CacheUse> {
        None
    }

    /// How its filters of closed buckets are used. `None`: it has none.
    fn filters(&self) -> Option<FilterUse> {
        None
    }

    /// Closes every connection, once they are back. Nothing works afterwards.
    async fn close(&self);
}

/// How the connections of a pool are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUse {
    /// What they are for.
    pub name: &'static str,
    /// How many are working.
    pub in_use: u32,
    /// How many are open and have nothing to do.
    pub idle: u32,
    /// How many there may be.
    pub limit: u32,
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl PoolUse {
    pub(crate) fn of<DB: sqlx::Database>(name: &'static str, pool: &sqlx::Pool<DB>) -> Self {
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
        Self {
            name,
            // The two numbers are not read at the same moment.
            in_use: pool.size().saturating_sub(idle),
            idle,
            limit: pool.options().get_max_connections(),
        }
    }
}

/// How a cache of stored events is used, since the program began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheUse {
    /// Events that it knew.
    pub hits: u64,
    /// Events that it did not know.
    pub misses: u64,
    /// How many it knows now.
    pub entries: u64,
}

/// What [`Store::record`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// Committed now.
    Committed(Tally),
    /// This claim, or a later one of its worker, was committed before: only settle it.
    AlreadyCommitted,
    /// The worker is not known (any more). Nothing of this claim was ever committed.
    UnknownWorker,
}

/// What came of a claim that was committed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Events that are stored now.
    pub unique: u64,
    /// Events that were stored before.
    pub duplicate: u64,
    /// What was put aside: events that the store refused, and what is not an event.
    pub dead_lettered: u64,
    /// One verdict an event, in the claim's order, if the claim is [judged](Claim::judged).
    pub verdicts: Vec<Verdict>,
}

/// Why the store could not do what it was asked, by what the caller should do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Away, overloaded or in conflict: nothing was committed, try again later.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] BoxError),
    /// It is not the one that was meant, as far as its certificate tells. With what to do.
    #[error("the database is not trusted: {0}")]
    Untrusted(String),
    /// It answers, and takes no writes. With what to do.
    #[error("the database takes no writes: {0}")]
    ReadOnly(&'static str),
    /// This program may not do there what it must. With what to do.
    #[error("the database does not allow it: {0}")]
    Forbidden(String),
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
    /// It would not store every event, or would not count it rightly. With what to do.
    #[error("the database cannot be used: {0}")]
    Unfit(String),
}

/// The driver's error behind a [`StoreError`].
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A worker that has long committed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleWorker {
    /// Which.
    pub id: WorkerId,
    /// When it registered or last committed, as the store tells it.
    pub updated_at: DateTime<Utc>,
}

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
    /// Unique events by topic, of the topics that were asked for.
    pub topics: BTreeMap<String, i64>,
    /// How many topics there are, among those that may be seen.
    pub topics_total: i64,
    /// Since when the counters count.
    pub uptime_start: DateTime<Utc>,
}
