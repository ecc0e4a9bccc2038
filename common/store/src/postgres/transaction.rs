//! The statements of a transaction that records: READ COMMITTED, one statement a table.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use event::{ClaimId, Event, WorkerId};
use sqlx::{
    Arguments, AssertSqlSafe, Connection, FromRow, PgConnection, PgTransaction, Row,
    postgres::{PgArguments, PgRow},
    query, query_as, query_as_with, query_scalar, query_with,
};
use uuid::Uuid;

use super::{
    buckets::{Memory, closed, table},
    classify::SqlStates,
    dedup_cache::Glance,
    ground::{Ground, buckets, gate, ground},
    horizon,
};
use crate::{
    Cursor, Limit,
    failure::{Failure, Unsound},
    plan::{Inserted, Keys, Letter},
    record::{self, Counted, Written},
    replay::FULL_REPLAY_BYTES,
};

/// See [READ COMMITTED](https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED). The
/// lock (`ground.rs`) takes no way of its own to the server and back.
const BEGIN: &str = concat!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; ", gate!());

/// Never inserts: a worker whose row was removed must stay out. If two transactions bring the same claim, the second one
/// waits for the row's lock and then sees the number that the first one has written.
const ADVANCE: &str = concat!(
    "
    UPDATE worker_claims SET last_claim = $2, updated_at = now()
    FROM ",
    buckets!(),
    "
    WHERE worker_id = $1 AND last_claim < $2
    RETURNING slot, ",
    ground!(),
    ", ",
    horizon::entered!()
);

const IS_REGISTERED: &str = "SELECT EXISTS (SELECT FROM worker_claims WHERE worker_id = $1)";

/// Into the table of one bucket, because what is unique is unique there. See
/// [INSERT … ON CONFLICT](https://www.postgresql.org/docs/current/sql-insert.html#SQL-ON-CONFLICT).
fn insert(bucket: i32) -> String {
    let table = table(bucket);
    format!(
        "
    INSERT INTO {table}
        (topic, event_id, source, payload, event_timestamp, received_at, receipt_id)
    SELECT topic, event_id, source, payload::jsonb, event_timestamp, received_at, receipt_id
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[],
                $6::timestamptz[], $7::uuid[])
        AS batch (topic, event_id, source, payload, event_timestamp, received_at, receipt_id)
    ON CONFLICT (topic, event_id) DO NOTHING"
    )
}

/// What this transaction has inserted into one bucket, outside of savepoints: of the rows since it began, those that it has made
/// ([xmin](https://www.postgresql.org/docs/current/ddl-system-columns.html)). Without the upper bound, the last id that it
/// has drawn, the planner would expect a third of the table.
fn inserted(columns: &str, bucket: i32) -> String {
    let table = table(bucket);
    format!(
        "SELECT {columns} FROM {table}
    WHERE id > $1 AND id <= (SELECT currval('processed_events_id_seq'))
      AND xmin = pg_current_xact_id()::xid"
    )
}

/// Which of these are stored in a bucket.
fn stored(bucket: i32) -> String {
    let table = table(bucket);
    format!(
        "SELECT topic, event_id FROM {table}
    WHERE (topic, event_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))"
    )
}

/// What a deferred constraint or trigger has against a row comes with its statement, not with the commit
/// ([SET CONSTRAINTS](https://www.postgresql.org/docs/current/sql-set-constraints.html)).
const CHECK_AT_ONCE: &str = "SET CONSTRAINTS ALL IMMEDIATE";

/// The topics by name, and then the row of counters: that one is locked last, because its update needs to know how many topics
/// were written ([data-modifying WITH](https://www.postgresql.org/docs/current/queries-with.html#QUERIES-WITH-MODIFYING)).
const COUNT: &str = "
    WITH topics AS (
        INSERT INTO topic_stats AS t (topic, slot, unique_processed, duplicate_dropped, last_processed_at)
        SELECT topic, $7::smallint, unique_processed, duplicate_dropped, now()
        FROM unnest($1::text[], $2::bigint[], $3::bigint[])
            AS batch (topic, unique_processed, duplicate_dropped)
        ON CONFLICT (topic, slot) DO UPDATE SET
            unique_processed = t.unique_processed + excluded.unique_processed,
            duplicate_dropped = t.duplicate_dropped + excluded.duplicate_dropped,
            last_processed_at = excluded.last_processed_at
        RETURNING 1
    )
    UPDATE agg_stats SET
        received = received + $4 + $5 + $6,
        unique_processed = unique_processed + $4,
        duplicate_dropped = duplicate_dropped + $5,
        dead_lettered = dead_lettered + $6
    FROM (SELECT count(*) AS count FROM topics) AS written
    WHERE slot = $7::smallint
    RETURNING written.count";

const INSERT_LETTERS: &str = "
    INSERT INTO dead_letters (raw, reason, receipt_id)
    SELECT raw, reason, receipt_id
    FROM unnest($1::bytea[], $2::text[], $3::uuid[]) AS batch (raw, reason, receipt_id)";

/// Letters until they are so many or hold so many bytes. The rows stay locked, so that two replays at once do not count a
/// letter twice. How large a value is, PostgreSQL knows without reading it.
const TAKE_LETTERS: &str = "
    SELECT id, raw FROM dead_letters
    WHERE discarded_at IS NULL AND id IN (
        SELECT id FROM (
            SELECT id, sum(bytes) OVER (ORDER BY id) - bytes AS bytes_before
            FROM (
                SELECT id, octet_length(raw) AS bytes FROM dead_letters
                WHERE discarded_at IS NULL AND id > $1 AND ($2::bigint[] IS NULL OR id = ANY($2))
                ORDER BY id LIMIT $3
            ) AS first
        ) AS sized
        WHERE bytes_before < $4
    )
    ORDER BY id
    FOR UPDATE";

const REMOVE_LETTERS: &str = "DELETE FROM dead_letters WHERE id = ANY($1)";

/// The slot of what no worker records.
const SHARED_SLOT: i16 = 1;

/// A transaction that records.
pub(super) struct Transaction<'c> {
    inner: PgTransaction<'c>,
    memory: &'c Memory,
    /// What is known of the events of the claim.
    glance: Option<Glance>,
    /// What it works on, as soon as a statement has told.
    ground: Option<Ground>,
    /// None of the rows that it inserts has an id up to this one. `None`: it has not entered yet.
    since: Option<i64>,
    /// In which rows it counts.
    slot: i16,
}

/// What is known once the worker's row is advanced.
struct Advanced {
    ground: Ground,
    since: Option<i64>,
    slot: i16,
}

impl FromRow<'_, PgRow> for Advanced {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let entered: Vec<i64> = row.try_get("entered")?;
        Ok(Self {
            ground: Ground::from_row(row)?,
            since: horizon::has_entered(&entered),
            slot: row.try_get("slot")?,
        })
    }
}

impl<'c> Transaction<'c> {
    pub(super) async fn begin(
        connection: &'c mut PgConnection,
        memory: &'c Memory,
    ) -> sqlx::Result<Self> {
        Ok(Self {
            inner: connection.begin_with(BEGIN).await?,
            memory,
            glance: None,
            ground: None,
            since: None,
            slot: SHARED_SLOT,
        })
    }

    async fn ground(&mut self) -> sqlx::Result<Ground> {
        let ground = match self.ground {
            Some(ground) => ground,
            None => Ground::of(&mut self.inner).await?,
        };
        self.ground = Some(ground);
        Ok(ground)
    }
}

impl record::Transaction for Transaction<'_> {
    type Errors = SqlStates;

    async fn advance(&mut self, claim: ClaimId) -> sqlx::Result<bool> {
        let advanced: Option<Advanced> = query_as(ADVANCE)
            .bind(claim.worker.0)
            .bind(claim.number)
            .bind(horizon::BASE)
            .fetch_optional(&mut *self.inner)
            .await?;
        let is_advanced = advanced.is_some();
        if let Some(Advanced {
            ground,
            since,
            slot,
        }) = advanced
        {
            self.ground = Some(ground);
            self.since = since;
            self.slot = slot;
        }
        Ok(is_advanced)
    }

    async fn is_registered(&mut self, worker: WorkerId) -> sqlx::Result<bool> {
        let registered = query_scalar(IS_REGISTERED).bind(worker.0);
        registered.fetch_one(&mut *self.inner).await
    }

    async fn prepare(&mut self) -> sqlx::Result<()> {
        self.ground().await?;
        if self.since.is_none() {
            self.since = Some(horizon::enter(&mut self.inner).await?);
        }
        Ok(())
    }

    async fn known(&mut self, events: &[Event]) -> sqlx::Result<Vec<bool>> {
        let ground = self.ground().await?;
        let glance = self.memory.cache.glance(&ground, events);
        let mut known = glance.known.clone();
        self.glance = Some(glance);
        let filters = &self.memory.filters;
        closed::look_up(&mut self.inner, filters, &ground, events, &mut known).await?;
        Ok(known)
    }

    /// Which rows were inserted is asked only if not all were: to be told each time would cost more.
    async fn insert_all(&mut self, rows: &[&Event]) -> Result<Inserted, Failure> {
        let Ground {
            open, has_triggers, ..
        } = self.ground().await?;
        if has_triggers {
            let inserted = past_triggers(&mut self.inner, open, rows).await?;
            return Ok(Inserted::with_keys(&inserted, rows));
        }
        let done = query_with(AssertSqlSafe(insert(open)), columns(rows)?)
            .execute(&mut *self.inner)
            .await?;
        if done.rows_affected() == rows.len() as u64 {
            return Ok(Inserted::All);
        }
        // The deliveries of the rows are shorter than their keys.
        let receipts = query_scalar(AssertSqlSafe(inserted("receipt_id", open)))
            .bind(self.since.unwrap_or_default())
            .fetch_all(&mut *self.inner)
            .await?;
        if let Some(inserted) = with_receipts(receipts, rows, done.rows_affected()) {
            return Ok(inserted);
        }
        let keys = query_as(AssertSqlSafe(inserted("topic, event_id", open)))
            .bind(self.since.unwrap_or_default())
            .fetch_all(&mut *self.inner)
            .await?;
        Ok(Inserted::with_keys(&keys, rows))
    }

    async fn insert_nothing(&mut self) -> sqlx::Result<()> {
        query(CHECK_AT_ONCE).execute(&mut *self.inner).await?;
        let Ground { open, .. } = self.ground().await?;
        query_with(AssertSqlSafe(insert(open)), columns(&[])?)
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    async fn insert_piece(&mut self, rows: &[&Event]) -> Result<Keys, Failure> {
        let Ground {
            open, has_triggers, ..
        } = self.ground().await?;
        if has_triggers {
            past_triggers(&mut self.inner, open, rows).await
        } else {
            Ok(returning(&mut self.inner, open, rows).await?)
        }
    }

    async fn put_aside(&mut self, letters: &[Letter]) -> sqlx::Result<u64> {
        if letters.is_empty() {
            return Ok(0);
        }
        let raw: Vec<&[u8]> = letters.iter().map(|letter| &letter.raw[..]).collect();
        // A reason may quote what was in the queue, and PostgreSQL's text holds no U+0000.
        let reasons: Vec<String> = letters
            .iter()
            .map(|letter| letter.reason.replace('\0', "\u{fffd}"))
            .collect();
        let receipts: Vec<Option<Uuid>> = letters.iter().map(|letter| letter.receipt_id).collect();
        let inserted = query(INSERT_LETTERS)
            .bind(raw)
            .bind(reasons)
            .bind(receipts)
            .execute(&mut *self.inner)
            .await?;
        Ok(inserted.rows_affected())
    }

    async fn count(&mut self, counted: &Counted<'_>) -> sqlx::Result<Written> {
        let topics = counted.topics.iter();
        let names: Vec<&str> = topics.clone().map(|delta| delta.topic).collect();
        let unique: Vec<i64> = topics.clone().map(|delta| delta.unique).collect();
        let duplicate: Vec<i64> = topics.map(|delta| delta.duplicate).collect();
        let written: Vec<i64> = query_scalar(COUNT)
            .bind(names)
            .bind(unique)
            .bind(duplicate)
            .bind(counted.unique)
            .bind(counted.duplicate)
            .bind(counted.dead_lettered)
            .bind(self.slot)
            .fetch_all(&mut *self.inner)
            .await?;
        Ok(Written {
            topics: written.iter().sum::<i64>().unsigned_abs(),
            counters: written.len() as u64,
        })
    }

    async fn take_letters(
        &mut self,
        ids: Option<&[i64]>,
        after: Option<Cursor>,
    ) -> sqlx::Result<Vec<(i64, Vec<u8>)>> {
        query_as(TAKE_LETTERS)
            .bind(after.map_or(0, |cursor| cursor.id))
            .bind(ids)
            .bind(i64::from(Limit::MAX))
            .bind(i64::try_from(FULL_REPLAY_BYTES).unwrap_or(i64::MAX))
            .fetch_all(&mut *self.inner)
            .await
    }

    async fn remove_letters(&mut self, ids: &[i64]) -> sqlx::Result<()> {
        let removing = query(REMOVE_LETTERS).bind(ids);
        removing.execute(&mut *self.inner).await?;
        Ok(())
    }

    async fn execute(&mut self, statement: &'static str) -> sqlx::Result<()> {
        query(statement).execute(&mut *self.inner).await?;
        Ok(())
    }

    async fn commit(self, refused: &[usize]) -> sqlx::Result<()> {
        self.inner.commit().await?;
        if let Some(glance) = self.glance {
            self.memory.cache.learn(glance, refused);
        }
        Ok(())
    }

    async fn roll_back(self) -> sqlx::Result<()> {
        self.inner.rollback().await
    }
}

/// The rows with these receipts. `None`: they are not as many as were inserted, because somebody else gives the same receipt
/// to several events.
pub(super) fn with_receipts(
    mut receipts: Vec<Uuid>,
    rows: &[&Event],
    inserted: u64,
) -> Option<Inserted> {
    receipts.sort_unstable();
    let is_inserted = |row: &&Event| receipts.binary_search(&row.receipt_id.0).is_ok();
    let rows: Vec<bool> = rows.iter().map(is_inserted).collect();
    let found = rows.iter().filter(|inserted| **inserted).count();
    (found as u64 == inserted).then_some(Inserted::Some(rows))
}

async fn returning(
    transaction: &mut PgConnection,
    bucket: i32,
    rows: &[&Event],
) -> sqlx::Result<Keys> {
    let insert = format!("{} RETURNING topic, event_id", insert(bucket));
    query_as_with(AssertSqlSafe(insert), columns(rows)?)
        .fetch_all(transaction)
        .await
}

/// Inserts where a trigger may drop rows or change them, and believes only what is there afterwards.
async fn past_triggers(
    transaction: &mut PgConnection,
    bucket: i32,
    rows: &[&Event],
) -> Result<Keys, Failure> {
    let inserted = returning(transaction, bucket, rows).await?;
    let (topics, ids): (Vec<&str>, Vec<&str>) = rows.iter().map(|row| row.key()).unzip();
    let stored: Keys = query_as(AssertSqlSafe(stored(bucket)))
        .bind(topics)
        .bind(ids)
        .fetch_all(transaction)
        .await?;
    let stored: HashSet<_> = stored.iter().map(|(topic, id)| (&**topic, &**id)).collect();
    let meant: HashSet<_> = rows.iter().map(|row| row.key()).collect();
    let is_meant = |(topic, id): &(String, String)| meant.contains(&(&**topic, &**id));
    if stored == meant && inserted.iter().all(is_meant) {
        Ok(inserted)
    } else {
        Err(Unsound::Events.into())
    }
}

/// One array a column.
pub(super) fn columns(rows: &[&Event]) -> sqlx::Result<PgArguments> {
    let mut arguments = PgArguments::default();
    let mut add = || {
        let texts = |of: fn(&Event) -> &str| rows.iter().map(|row| of(row)).collect::<Vec<_>>();
        arguments.add(texts(|row| row.topic.as_str()))?;
        arguments.add(texts(|row| row.event_id.as_str()))?;
        arguments.add(texts(|row| row.source.as_str()))?;
        arguments.add(texts(|row| row.payload.as_str()))?;
        let times =
            |of: fn(&Event) -> DateTime<Utc>| rows.iter().map(|row| of(row)).collect::<Vec<_>>();
        arguments.add(times(|row| row.timestamp.as_datetime()))?;
        arguments.add(times(|row| row.receipt_id.received_at()))?;
        arguments.add(
            rows.iter()
                .map(|row| row.receipt_id.0)
                .collect::<Vec<Uuid>>(),
        )
    };
    add().map_err(sqlx::Error::Encode)?;
    Ok(arguments)
}
