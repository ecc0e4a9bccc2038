//! The statements of a transaction that records. It holds SQLite's write lock from its beginning
//! ([BEGIN IMMEDIATE](https://www.sqlite.org/lang_transaction.html)).

use event::{ClaimId, Event, WorkerId};
use futures_util::TryStreamExt;
use sqlx::{
    QueryBuilder, Sqlite, SqliteConnection, SqlitePool, SqliteTransaction, query, query_as,
    query_scalar,
};

use super::{begin::BEGIN, chunks::chunks, classify::ResultCodes};
use crate::{
    Cursor, Limit,
    failure::{Failure, Unsound},
    plan::{Inserted, Keys, Letter},
    record::{self, Counted, Written},
    replay::FULL_REPLAY_BYTES,
};

/// Never inserts: a worker whose row was removed must stay out.
const ADVANCE: &str = "
    UPDATE worker_claims SET last_claim = ?2, updated_at = ?3
    WHERE worker_id = ?1 AND last_claim < ?2";

const IS_REGISTERED: &str = "SELECT EXISTS (SELECT 1 FROM worker_claims WHERE worker_id = ?)";

const INSERT: &str = "
    INSERT INTO processed_events
        (topic, event_id, source, payload, event_timestamp, received_at, processed_at, receipt_id) ";

/// See [UPSERT](https://www.sqlite.org/lang_upsert.html).
const UNLESS_THERE: &str = " ON CONFLICT (topic, event_id) DO NOTHING";

/// Ids only grow: rows are never removed, and nobody else writes meanwhile
/// ([ROWIDs](https://www.sqlite.org/autoinc.html)).
const BEFORE: &str = "
    SELECT coalesce(max(id), 0) AS last_id,
           EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'processed_events')
               AS has_triggers
    FROM processed_events";
const SINCE: &str = "SELECT id, topic, event_id FROM processed_events WHERE id > ?";
const IS_STORED: &str =
    "SELECT EXISTS (SELECT 1 FROM processed_events WHERE topic = ? AND event_id = ?)";

/// It runs no trigger, but does not compile either if one of them cannot.
const INSERT_NOTHING: &str = "
    INSERT INTO processed_events SELECT * FROM processed_events WHERE FALSE";

const COUNT_TOPICS: &str = "
    INSERT INTO topic_stats
        (topic, unique_processed, duplicate_dropped, first_processed_at, last_processed_at) ";

const ADD_TO_TOPICS: &str = "
    ON CONFLICT (topic) DO UPDATE SET
        unique_processed = unique_processed + excluded.unique_processed,
        duplicate_dropped = duplicate_dropped + excluded.duplicate_dropped,
        last_processed_at = excluded.last_processed_at";

const INSERT_LETTERS: &str = "INSERT INTO dead_letters (raw, reason, receipt_id, failed_at) ";

const COUNT: &str = "
    UPDATE agg_stats SET
        received = received + ?1 + ?2 + ?3,
        unique_processed = unique_processed + ?1,
        duplicate_dropped = duplicate_dropped + ?2,
        dead_lettered = dead_lettered + ?3
    WHERE id = 1";

/// Ids that are named come as a JSON array ([json_each](https://www.sqlite.org/json1.html#jeach)).
const TAKE_LETTERS: &str = "
    SELECT id, raw FROM dead_letters
    WHERE discarded_at IS NULL AND id > ?1 AND (?2 IS NULL OR id IN (SELECT value FROM json_each(?2)))
    ORDER BY id LIMIT ?3";

const REMOVE_LETTERS: &str = "DELETE FROM dead_letters WHERE id = ?";

/// A transaction that records.
pub(super) struct Transaction {
    inner: SqliteTransaction<'static>,
    /// The moment, in microseconds since 1970, that its rows get.
    now: i64,
    /// The highest id of the rows that are known to have been there before.
    last_id: i64,
    /// Whether `processed_events` has any. They may change what is stored.
    has_triggers: bool,
}

impl Transaction {
    pub(super) async fn begin(pool: &SqlitePool, now: i64) -> sqlx::Result<Self> {
        Ok(Self {
            inner: pool.begin_with(BEGIN).await?,
            now,
            last_id: 0,
            has_triggers: false,
        })
    }

    /// How many of the rows were not there before.
    async fn insert(&mut self, rows: &[&Event]) -> Result<u64, Failure> {
        let (mut inserted, now) = (0, self.now);
        for chunk in chunks(rows) {
            let mut insert = QueryBuilder::<Sqlite>::new(INSERT);
            insert.push_values(chunk, |mut row, event| {
                row.push_bind(event.topic.as_str())
                    .push_bind(event.event_id.as_str())
                    .push_bind(event.source.as_str())
                    .push_bind(event.payload.as_str())
                    .push_bind(event.timestamp.as_datetime().timestamp_micros())
                    .push_bind(event.receipt_id.received_at().timestamp_micros())
                    .push_bind(now)
                    .push_bind(event.receipt_id.0);
            });
            insert.push(UNLESS_THERE);
            let done = insert.build().execute(&mut *self.inner).await?;
            inserted += done.rows_affected();
        }
        if self.has_triggers {
            check_past_triggers(&mut self.inner, rows).await?;
        }
        Ok(inserted)
    }

    /// Which rows were inserted since this was last asked. It is asked only if not all were: each row takes a way from
    /// thread to thread.
    async fn inserted(&mut self) -> sqlx::Result<Keys> {
        let rows: Vec<(i64, String, String)> = query_as(SINCE)
            .bind(self.last_id)
            .fetch_all(&mut *self.inner)
            .await?;
        let last_id = rows.iter().map(|(id, ..)| *id).max();
        self.last_id = last_id.unwrap_or(self.last_id);
        Ok(rows.into_iter().map(|(_, topic, id)| (topic, id)).collect())
    }
}

impl record::Transaction for Transaction {
    type Errors = ResultCodes;

    async fn advance(&mut self, claim: ClaimId) -> sqlx::Result<bool> {
        let advanced = query(ADVANCE)
            .bind(claim.worker.0)
            .bind(claim.number)
            .bind(self.now)
            .execute(&mut *self.inner)
            .await?;
        Ok(advanced.rows_affected() == 1)
    }

    async fn is_registered(&mut self, worker: WorkerId) -> sqlx::Result<bool> {
        let registered = query_scalar(IS_REGISTERED).bind(worker.0);
        registered.fetch_one(&mut *self.inner).await
    }

    async fn prepare(&mut self) -> sqlx::Result<()> {
        let before = query_as(BEFORE).fetch_one(&mut *self.inner);
        (self.last_id, self.has_triggers) = before.await?;
        Ok(())
    }

    async fn known(&mut self, _: &[Event]) -> sqlx::Result<Vec<bool>> {
        Ok(Vec::new())
    }

    async fn insert_all(&mut self, rows: &[&Event]) -> Result<Inserted, Failure> {
        let inserted = self.insert(rows).await?;
        if inserted == rows.len() as u64 && !self.has_triggers {
            Ok(Inserted::All)
        } else {
            Ok(Inserted::with_keys(&self.inserted().await?, rows))
        }
    }

    async fn insert_nothing(&mut self) -> sqlx::Result<()> {
        query(INSERT_NOTHING).execute(&mut *self.inner).await?;
        Ok(())
    }

    async fn insert_piece(&mut self, rows: &[&Event]) -> Result<Keys, Failure> {
        self.insert(rows).await?;
        Ok(self.inserted().await?)
    }

    async fn count(&mut self, counted: &Counted<'_>) -> sqlx::Result<Written> {
        let (mut topics, now) = (0, self.now);
        for chunk in chunks(counted.topics) {
            let mut count = QueryBuilder::<Sqlite>::new(COUNT_TOPICS);
            count.push_values(chunk, |mut row, delta| {
                row.push_bind(delta.topic)
                    .push_bind(delta.unique)
                    .push_bind(delta.duplicate)
                    .push_bind(now)
                    .push_bind(now);
            });
            count.push(ADD_TO_TOPICS);
            let done = count.build().execute(&mut *self.inner).await?;
            topics += done.rows_affected();
        }
        let done = query(COUNT)
            .bind(counted.unique)
            .bind(counted.duplicate)
            .bind(counted.dead_lettered)
            .execute(&mut *self.inner)
            .await?;
        Ok(Written {
            topics,
            counters: done.rows_affected(),
        })
    }

    async fn put_aside(&mut self, letters: &[Letter]) -> sqlx::Result<u64> {
        let (mut written, now) = (0, self.now);
        for chunk in chunks(letters) {
            let mut insert = QueryBuilder::<Sqlite>::new(INSERT_LETTERS);
            insert.push_values(chunk, |mut row, letter| {
                row.push_bind(&letter.raw[..])
                    .push_bind(&letter.reason[..])
                    .push_bind(letter.receipt_id)
                    .push_bind(now);
            });
            let inserted = insert.build().execute(&mut *self.inner).await?;
            written += inserted.rows_affected();
        }
        Ok(written)
    }

    async fn take_letters(
        &mut self,
        ids: Option<&[i64]>,
        after: Option<Cursor>,
    ) -> sqlx::Result<Vec<(i64, Vec<u8>)>> {
        let ids = ids.map(|ids| format!("{ids:?}"));
        let mut rows = query_as(TAKE_LETTERS)
            .bind(after.map_or(0, |cursor| cursor.id))
            .bind(ids)
            .bind(i64::from(Limit::MAX))
            .fetch(&mut *self.inner);
        let (mut letters, mut bytes) = (Vec::new(), 0);
        while bytes < FULL_REPLAY_BYTES
            && let Some(letter) = rows.try_next().await?
        {
            let letter: (i64, Vec<u8>) = letter;
            bytes += letter.1.len();
            letters.push(letter);
        }
        Ok(letters)
    }

    async fn remove_letters(&mut self, ids: &[i64]) -> sqlx::Result<()> {
        for id in ids {
            let removing = query(REMOVE_LETTERS).bind(id);
            removing.execute(&mut *self.inner).await?;
        }
        Ok(())
    }

    async fn execute(&mut self, statement: &'static str) -> sqlx::Result<()> {
        query(statement).execute(&mut *self.inner).await?;
        Ok(())
    }

    async fn commit(self, _: &[usize]) -> sqlx::Result<()> {
        self.inner.commit().await
    }

    async fn roll_back(self) -> sqlx::Result<()> {
        self.inner.rollback().await
    }
}

/// A trigger may drop rows without an error.
async fn check_past_triggers(
    transaction: &mut SqliteConnection,
    rows: &[&Event],
) -> Result<(), Failure> {
    for row in rows {
        let stored = query_scalar(IS_STORED)
            .bind(row.topic.as_str())
            .bind(row.event_id.as_str());
        if !stored.fetch_one(&mut *transaction).await? {
            return Err(Unsound::Events.into());
        }
    }
    Ok(())
}
