//! The connections to the database: separate ones for each purpose, and none that outlives what it was connected to.
//!
//! A pool gives out a connection for as long as its socket works. After a failover behind one address, such as a proxy's,
//! the socket may still lead to the old primary, which is a standby by then. Therefore the first error that only a server
//! of another state gives ([`Connections::look_at`]) makes every connection that existed at that moment unusable: it is
//! closed when it comes back to its pool, or when it is next asked for. That takes no statement on the good path.
//! Connections that only read do not meet such errors on a standby. They become unusable, too, when one that writes is made.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{
    Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
    raw_sql,
};
use tokio::time::timeout;

use super::{
    buckets::Memory,
    hosts::Hosts,
    replica::{REPLICA_CONNECTIONS, Replica},
};
use crate::PoolUse;

/// Connections for the worker of `/ingest`, and for recovery.
pub const INGEST_CONNECTIONS: u32 = 2;
/// Connections that change dead letters. Replays wait for each other, and not the workers for them.
pub const LETTER_CONNECTIONS: u32 = 1;
/// Connections that keep the ledger.
pub const UPKEEP_CONNECTIONS: u32 = 1;
/// Connections for pages of events and dead letters.
pub const READ_CONNECTIONS: u32 = 4;
/// Connections for counters. Pages cannot keep them waiting.
pub const COUNTER_CONNECTIONS: u32 = 2;
/// How long making or waiting for a connection may take.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(5);

/// - `lock_timeout`: the longest wait for a lock, in milliseconds. Others hold theirs for one batch.
/// - `idle_in_transaction_session_timeout`: the longest pause within a transaction. Then the server rolls back, so that a
///   process that hangs, or whose machine is gone, does not hold everyone's locks.
/// - [`synchronous_commit`](https://www.postgresql.org/docs/current/wal-async-commit.html): a claim is settled after its
///   commit, so the commit must be on disk by then, whatever the database's default is. A default that waits for more
///   than that is left alone.
///
/// They are set here and not in the start-up message, because `PgBouncer` does not pass on what it finds there.
const WRITING: &str = "
    SET lock_timeout = 30000;
    SET idle_in_transaction_session_timeout = 30000;
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off'";

/// `statement_timeout`: the longest statement, in milliseconds.
const READING: &str = "
    SET statement_timeout = 10000;
    SET default_transaction_read_only = on";

pub(super) struct Connections {
    /// For workers, which outlive the HTTP server. The others belong to its runtime.
    pub(super) writers: PgPool,
    pub(super) letters: PgPool,
    pub(super) upkeep: PgPool,
    pub(super) pages: PgPool,
    pub(super) counters: PgPool,
    /// For lists that may be behind.
    pub(super) replica: Option<Replica>,
    hosts: Hosts,
    outlived: Arc<Outlived>,
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Write,
    Read,
}

impl Purpose {
    const fn settings(self) -> &'static str {
        match self {
            Self::Write => WRITING,
            Self::Read => READING,
        }
    }
}

/// Which connections are not to be used any more: those that were made before a moment.
struct Outlived {
    moments: Mutex<Moments>,
    memory: Arc<Memory>,
}

#[derive(Clone, Copy, Default)]
struct Moments {
    /// When an error showed that all had outlived what they were connected to.
    of_all: Option<Instant>,
    /// When one that writes was made. It may lead to a new primary, and those that read before still to a standby.
    of_readers: Option<Instant>,
}

impl Outlived {
    fn all(&self) {
        self.lock().of_all = Some(Instant::now());
        self.memory.cache.forget();
    }

    fn readers(&self) {
        self.lock().of_readers = Some(Instant::now());
        self.memory.cache.forget();
    }

    /// Whether a connection of this age is among them.
    fn includes(&self, purpose: Purpose, age: Duration) -> bool {
        let moments = *self.lock();
        let readers = moments.of_readers.filter(|_| purpose == Purpose::Read);
        let mut moments = moments.of_all.into_iter().chain(readers);
        moments.any(|moment| moment.elapsed() <= age)
    }

    /// No step under the lock can panic.
    fn lock(&self) -> MutexGuard<'_, Moments> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    /// Contacts nobody yet. What is remembered of recent events is forgotten with each new connection that writes.
    pub(super) fn new(
        hosts: Vec<PgConnectOptions>,
        replica: Option<PgConnectOptions>,
        workers: u16,
        memory: Arc<Memory>,
    ) -> Self {
        let hosts = Hosts::new(hosts);
        let outlived = Arc::new(Outlived {
            moments: Mutex::default(),
            memory,
        });
        let pool_to = |options: &PgConnectOptions, connections: u32, purpose: Purpose| {
            let [made, released, taken] = [outlived.clone(), outlived.clone(), outlived.clone()];
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_WITHIN)
                .after_connect(move |connection, _| {
                    if purpose == Purpose::Write {
                        made.readers();
                    }
                    Box::pin(set(connection, purpose))
                })
                .after_release(move |_, connection| {
                    let usable = !released.includes(purpose, connection.age);
                    Box::pin(async move { Ok(usable) })
                })
                .before_acquire(move |_, connection| {
                    let usable = !taken.includes(purpose, connection.age);
                    Box::pin(async move { Ok(usable) })
                })
                .connect_lazy_with(options.clone())
        };
        let pool = |connections, purpose| pool_to(hosts.current(), connections, purpose);
        let replica = replica.map(|options| pool_to(&options, REPLICA_CONNECTIONS, Purpose::Read));
        Self {
            writers: pool(u32::from(workers) + INGEST_CONNECTIONS, Purpose::Write),
            letters: pool(LETTER_CONNECTIONS, Purpose::Write),
            upkeep: pool(UPKEEP_CONNECTIONS, Purpose::Write),
            pages: pool(READ_CONNECTIONS, Purpose::Read),
            counters: pool(COUNTER_CONNECTIONS, Purpose::Read),
            replica: replica.map(Replica::new),
            hosts,
            outlived,
        }
    }

    /// A new connection like a writer's, outside of the pools. Unlike theirs, its error is the first one that came.
    pub(super) async fn connect(&self) -> sqlx::Result<PgConnection> {
        if self.writers.is_closed() {
            return Err(sqlx::Error::PoolClosed);
        }
        let connecting = async {
            let (mut connection, moved) = self.hosts.connect().await?;
            if moved {
                self.follow();
            } else {
                self.outlived.readers();
            }
            set(&mut connection, Purpose::Write).await?;
            Ok(connection)
        };
        let connected = timeout(ACQUIRE_WITHIN, connecting).await;
        connected.unwrap_or_else(|late| Err(sqlx::Error::Io(late.into())))
    }

    /// Lets the pools lead to the host that takes writes, if there are several. What runs finds it with every new connection of a
    /// writer; a command has none before it reads.
    pub(super) async fn find_primary(&self) -> sqlx::Result<()> {
        if self.hosts.are_several() {
            self.connect().await?.close().await?;
        }
        Ok(())
    }

    /// All pools lead to the host that takes writes now, and connections that there are lead nowhere.
    fn follow(&self) {
        let host = self.hosts.current();
        tracing::warn!(
            server.address = host.get_host(),
            server.port = host.get_port(),
            "postgres: another host takes the writes now; all connections are made anew"
        );
        for pool in self.to_primary() {
            pool.set_connect_options(host.clone());
        }
        self.outlived.all();
    }

    fn to_primary(&self) -> [&PgPool; 5] {
        [
            &self.counters,
            &self.pages,
            &self.upkeep,
            &self.letters,
            &self.writers,
        ]
    }

    /// Looks whether an error says that the connections there are have outlived what they were connected to.
    pub(super) fn look_at(&self, error: &sqlx::Error) {
        if tells_of_another_state(error) {
            self.outlived.all();
        }
    }

    pub(super) fn pools(&self) -> Vec<PoolUse> {
        let mut pools = vec![
            PoolUse::of("writers", &self.writers),
            PoolUse::of("letters", &self.letters),
            PoolUse::of("upkeep", &self.upkeep),
            PoolUse::of("pages", &self.pages),
            PoolUse::of("counters", &self.counters),
        ];
        if let Some(replica) = &self.replica {
            pools.push(PoolUse::of("replica", &replica.pool));
        }
        pools
    }

    pub(super) async fn close(&self) {
        if let Some(replica) = &self.replica {
            replica.pool.close().await;
        }
        for pool in self.to_primary() {
            pool.close().await;
        }
    }
}

async fn set(connection: &mut PgConnection, purpose: Purpose) -> sqlx::Result<()> {
    raw_sql(purpose.settings()).execute(connection).await?;
    Ok(())
}

/// A connection is lost, or what is behind it is not what it was: a standby, another database, other tables.
fn tells_of_another_state(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            match &*code {
                // Read-only, the database or a prepared statement is gone, a prepared statement's result has changed.
                "25006" | "3D000" | "26000" | "0A000" => true,
                // The server ends, or ends this connection. 57014 is about one statement.
                "57014" => false,
                // 08 connection, 42 and 3F names, types and rights, 57 an operator intervenes, 58 and XX the system.
                code => matches!(
                    code.get(..2),
                    Some("08" | "42" | "3F" | "57" | "58" | "XX") | None
                ),
            }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnDecode { .. } => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn only_connections_from_before_are_outlived() {
        let outlived = Outlived {
            moments: Mutex::default(),
            memory: Arc::new(Memory::new()),
        };
        let made = || {
            sleep(Duration::from_millis(5));
            let made = Instant::now();
            sleep(Duration::from_millis(5));
            made
        };
        let includes = |purpose, made: Instant| outlived.includes(purpose, made.elapsed());
        let first = made();
        assert!(!includes(Purpose::Write, first) && !includes(Purpose::Read, first));
        outlived.readers();
        assert!(!includes(Purpose::Write, first) && includes(Purpose::Read, first));
        let second = made();
        assert!(!includes(Purpose::Read, second));
        outlived.all();
        assert!(includes(Purpose::Write, second) && includes(Purpose::Read, second));
        let third = made();
        assert!(!includes(Purpose::Write, third) && !includes(Purpose::Read, third));
    }
}
