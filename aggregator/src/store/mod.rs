//! The PostgreSQL store.
//!
//! - `record`: a claim in one transaction; `insert`: its events; `workers`: that it counts once
//! - `known`: what need not be inserted again
//! - `read`: counters, events; `letters`: dead letters; `audit`: do the counters agree?
//! - `horizon`: a cursor that misses nothing
//! - `classify`: what to do about an error
//! - `fitness`: what no event could be stored in; `ground`: on what a transaction works

mod audit;
mod classify;
mod fitness;
mod ground;
mod horizon;
mod insert;
mod known;
mod letters;
mod read;
mod record;
mod workers;

use std::{path::Path, str::FromStr, sync::Arc, time::Duration};

use self::known::Known;
use async_trait::async_trait;
use common::{
    event::{EventId, Topic},
    queue::{Claim, WorkerId},
    store::{
        Audit, Cursor, DeadLetter, EventQuery, IdleWorker, Limit, Page, Recorded, Replayed, Stats,
        Store, StoreError, StoredEvent,
    },
    tls::{self, TlsError},
};
use sqlx::{
    PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// Connections for the worker of `/ingest`, and for dead letters.
pub const INGEST_CONNECTIONS: u32 = 2;
/// Connections for reads.
pub const READ_CONNECTIONS: u32 = 4;
/// How long a caller waits for a connection.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(5);
/// Longest statement of a reader, in milliseconds.
const READ_WITHIN_MS: &str = "10000";
/// Longest wait for a lock of a writer, in milliseconds. Others hold theirs for one batch.
const LOCK_WITHIN_MS: &str = "30000";
/// Longest pause of a writer within its transaction, in milliseconds. Then the server rolls back, so
/// that a process that hangs, or whose machine is gone, does not hold everyone's locks.
const PAUSE_WITHIN_MS: &str = "30000";

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

/// The store in a PostgreSQL database, 13 or later.
///
/// Workers and readers have connections apart: readers cannot keep workers waiting, and the two run
/// on different runtimes (workers outlive the HTTP server).
pub struct Postgres {
    writers: PgPool,
    readers: PgPool,
    known: Arc<Known>,
}

/// `DATABASE_URL` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// It is not set.
    #[error("DATABASE_URL is missing; set it to postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE")]
    Missing,
    /// It cannot be read. It may hold a password: it is not shown.
    #[error(
        "DATABASE_URL is no address of a database; give postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE"
    )]
    Malformed,
    /// The authorities that it names cannot be used.
    #[error(transparent)]
    Authorities(#[from] TlsError),
}

impl Postgres {
    /// Contacts nobody yet. Opens connections as they are needed: up to one for each of `workers`,
    /// [`INGEST_CONNECTIONS`] and [`READ_CONNECTIONS`].
    ///
    /// # Errors
    /// [`UrlError`] if `url` is no PostgreSQL address, or names authorities that cannot be used.
    pub fn from_url(url: &str, workers: u16) -> Result<Self, UrlError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(UrlError::Malformed);
        }
        check_authorities(url)?;
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| UrlError::Malformed)?
            .application_name("event-aggregator");
        let writing = options.clone().options([
            ("lock_timeout", LOCK_WITHIN_MS),
            ("idle_in_transaction_session_timeout", PAUSE_WITHIN_MS),
        ]);
        let reading = options.options([
            ("statement_timeout", READ_WITHIN_MS),
            ("default_transaction_read_only", "on"),
        ]);
        let known = Arc::new(Known::new());
        let connected = known.clone();
        Ok(Self {
            writers: pool(u32::from(workers) + INGEST_CONNECTIONS)
                .after_connect(move |connection, _| {
                    connected.forget();
                    Box::pin(commit_durably(connection))
                })
                .connect_lazy_with(writing),
            known,
            readers: pool(READ_CONNECTIONS).connect_lazy_with(reading),
        })
    }
}

/// The driver reads them for each connection, and would only then say that it cannot.
fn check_authorities(url: &str) -> Result<(), TlsError> {
    let (_, query) = url.split_once('?').unwrap_or_default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        // It takes the certificates themselves, too.
        if name == "sslrootcert" && !value.starts_with("-----BEGIN") {
            tls::authorities("sslrootcert in DATABASE_URL", Path::new(&*value))?;
        }
    }
    Ok(())
}

fn pool(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_WITHIN)
}

/// A claim is settled after its commit, so the commit must be on disk by then, whatever the
/// database's default is
/// ([synchronous_commit](https://www.postgresql.org/docs/current/wal-async-commit.html)). A default that
/// waits for more than that is left alone.
async fn commit_durably(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query(
        "SELECT set_config('synchronous_commit', 'on', false)
         WHERE current_setting('synchronous_commit') = 'off'",
    )
    .execute(connection)
    .await?;
    Ok(())
}

#[async_trait]
impl Store for Postgres {
    async fn migrate(&self) -> Result<(), StoreError> {
        MIGRATIONS
            .run(&self.writers)
            .await
            .map_err(classify::migration_failure)?;
        fitness::check(&self.writers).await
    }

    async fn register(&self, worker: WorkerId) -> Result<(), StoreError> {
        workers::register(&self.writers, worker)
            .await
            .map_err(classify::failure)
    }

    async fn record(&self, claim: &Claim) -> Result<Recorded, StoreError> {
        record::record(&self.writers, &self.known, claim).await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        read::stats(&self.readers).await
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
        Ok(letters::replay(&self.writers, ids, after, dry_run).await?)
    }

    async fn discard(&self, id: i64) -> Result<bool, StoreError> {
        letters::discard(&self.writers, id).await
    }

    async fn audit(&self) -> Result<Audit, StoreError> {
        audit::audit(&self.readers).await
    }

    async fn idle_workers(&self, idle_for: Duration) -> Result<Vec<IdleWorker>, StoreError> {
        workers::idle(&self.writers, idle_for)
            .await
            .map_err(classify::failure)
    }

    async fn forget_workers(&self, workers: &[IdleWorker]) -> Result<u64, StoreError> {
        workers::forget(&self.writers, workers)
            .await
            .map_err(classify::failure)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let standby = sqlx::query_scalar("SELECT pg_is_in_recovery()")
            .fetch_one(&self.readers)
            .await
            .map_err(classify::failure)?;
        if standby {
            Err(StoreError::ReadOnly(
                "it is a standby; point DATABASE_URL at its primary",
            ))
        } else {
            Ok(())
        }
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}
