//! The SQLite store.
//!
//! - `record`: a claim in one transaction; `insert`: its events; `workers`: that it counts once
//! - `read`: counters, events; `letters`: dead letters; `audit`: do the counters agree?
//! - `migrate`: the tables
//! - `probe`: what events need, tried while none come
//! - `classify`: what to do about an error

mod audit;
mod classify;
mod insert;
mod letters;
mod migrate;
mod probe;
mod read;
mod record;
mod workers;

use std::{
    fs,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use common::{
    clock::{Clock, SystemClock},
    event::{EventId, Topic},
    queue::{Claim, WorkerId},
    readiness::Dependency,
    store::{
        Audit, Cursor, DeadLetter, EventQuery, IdleWorker, Limit, Page, Recorded, Replayed, Stats,
        Store, StoreError, StoredEvent,
    },
};
use sqlx::{
    Connection, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
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
/// One connection writes, for SQLite has one writer at a time; others read snapshots beside it. Ids
/// are drawn by that one writer, so they become visible in order.
pub struct Sqlite {
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
    /// The address is none. It may be a mistyped one with a password: it is not shown.
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
    /// [`OpenError`] if `url` is no `sqlite:` address, or the folder cannot be made.
    pub fn open(url: &str) -> Result<Self, OpenError> {
        if !url.starts_with("sqlite:") {
            return Err(OpenError::Url);
        }
        let options = SqliteConnectOptions::from_str(url).map_err(|_| OpenError::Url)?;
        // sqlx gives a database in memory such a name, or none.
        let file = options.get_filename().to_owned();
        if file.as_os_str().is_empty()
            || file.to_string_lossy().contains(":memory:")
            || url.contains(":memory:")
        {
            return Err(OpenError::InMemory);
        }
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
            writer: pool(writing, 1),
            readers: pool(reading.clone(), READ_CONNECTIONS),
            counters: pool(reading, COUNTER_CONNECTIONS),
            clock: Arc::new(SystemClock),
            dependency: Arc::new(Dependency::new("sqlite", file.display().to_string())),
            migrated: AtomicBool::new(false),
        })
    }

    fn now_micros(&self) -> i64 {
        self.clock.now().timestamp_micros()
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
            migrate::run(&self.writer).await?;
            // A file that cannot be written may have all the tables.
            probe::try_to_write(&self.writer).await
        };
        self.noted(prepared.await)?;
        self.migrated.store(true, Ordering::Release);
        Ok(())
    }

    async fn register(&self, worker: WorkerId) -> Result<(), StoreError> {
        let registered = workers::register(&self.writer, worker, self.now_micros()).await;
        self.noted(registered.map_err(classify::failure))
    }

    async fn record(&self, claim: &Claim) -> Result<Recorded, StoreError> {
        let recorded = record::record(&self.writer, claim, self.now_micros()).await;
        if let Ok(Recorded::Committed(_) | Recorded::AlreadyCommitted) = recorded {
            self.dependency.works();
        }
        self.noted(recorded)
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        read::stats(&self.counters).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>, StoreError> {
        read::events(&self.readers, query).await
    }

    async fn event(&self, topic: &Topic, id: &EventId) -> Result<Option<StoredEvent>, StoreError> {
        read::event(&self.readers, topic, id).await
    }

    async fn dead_letters(
        &self,
        after: Option<Cursor>,
        limit: Limit,
    ) -> Result<Page<DeadLetter>, StoreError> {
        letters::page(&self.readers, after, limit).await
    }

    async fn replay_page(
        &self,
        ids: Option<&[i64]>,
        after: Option<Cursor>,
        dry_run: bool,
    ) -> Result<Replayed, StoreError> {
        let now = self.now_micros();
        Ok(letters::replay(&self.writer, ids, after, dry_run, now).await?)
    }

    async fn discard(&self, id: i64) -> Result<bool, StoreError> {
        letters::discard(&self.writer, id, self.now_micros()).await
    }

    async fn audit(&self) -> Result<Audit, StoreError> {
        audit::audit(&self.readers).await
    }

    async fn idle_workers(&self, idle_for: Duration) -> Result<Vec<IdleWorker>, StoreError> {
        workers::idle(&self.readers, idle_for, self.now_micros())
            .await
            .map_err(classify::failure)
    }

    async fn forget_workers(&self, workers: &[IdleWorker]) -> Result<u64, StoreError> {
        let mut transaction = self
            .writer
            .begin_with(record::BEGIN)
            .await
            .map_err(classify::failure)?;
        let forgotten = workers::forget(&mut transaction, workers)
            .await
            .map_err(classify::failure)?;
        transaction
            .commit()
            .await
            .map_err(classify::commit_failure)?;
        Ok(forgotten)
    }

    async fn close(&self) {
        self.counters.close().await;
        self.readers.close().await;
        // The last one to close brings the write-ahead log into the file.
        self.writer.close().await;
    }
}
