//! Lists that are read from a replica (`READ_DATABASE_URL`), which is behind the primary by its lag.
//!
//! Which ids are safe to read only the primary knows ([`horizon`]), and what it says holds on the replica only once the
//! replica has replayed all that the primary had written by then. So the primary is asked for its horizon, and after it for the
//! end of its log. The replica shows what is below the newest horizon whose end of the log it has reached: nothing is missed,
//! and what is shown is as old as that horizon.
//! ([Recovery information functions](https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-RECOVERY-CONTROL))

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{PgConnection, PgPool, query_scalar};
use tokio::time::{sleep, timeout};

use super::{classify::failure, horizon};
use crate::StoreError;

/// Connections for lists to the replica.
pub const REPLICA_CONNECTIONS: u32 = 4;
/// The primary is not asked more often.
const ASKED_EVERY: Duration = Duration::from_millis(100);
/// How long the primary may take. After it, what it said before counts.
const TOLD_WITHIN: Duration = Duration::from_secs(1);
/// How many of its answers are remembered: so many that the replica may be a minute behind.
const REMEMBERED: usize = 600;
/// How long a reader waits for a replica that has reached none of them.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(1);
/// Between two looks at how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// In bytes from the beginning of the log.
const END_OF_LOG: &str = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";
/// `NULL` on a server that replays nothing, because it is a primary.
const REPLAYED: &str = "SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint";

/// A replica, and what the primary has said lately.
pub(super) struct Replica {
    pub(super) pool: PgPool,
    told: Mutex<VecDeque<Told>>,
}

/// What the primary said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    when: Instant,
    horizon: i64,
    end_of_log: i64,
}

impl Replica {
    pub(super) fn new(pool: PgPool) -> Self {
        Self {
            pool,
            told: Mutex::default(),
        }
    }

    /// The highest id that is safe to read on the replica, by a later statement.
    ///
    /// # Errors
    /// If the replica does not answer, or is too far behind.
    pub(super) async fn horizon(
        &self,
        primary: &PgPool,
        replica: &mut PgConnection,
    ) -> Result<i64, StoreError> {
        Ok(self.reached(primary, replica).await?.horizon)
    }

    /// How old what it shows is.
    ///
    /// # Errors
    /// As [`Self::horizon`].
    pub(super) async fn lag(&self, primary: &PgPool) -> Result<Duration, StoreError> {
        let mut replica = self.pool.acquire().await.map_err(failure)?;
        let reached = self.reached(primary, &mut replica).await?;
        let newest = self.lock().back().map(|told| told.when);
        Ok(newest.map_or(Duration::ZERO, |newest| newest - reached.when))
    }

    async fn reached(
        &self,
        primary: &PgPool,
        replica: &mut PgConnection,
    ) -> Result<Told, StoreError> {
        self.ask(primary).await;
        let begun = Instant::now();
        loop {
            let replayed: Option<i64> = query_scalar(REPLAYED)
                .fetch_one(&mut *replica)
                .await
                .map_err(failure)?;
            let reached = newest_of(&self.lock(), replayed.unwrap_or(i64::MAX));
            if let Some(reached) = reached {
                return Ok(reached);
            }
            if begun.elapsed() > CAUGHT_UP_WITHIN {
                let why = "the replica at READ_DATABASE_URL has not caught up yet";
                return Err(StoreError::Unavailable(why.into()));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Asks the primary, unless that was done just now.
    async fn ask(&self, primary: &PgPool) {
        let newest = self.lock().back().copied();
        if newest.is_some_and(|told| told.when.elapsed() < ASKED_EVERY) {
            return;
        }
        let asking = async {
            let when = Instant::now();
            let mut primary = primary.acquire().await?;
            let horizon = horizon::read(&mut primary).await?;
            let end_of_log = query_scalar(END_OF_LOG).fetch_one(&mut *primary).await?;
            Ok::<_, sqlx::Error>(Told {
                when,
                horizon,
                end_of_log,
            })
        };
        // While it is away, what it said before counts.
        if let Ok(Ok(told)) = timeout(TOLD_WITHIN, asking).await {
            let mut all = self.lock();
            if all.len() == REMEMBERED {
                all.pop_front();
            }
            all.push_back(told);
        }
    }

    /// No step under the lock can panic half-way through a change.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The newest that a replica has reached which has replayed so much.
fn newest_of(told: &VecDeque<Told>, replayed: i64) -> Option<Told> {
    let reached = told.iter().rev();
    let mut reached = reached.filter(|told| told.end_of_log <= replayed);
    reached.next().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_horizon_that_the_replica_has_reached_counts() {
        let when = Instant::now();
        let told = |horizon, end_of_log| Told {
            when,
            horizon,
            end_of_log,
        };
        let all = VecDeque::from([told(10, 100), told(20, 200), told(30, 300)]);
        let reached = |replayed| newest_of(&all, replayed).map(|told| told.horizon);
        assert_eq!(reached(99), None);
        assert_eq!(reached(100), Some(10));
        assert_eq!(reached(299), Some(20));
        assert_eq!(reached(i64::MAX), Some(30));
    }
}
