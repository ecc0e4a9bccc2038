//! What a transaction works on: which server and which table, and whether triggers may change what is stored.

use chrono::{DateTime, Utc};
use sqlx::{
    FromRow, PgConnection, Row,
    postgres::{PgRow, types::Oid},
    query_as,
};

/// The columns of a [`Ground`].
macro_rules! ground {
    () => {
        "pg_postmaster_start_time() AS started,
         'processed_events'::regclass::oid AS events,
         (SELECT relhastriggers FROM pg_class WHERE oid = 'processed_events'::regclass) AS has_triggers"
    };
}
pub(super) use ground;

const GROUND: &str = concat!("SELECT ", ground!());

#[derive(Clone, Copy)]
pub(super) struct Ground {
    pub(super) home: Home,
    /// Of `processed_events`. It stays so for a while after the last one was removed.
    pub(super) has_triggers: bool,
}

/// What is stored in one home says nothing about another. A replica that is promoted, a backup that is restored, a
/// database or a table that is made anew: each is another home, although the address is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Home {
    /// When the server started.
    pub(super) started: DateTime<Utc>,
    /// The table `processed_events`.
    pub(super) events: Oid,
}

impl FromRow<'_, PgRow> for Ground {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            home: Home::from_row(row)?,
            has_triggers: row.try_get("has_triggers")?,
        })
    }
}

impl FromRow<'_, PgRow> for Home {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            started: row.try_get("started")?,
            events: row.try_get("events")?,
        })
    }
}

impl Ground {
    pub(super) async fn of(transaction: &mut PgConnection) -> sqlx::Result<Self> {
        query_as(GROUND).fetch_one(transaction).await
    }
}
