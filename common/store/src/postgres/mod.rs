//! The PostgreSQL store.
//!
//! - `address`: `DATABASE_URL`; `connections`: separate ones for each purpose; `migrate`, `rights`: what must be there
//! - `session`, `transaction`: the statements that record a claim; `at_once`: one statement for a small one; `workers`: the rows of workers
//! - `buckets`: the tables that events are in, and keeping them
//! - `dedup_cache`: what need not be inserted again
//! - `layouts`: in how many shards queues have been
//! - `read`: events; `counters`; `dead_letters`; `audit`: do the counters agree?
//! - `hosts`: the one of several that takes writes; `replica`: lists that may be behind
//! - `horizon`: a cursor that misses nothing
//! - `probe`: what events need, tried while none come; `trouble`: what is wrong, in words
//! - `classify`: what to do about an error
//! - `fitness`: what no event could be stored in; `ground`: on what a transaction works

mod address;
mod at_once;
mod audit;
mod buckets;
mod classify;
mod connections;
mod counters;
mod dead_letters;
mod dedup_cache;
mod fitness;
mod ground;
mod horizon;
mod hosts;
mod layouts;
mod migrate;
mod probe;
mod read;
mod replica;
mod rights;
mod session;
mod transaction;
mod trouble;
mod workers;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use event::{Claim, EventId, Topic, WorkerId};
use runtime::readiness::{Dependency, Probe, Trouble};
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

pub use address::UrlError;
pub use connections::{
    COUNTER_CONNECTIONS, INGEST_CONNECTIONS, LETTER_CONNECTIONS, READ_CONNECTIONS,
    UPKEEP_CONNECTIONS,
};
pub use replica::REPLICA_CONNECTIONS;
pub use rights::{grants, reading_grants};

use self::{
    address::Address,
    buckets::{Memory, upkeep},
    classify::SqlStates,
    connections::Connections,
    probe::Prober,
    session::Session,
    transaction::Transaction,
};
use crate::{
    Audit, CacheUse, Cursor, DeadLetter, EventQuery, FilterUse, IdleWorker, Outdated, Page, Part,
    PoolUse, Recorded, Replayed, Rules, Sample, Span, Stats, StatsQuery, Step, Store, StoreError,
    StoredEvent, TopicPage, TopicQuery, failure::Failure, record, replay,
};

/// How long the database may take to say why a pool could not connect.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

/// In how many slots workers count, unless something else is set: two that count in the same one wait for each other's commits.
pub const STATS_SLOTS: u16 = 16;

/// The store in a PostgreSQL database, 13 or later.
pub struct Postgres {
    connections: Connections,
    memory: Arc<Memory>,
    stats_slots: u16,
    prober: Prober,
    dependency: Arc<Dependency>,
    /// What came of the last [`Store::migrate`].
    prepared: Mutex<Result<(), Trouble>>,
}

impl Postgres {
    /// Contacts nobody yet. Opens connections as they are needed: up to one for each of `workers`,
    /// [`INGEST_CONNECTIONS`], [`LETTER_CONNECTIONS`], [`UPKEEP_CONNECTIONS`], [`READ_CONNECTIONS`], [`COUNTER_CONNECTIONS`],
    /// and one for the probe.
    ///
    /// # Errors
    /// [`UrlError`] if `url` is no PostgreSQL address, has a parameter that is not known, or names authorities that cannot
    /// be used.
    pub fn from_url(url: &str, workers: u16) -> Result<Self, UrlError> {
        Self::with_replica(url, None, workers)
    }

    /// The same with a replica at `replica`, from which lists of events and topics and the history are read. They are
    /// behind by its lag. Counters and all that the protocol needs come from the primary. It opens up to
    /// [`REPLICA_CONNECTIONS`] there.
    ///
    /// # Errors
    /// As [`Self::from_url`].
    pub fn with_replica(url: &str, replica: Option<&str>, workers: u16) -> Result<Self, UrlError> {
        let Address { hosts, shown } = Address::parse(url)?;
        let replica = match replica.map(Address::parse).transpose() {
            // Several hosts would have to be tried, and each has a lag of its own.
            Ok(Some(Address { hosts, .. })) if hosts.len() > 1 => Err(UrlError::Malformed),
            parsed => {
                parsed.map(|address| address.and_then(|address| address.hosts.into_iter().next()))
            }
        };
        let replica = replica.map_err(|error| UrlError::Replica(Box::new(error)))?;
        let memory = Arc::new(Memory::new());
        let pending = Trouble::new(
            "its tables are not up to date yet",
            "the migrations have not run",
        );
        Ok(Self {
            connections: Connections::new(hosts, replica, workers, memory.clone()),
            memory,
            stats_slots: STATS_SLOTS,
            prober: Prober::default(),
            dependency: Arc::new(Dependency::new("postgres", shown)),
            prepared: Mutex::new(Err(pending)),
        })
    }

    /// Workers that register from now on count in so many slots, one at least. Slots that are there already stay.
    #[must_use]
    pub fn stats_slots(mut self, slots: u16) -> Self {
        self.stats_slots = slots.max(1);
        self
    }

    /// Filters of closed buckets take at most so many bytes of memory. Buckets without one are looked up in their index.
    #[must_use]
    pub fn filter_memory(self, bytes: usize) -> Self {
        self.memory.filters.limit(bytes);
        self
    }

    /// Runs statements that give a role rights, such as [`grants`], as the owner of the tables.
    ///
    /// # Errors
    /// [`StoreError`] if there is no such role, or this one may not grant rights.
    pub async fn grant(&self, statements: String) -> Result<(), StoreError> {
        let mut connection = self.connect().await?;
        let granted = migrate::grant(&mut connection, statements).await;
        // What was granted is committed.
        let _ = connection.close().await;
        granted
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        let mut connection = self.connect().await?;
        let prepared = match migrate::run(&mut connection).await {
            Ok(()) => fitness::check(&mut connection).await,
            failed => failed,
        };
        // What was done is committed.
        let _ = connection.close().await;
        prepared
    }

    async fn connect(&self) -> Result<PgConnection, StoreError> {
        self.connections.connect().await.map_err(classify::failure)
    }

    async fn find_primary(&self) -> Result<(), StoreError> {
        let found = self.connections.find_primary().await;
        found.map_err(classify::failure)
    }

    /// Connections that an error shows to be of no use any more are not used again.
    fn seen<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        outcome.inspect_err(|error| {
            if let Some(error) = trouble::driver(error) {
                self.connections.look_at(error);
            }
        })
    }

    /// The same of something that events need: a failure is noted for `/ready`.
    async fn noted<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        let outcome = self.seen(outcome);
        if let Err(error) = &outcome {
            self.dependency.fails(self.trouble(error).await);
        }
        outcome
    }

    /// Why it failed. The database is asked for what the error does not tell.
    async fn trouble(&self, error: &StoreError) -> Trouble {
        let asked = match trouble::driver(error) {
            // A pool repeats attempts to connect, and does not tell why they failed.
            Some(sqlx::Error::PoolTimedOut) => {
                let connecting = timeout(TOLD_WITHIN, self.connections.connect()).await;
                let failed = connecting.ok().and_then(Result::err);
                failed.map(classify::failure)
            }
            Some(driver) if rights::are_missing(driver) => {
                let asking = async {
                    let mut connection = self.connections.connect().await?;
                    rights::missing(&mut connection).await
                };
                let missing = timeout(TOLD_WITHIN, asking).await;
                let missing = missing.ok().and_then(Result::ok).flatten();
                missing.map(|missing| rights::forbidden(&missing))
            }
            _ => None,
        };
        let mut trouble = trouble::of(asked.as_ref().unwrap_or(error));
        if asked.is_some() {
            trouble.detail = format!("{error}: {}", trouble.detail);
        }
        trouble
    }
}

/// A real write, as workers would make it.
#[async_trait]
impl Probe for Postgres {
    async fn probe(&self) -> Result<(), Trouble> {
        let written = self.seen(self.prober.write(&self.connections).await);
        if let Err(error) = written {
            return Err(self.trouble(&error).await);
        }
        // No step under the lock can panic.
        let prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        prepared.clone()
    }
}

#[async_trait]
impl Store for Postgres {
    fn dependency(&self) -> Arc<Dependency> {
        self.dependency.clone()
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let prepared = self.seen(self.prepare().await);
        let told = match &prepared {
            Ok(()) => Ok(()),
            Err(error) => {
                let trouble = self.trouble(error).await;
                self.dependency.fails(trouble.clone());
                Err(trouble)
            }
        };
        *self.prepared.lock().unwrap_or_else(PoisonError::into_inner) = told;
        prepared
    }

    async fn register(&self, worker: WorkerId) -> Result<(), StoreError> {
        let registered =
            workers::register(&self.connections.writers, worker, self.stats_slots).await;
        self.noted(registered.map_err(classify::failure)).await
    }

    async fn record(&self, claim: &Claim) -> Result<Recorded, StoreError> {
        let recorded = match Session::open(&self.connections, &self.memory).await {
            Ok(session) => record::record(session, claim).await,
            Err(error) => Err(classify::failure(error)),
        };
        if let Ok(Recorded::Committed(_) | Recorded::AlreadyCommitted) = recorded {
            self.dependency.works();
        }
        self.noted(recorded).await
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Stats, StoreError> {
        self.seen(counters::stats(&self.connections.counters, query).await)
    }

    async fn topics(&self, query: &TopicQuery) -> Result<TopicPage, StoreError> {
        match &self.connections.replica {
            Some(replica) => counters::topics(&replica.pool, query).await,
            None => self.seen(counters::topics(&self.connections.pages, query).await),
        }
    }

    async fn take_sample(&self, moment: DateTime<Utc>) -> Result<(), StoreError> {
        let taken = counters::take_sample(&self.connections.writers, moment).await;
        self.seen(taken.map_err(classify::failure))
    }

    async fn thin_history(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let thinned = counters::thin_history(&self.connections.writers, now).await;
        self.seen(thinned.map_err(classify::failure))
    }

    async fn history(&self, span: &Span) -> Result<Vec<Sample>, StoreError> {
        if let Some(replica) = &self.connections.replica {
            let samples = counters::history(&replica.pool, span).await;
            return samples.map_err(classify::failure);
        }
        let samples = counters::history(&self.connections.pages, span).await;
        self.seen(samples.map_err(classify::failure))
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>, StoreError> {
        let Connections { pages, replica, .. } = &self.connections;
        match replica {
            Some(replica) => read::events_of_replica(replica, pages, query).await,
            None => self.seen(read::events(pages, query).await),
        }
    }

    async fn event(&self, topic: &Topic, id: &EventId) -> Result<Option<StoredEvent>, StoreError> {
        let Connections { pages, replica, .. } = &self.connections;
        if let Some(replica) = replica
            && let Some(event) = read::event(&replica.pool, topic, id).await?
        {
            return Ok(Some(event));
        }
        // What a replica does not have yet, the primary may have.
        self.seen(read::event(pages, topic, id).await)
    }

    async fn dead_letters(&self, part: Part) -> Result<Page<DeadLetter>, StoreError> {
        self.seen(dead_letters::page(&self.connections.pages, part).await)
    }

    async fn replay_page(
        &self,
        ids: Option<&[i64]>,
        after: Option<Cursor>,
        dry_run: bool,
    ) -> Result<Replayed, StoreError> {
        let replaying = async {
            let mut connection = self.connections.letters.acquire().await?;
            let transaction = Transaction::begin(&mut connection, &self.memory).await?;
            replay::replay(transaction, ids, after, dry_run).await
        };
        let replayed = replaying.await;
        self.seen(replayed.map_err(Failure::into_error::<SqlStates>))
    }

    async fn discard(&self, id: i64) -> Result<bool, StoreError> {
        self.seen(dead_letters::discard(&self.connections.letters, id).await)
    }

    async fn audit(&self) -> Result<Audit, StoreError> {
        self.find_primary().await?;
        self.seen(audit::audit(&self.connections.pages).await)
    }

    async fn keep(&self, rules: &Rules) -> Result<Option<Step>, StoreError> {
        self.seen(upkeep::step(&self.connections.upkeep, &self.memory.filters, rules).await)
    }

    async fn outdated(&self, retention: Duration) -> Result<Vec<Outdated>, StoreError> {
        self.find_primary().await?;
        let outdated = upkeep::outdated(&self.connections.pages, retention).await;
        self.seen(outdated.map_err(classify::failure))
    }

    async fn idle_workers(&self, idle_for: Duration) -> Result<Vec<IdleWorker>, StoreError> {
        let idle = workers::idle(&self.connections.writers, idle_for).await;
        self.seen(idle.map_err(classify::failure))
    }

    async fn forget_workers(&self, workers: &[IdleWorker]) -> Result<u64, StoreError> {
        let forgotten = workers::forget(&self.connections.writers, workers).await;
        self.seen(forgotten.map_err(classify::failure))
    }

    async fn enter_layout(&self, queue: &str, shards: u16) -> Result<Vec<u16>, StoreError> {
        let former = layouts::enter(&self.connections.writers, queue, shards).await;
        self.noted(former.map_err(classify::failure)).await
    }

    fn pools(&self) -> Vec<PoolUse> {
        self.connections.pools()
    }

    async fn replica_lag(&self) -> Option<Duration> {
        let Connections { pages, replica, .. } = &self.connections;
        replica.as_ref()?.lag(pages).await.ok()
    }

    fn cache(&self) -> Option<CacheUse> {
        Some(self.memory.cache.usage())
    }

    fn filters(&self) -> Option<FilterUse> {
        Some(self.memory.filters.usage())
    }

    async fn close(&self) {
        self.connections.close().await;
        self.prober.close().await;
    }
}
