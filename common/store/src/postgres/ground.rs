//! What a transaction works on: which server and which tables, which buckets, and whether triggers may change what is stored.
//!
//! It must be read by a statement that begins after the lock of `gate!`: a bucket that is open then stays open until the transaction ends.

use std::ops::Range;

use chrono::{DateTime, Utc};
use sqlx::{
    FromRow, PgConnection, Row,
    postgres::{PgRow, types::Oid},
    query_as,
};

/// Whoever records takes this lock first, and `open_next_bucket` waits for all who have it. Each transaction that records a
/// claim would take it anyway with its first statement, which updates `worker_claims`; so it takes no right of its own, and a
/// role without any on that table cannot keep others waiting.
macro_rules! gate {
    () => {
        "LOCK TABLE worker_claims IN ROW EXCLUSIVE MODE"
    };
}
pub(super) use gate;

/// The columns of a [`Ground`], from [`buckets!`].
macro_rules! ground {
    () => {
        "pg_postmaster_start_time() AS started,
         'processed_events'::regclass::oid AS events,
         buckets.oldest, buckets.open,
         (SELECT relhastriggers FROM pg_class WHERE oid = to_regclass('processed_events_' || buckets.open)) AS has_triggers"
    };
}
pub(super) use ground;

/// One row: the oldest bucket that is kept, and the open one.
macro_rules! buckets {
    () => {
        "(SELECT min(bucket) AS oldest, max(bucket) AS open FROM ledger_buckets WHERE dropped_at IS NULL) AS buckets"
    };
}
pub(super) use buckets;

const GROUND: &str = concat!("SELECT ", ground!(), " FROM ", buckets!());

#[derive(Clone, Copy)]
pub(super) struct Ground {
    pub(super) home: Home,
    /// The bucket that takes what is new.
    pub(super) open: i32,
    /// Of the table of that bucket. It stays so for a while after the last one was removed.
    pub(super) has_triggers: bool,
}

/// What is stored in one home says nothing about another. A replica that is promoted, a backup that is restored, a
/// database or a table that is made anew: each is another home, although the address is the same. So is what is left after a
/// bucket was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Home {
    pub(super) place: Place,
    /// The oldest bucket that is kept.
    pub(super) oldest: i32,
}

/// Where tables are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// When the server started.
    pub(super) started: DateTime<Utc>,
    /// The table `processed_events`.
    pub(super) events: Oid,
}

impl FromRow<'_, PgRow> for Ground {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let home = Home {
            place: Place::from_row(row)?,
            oldest: row.try_get("oldest")?,
        };
        Ok(Self {
            home,
            open: row.try_get("open")?,
            has_triggers: row.try_get("has_triggers")?,
        })
    }
}

impl FromRow<'_, PgRow> for Place {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            started: row.try_get("started")?,
            events: row.try_get("events")?,
        })
    }
}

impl Ground {
    pub(super) async fn of(connection: &mut PgConnection) -> sqlx::Result<Self> {
        query_as(GROUND).fetch_one(connection).await
    }

    /// The closed buckets that are kept.
    pub(super) fn closed(&self) -> Range<i32> {
        self.home.oldest..self.open
    }
}
