//! The SQLite store.
//!
//! - `session`, `transaction`: the statements that record a claim; `workers`: the rows of workers
//! - `chunks`: many rows in a few sizes of statements
//! - `retention`: forgetting old events
//! - `read`: events; `counters`; `dead_letters`; `audit`: do the counters agree?
//! - `migrate`: the tables
//! - `probe`: what events need, tried while none come
//! - `classify`: what to do about an error; `moment`: times
//! - `file`: are the files still those that were opened?

mod audit;
mod begin;
mod chunks;
mod classify;
mod counters;
mod dead_letters;
mod file;
mod layouts;
mod migrate;
mod moment;
mod probe;
mod read;
mod retention;
mod session;
mod transaction;
mod workers;

use std::{
    fs,
    path::{self, Path, PathBuf},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use event::{
    Claim, EventId, Topic, WorkerId,
    clock::{Clock, SystemClock},
};
use futures_util::TryFutureExt;
use runtime::readiness::Dependency;
use sqlx::{
    Connection, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use self::{classify::ResultCodes, file::Files, session::Session, transaction::Transaction};
use crate::{
    Audit, Cursor, DeadLetter, EventQuery, IdleWorker, Outdated, Page, Part, PoolUse, Recorded,
    Replayed, Rules, Sample, Span, Stats, StatsQuery, Step, Store, StoreError, StoredEvent,
    TopicPage, TopicQuery, failure::Failure, record, replay,
};

/// Connections for pages of events and dead letters.
const READ_CONNECTIONS: u32 = 4;
/// Connections for counters. Pages cannot keep them waiting.
const COUNTER_CONNECTIONS: u32 = 1;
/// How long a caller waits for a connection; workers take turns with the only one that writes.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(30);
/// How long SQLite waits for another process that is using the file.
const BUSY_WITHIN: Duration = Duration::from_secs(5);

/// Settings of the connection that writes, beside those that make it durable: a transaction changes thousands of pages of
/// the index, and each is to be written once.
/// - [`cache_size`](https://www.sqlite.org/pragma.html#pragma_cache_size): they stay in memory until the commit; 16 MiB
/// - [`wal_autocheckpoint`](https://www.sqlite.org/pragma.html#pragma_wal_autocheckpoint): they are brought into the file
///   once for several transactions; the log is 16 MiB then
/// - [`temp_store`](https://www.sqlite.org/pragma.html#pragma_temp_store): what a statement would need to be undone alone
///   is not written to the disk
pub const WRITER_PRAGMAS: [(&str, &str); 3] = [
    ("cache_size", "-16384"),
    ("wal_autocheckpoint", "4096"),
    ("temp_store", "memory"),
];

/// The store in a SQLite file: write-ahead log, every commit synced to disk
/// ([WAL](https://www.sqlite.org/wal.html),
/// [`synchronous=FULL`](https://www.sqlite.org/pragma.html#pragma_synchronous)).
///
/// One connection writes, because SQLite has one writer at a time; others read snapshots beside it. Ids
/// are drawn by that one writer, so they become visible in order.
pub struct Sqlite {
    files: Files,
    reading: SqliteConnectOptions,
    writer: SqlitePool,
    readers: SqlitePool,
    counters: SqlitePool,
    clock: Arc<dyn Clock>,
    dependency: Arc<Dependency>,
    migrated: AtomicBool,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is not valid. It may be a mistyped one with a password, so it is not shown.
    #[error(
        "DATABASE_URL is neither sqlite://PATH nor postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE"
    )]
    Url,
    /// It would be gone with its connection.
    #[error("DATABASE_URL names a SQLite database in memory; give a file: sqlite://PATH")]
    InMemory,
    /// There is no place for the file.
    #[error("DATABASE_URL: the folder {} cannot be made: {source}; make it, or choose another", .folder.display())]
    Folder {
        /// Where the file should lie.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Sqlite {
    /// Makes the folder; the file is made or opened when it is first needed.
    ///
    /// # Errors
    /// [`OpenError`] if `url` is not a `sqlite:` address, or the folder cannot be made.
    pub fn open(url: &str) -> Result<Self, OpenError> {
        let options = options(url)?;
        let file = options.get_filename().to_owned();
        make_folder(&file)?;
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_WITHIN);
        let reading = options.clone().pragma("query_only", "on");
        let set = |options: SqliteConnectOptions, (name, value)| options.pragma(name, value);
        let writing = WRITER_PRAGMAS.into_iter().fold(options, set);
        Ok(Self {
            files: Files::of(&file),
            writer: pool(writing, 1),
            readers: pool(reading.clone(), READ_CONNECTIONS),
            counters: pool(reading.clone(), COUNTER_CONNECTIONS),
            reading,
            clock: Arc::new(SystemClock),
            dependency: Arc::new(Dependency::new("sqlite", file.display().to_string())),
            migrated: AtomicBool::new(false),
        })
    }

    fn now_micros(&self) -> i64 {
        self.clock.now().timestamp_micros()
    }

    /// Writes, and says that it is written only if it is where it can be found again.
    async fn durably<T>(
        &self,
        write: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.files.check().map_err(StoreError::ReadOnly)?;
        let written = write.await?;
        // It was replaced just now: the commit went into one of the two files.
        self.files
            .check()
            .map_err(|gone| StoreError::Uncertain(gone.into()))?;
        Ok(written)
    }
}

/// The absolute path of the file that an address names.
///
/// # Errors
/// [`OpenError`] if it names none.
pub fn path(url: &str) -> Result<PathBuf, OpenError> {
    let file = options(url)?.get_filename().to_owned();
    // Without a current folder there is none.
    Ok(path::absolute(&file).unwrap_or(file))
}

fn options(url: &str) -> Result<SqliteConnectOptions, OpenError> {
    if !url.starts_with("sqlite:") {
        return Err(OpenError::Url);
    }
    let options = SqliteConnectOptions::from_str(url).map_err(|_| OpenError::Url)?;
    // sqlx gives a database in memory such a name, or none.
    let file = options.get_filename();
    let in_memory = file.as_os_str().is_empty()
        || file.to_string_lossy().contains(":memory:")
        || url.contains(":memory:");
    if in_memory {
        Err(OpenError::InMemory)
    } else {
        Ok(options)
    }
}

fn make_folder(file: &Path) -> Result<(), OpenError> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => {
            fs::create_dir_all(folder).map_err(|source| OpenError::Folder {
                folder: folder.to_owned(),
                source,
            })
        }
        _ => Ok(()),
    }
}

fn pool(options: SqliteConnectOptions, connections: u32) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_WITHIN)
        // A connection made later might be one to another file of the same name.
        .max_lifetime(None)
        .idle_timeout(None)
        .after_release(|connection, _| Box::pin(is_at_rest(connection)))
        .connect_lazy_with(options)
}

/// Whether a connection can be used again. After some errors, a full disk among them, SQLite
/// [rolls back by itself](https://www.sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction);
/// then the driver's own rollback fails, and it would never begin another transaction.
async fn is_at_rest(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    // The rollback is in the queue before this.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

#[async_trait]
impl Store for Sqlite {
    fn dependency(&self) -> Arc<Dependency> {
        self.dependency.clone()
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let prepared = async {
            self.durably(migrate::run(&self.writer)).await?;
            let holding = self.files.hold(&self.reading).await;
            holding.map_err(classify::failure)?;
            // A file that cannot be written may have all the tables.
            self.try_to_write().await
        };
        self.noted(prepared.await)?;
        self.migrated.store(true, Ordering::Release);
        Ok(())
    }

    async fn register(&self, worker: WorkerId) -> Result<(), StoreError> {
        let registering = workers::register(&self.writer, worker, self.now_micros());
        self.noted(self.durably(registering.map_err(classify::failure)).await)
    }

    async fn record(&self, claim: &Claim) -> Result<Recorded, StoreError> {
        let session = Session {
            writer: &self.writer,
            now: self.now_micros(),
        };
        let recorded = self.durably(record::record(session, claim)).await;
        if let Ok(Recorded::Committed(_) | Recorded::AlreadyCommitted) = recorded {
            self.dependency.works();
        }
        self.noted(recorded)
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Stats, StoreError> {
        counters::stats(&self.counters, query).await
    }

    async fn topics(&self, query: &TopicQuery) -> Result<TopicPage, StoreError> {
        counters::topics(&self.readers, query).await
    }

    async fn take_sample(&self, moment: DateTime<Utc>) -> Result<(), StoreError> {
        self.durably(counters::take_sample(&self.writer, moment))
            .await
    }

    async fn thin_history(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.durably(counters::thin_history(&self.writer, now))
            .await
    }

    async fn history(&self, span: &Span) -> Result<Vec<Sample>, StoreError> {
        counters::history(&self.readers, span).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>, StoreError> {
        read::events(&self.readers, query).await
    }

    async fn event(&self, topic: &Topic, id: &EventId) -> Result<Option<StoredEvent>, StoreError> {
        read::event(&self.readers, topic, id).await
    }

    async fn dead_letters(&self, part: Part) -> Result<Page<DeadLetter>, StoreError> {
        dead_letters::page(&self.readers, part).await
    }

    async fn replay_page(
        &self,
        ids: Option<&[i64]>,
        after: Option<Cursor>,
        dry_run: bool,
    ) -> Result<Replayed, StoreError> {
        let replaying = async {
            let transaction = Transaction::begin(&self.writer, self.now_micros()).await?;
            replay::replay(transaction, ids, after, dry_run).await
        };
        self.durably(replaying.map_err(Failure::into_error::<ResultCodes>))
            .await
    }

    async fn discard(&self, id: i64) -> Result<bool, StoreError> {
        self.durably(dead_letters::discard(&self.writer, id, self.now_micros()))
            .await
    }

    async fn audit(&self) -> Result<Audit, StoreError> {
        audit::audit(&self.readers).await
    }

    async fn keep(&self, rules: &Rules) -> Result<Option<Step>, StoreError> {
        let Some(retention) = rules.retention else {
            return Ok(None);
        };
        let before = self.now_micros() - retention::micros(retention);
        let step = retention::step(&self.writer, &self.readers, before);
        self.durably(step).await
    }

    async fn outdated(&self, retention: Duration) -> Result<Vec<Outdated>, StoreError> {
        let before = self.now_micros() - retention::micros(retention);
        retention::outdated(&self.readers, before).await
    }

    async fn idle_workers(&self, idle_for: Duration) -> Result<Vec<IdleWorker>, StoreError> {
        workers::idle(&self.readers, idle_for, self.now_micros())
            .await
            .map_err(classify::failure)
    }

    async fn forget_workers(&self, workers: &[IdleWorker]) -> Result<u64, StoreError> {
        self.durably(workers::forget(&self.writer, workers)).await
    }

    async fn enter_layout(&self, queue: &str, shards: u16) -> Result<Vec<u16>, StoreError> {
        let former = layouts::enter(&self.writer, queue, shards).await;
        former.map_err(classify::failure)
    }

    fn pools(&self) -> Vec<PoolUse> {
        vec![
            PoolUse::of("writers", &self.writer),
            PoolUse::of("pages", &self.readers),
            PoolUse::of("counters", &self.counters),
        ]
    }

    async fn close(&self) {
        self.files.release().await;
        self.counters.close().await;
        self.readers.close().await;
        // The last one to close brings the write-ahead log into the file.
        self.writer.close().await;
    }
}
