//! The hosts of the database: one of several takes writes, and it may be another one after a failover.
//!
//! The driver takes one host. libpq tries several until one fits
//! ([target_session_attrs](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS));
//! here it is done by trying, too.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions, query_scalar};
use tokio::time::timeout;

/// How long one of several hosts may take to answer.
const TRIED_WITHIN: Duration = Duration::from_secs(2);

const TAKES_WRITES: &str =
    "SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'";

/// At least one.
pub(super) struct Hosts {
    all: Vec<PgConnectOptions>,
    /// The one that took writes last.
    current: AtomicUsize,
}

impl Hosts {
    /// # Panics
    /// If there are none.
    pub(super) fn new(all: Vec<PgConnectOptions>) -> Self {
        assert!(!all.is_empty(), "an address names a host");
        Self {
            all,
            current: AtomicUsize::new(0),
        }
    }

    pub(super) fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// The host that took writes last; at first, the one that is named first.
    pub(super) fn current(&self) -> &PgConnectOptions {
        &self.all[self.current.load(Ordering::Relaxed)]
    }

    /// A new connection to the host that takes writes, and whether it is another one than before. If none of several takes
    /// writes, what came of the current one counts.
    pub(super) async fn connect(&self) -> sqlx::Result<(PgConnection, bool)> {
        if let [only] = &self.all[..] {
            return Ok((only.connect().await?, false));
        }
        let current = self.current.load(Ordering::Relaxed);
        let mut of_current = None;
        for number in 0..self.all.len() {
            let at = (current + number) % self.all.len();
            let tried = timeout(TRIED_WITHIN, try_host(&self.all[at])).await;
            match tried.unwrap_or_else(|late| Err(sqlx::Error::Io(late.into()))) {
                Ok((connection, true)) => {
                    self.current.store(at, Ordering::Relaxed);
                    return Ok((connection, at != current));
                }
                Ok((connection, false)) => of_current.get_or_insert(Ok((connection, false))),
                Err(error) => of_current.get_or_insert(Err(error)),
            };
        }
        of_current.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }
}

async fn try_host(host: &PgConnectOptions) -> sqlx::Result<(PgConnection, bool)> {
    let mut connection = host.connect().await?;
    let takes_writes = query_scalar(TAKES_WRITES)
        .fetch_one(&mut connection)
        .await?;
    Ok((connection, takes_writes))
}
