//! Dead letters: reading them, storing them after all, throwing them away.

use chrono::{DateTime, Utc};
use event::EventTime;
use futures_util::TryStreamExt;
use sqlx::{FromRow, PgConnection, PgPool, Row, postgres::PgRow, query, query_as};

use super::{
    classify::{Failure, failure},
    ground::Ground,
    horizon, insert,
    record::{self, BEGIN},
};
use crate::{
    Cursor, DeadLetter, Limit, Page, Plan, Replay, Replayed, StoreError, replay::FULL_REPLAY_BYTES,
};

const PAGE: &str = "
    SELECT id, raw, reason, receipt_id, failed_at FROM dead_letters
    WHERE discarded_at IS NULL AND id > $1
    ORDER BY id LIMIT $2";

/// Letters until they are so many or hold so many bytes. The rows stay locked, so that two replays at once do not count a
/// letter twice. How large a value is, PostgreSQL knows without reading it.
const TAKE: &str = "
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

const REMOVE: &str = "DELETE FROM dead_letters WHERE id = ANY($1)";

const DISCARD: &str = "
    UPDATE dead_letters SET raw = '', discarded_at = now()
    WHERE id = $1 AND discarded_at IS NULL";

pub(super) async fn page(
    pool: &PgPool,
    after: Option<Cursor>,
    limit: Limit,
) -> Result<Page<DeadLetter>, StoreError> {
    let rows = query_as(PAGE)
        .bind(after.map_or(0, |cursor| cursor.id))
        // One more than asked for tells whether there is a next page.
        .bind(i64::from(limit.get()) + 1)
        .fetch(pool)
        .map_ok(|LetterRow(letter)| letter);
    Page::collect(rows, limit).await.map_err(failure)
}

pub(super) async fn replay(
    pool: &PgPool,
    ids: Option<&[i64]>,
    after: Option<Cursor>,
    dry_run: bool,
) -> Result<Replayed, Failure> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let replayed = apply(&mut transaction, ids, after).await?;
    if dry_run {
        transaction.rollback().await?;
    } else {
        transaction.commit().await.map_err(Failure::Commit)?;
    }
    Ok(replayed)
}

pub(super) async fn discard(pool: &PgPool, id: i64) -> Result<bool, StoreError> {
    let discarded = query(DISCARD).bind(id).execute(pool).await;
    Ok(discarded.map_err(failure)?.rows_affected() == 1)
}

async fn apply(
    transaction: &mut PgConnection,
    ids: Option<&[i64]>,
    after: Option<Cursor>,
) -> Result<Replayed, Failure> {
    let letters = query_as(TAKE)
        .bind(after.map_or(0, |cursor| cursor.id))
        .bind(ids)
        .bind(i64::from(Limit::MAX))
        .bind(i64::try_from(FULL_REPLAY_BYTES).unwrap_or(i64::MAX))
        .fetch_all(&mut *transaction)
        .await?;
    let replay = Replay::open(letters);
    let ground = Ground::of(transaction).await?;
    horizon::enter(transaction).await?;
    let plan = Plan::new(replay.events());
    let outcome = insert::around_refused(transaction, &plan, ground).await?;
    let (replayed, stored) = replay.close(&outcome);
    query(REMOVE)
        .bind(stored)
        .execute(&mut *transaction)
        .await?;
    record::count_topics(transaction, &outcome.topics).await?;
    // What is stored now was counted as dead: it moves, and `received` stays.
    let moved = -(outcome.unique() + outcome.duplicate());
    record::count(transaction, &outcome, moved).await?;
    Ok(replayed)
}

struct LetterRow(DeadLetter);

impl FromRow<'_, PgRow> for LetterRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self(DeadLetter {
            id: row.try_get("id")?,
            raw: row.try_get("raw")?,
            reason: row.try_get("reason")?,
            receipt_id: row.try_get("receipt_id")?,
            failed_at: EventTime::from(row.try_get::<DateTime<Utc>, _>("failed_at")?),
        }))
    }
}
