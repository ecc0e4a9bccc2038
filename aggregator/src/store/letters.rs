//! Dead letters: reading them, storing them after all, throwing them away.

use chrono::{DateTime, Utc};
use common::{
    event::EventTime,
    store::{Cursor, DeadLetter, Limit, Page, Plan, Replay, Replayed, Selection, StoreError},
};
use futures_util::TryStreamExt;
use sqlx::{FromRow, PgConnection, PgPool, Row, postgres::PgRow, query, query_as};

use super::{
    classify::{commit_failure, failure},
    horizon, insert,
    record::{self, BEGIN},
};

const PAGE: &str = "
    SELECT id, raw, reason, receipt_id, failed_at FROM dead_letters
    WHERE discarded_at IS NULL AND id > $1
    ORDER BY id LIMIT $2";

/// The rows stay locked, so that two replays at once do not count a letter twice.
const TAKE: &str = "
    SELECT id, raw FROM dead_letters
    WHERE discarded_at IS NULL AND id > $1 AND ($2::bigint[] IS NULL OR id = ANY($2))
    ORDER BY id LIMIT $3
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
    which: &Selection,
    dry_run: bool,
) -> Result<Replayed, StoreError> {
    let mut transaction = pool.begin_with(BEGIN).await.map_err(failure)?;
    let replayed = apply(&mut transaction, which).await.map_err(failure)?;
    if dry_run {
        transaction.rollback().await.map_err(failure)?;
    } else {
        transaction.commit().await.map_err(commit_failure)?;
    }
    Ok(replayed)
}

pub(super) async fn discard(pool: &PgPool, id: i64) -> Result<bool, StoreError> {
    let discarded = query(DISCARD).bind(id).execute(pool).await;
    Ok(discarded.map_err(failure)?.rows_affected() == 1)
}

async fn apply(transaction: &mut PgConnection, which: &Selection) -> sqlx::Result<Replayed> {
    let replay = Replay::open(which, take(transaction, which).await?);
    horizon::enter(transaction).await?;
    let plan = Plan::new(replay.events());
    let outcome = insert::around_refused(transaction, &plan).await?;
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

async fn take(
    transaction: &mut PgConnection,
    which: &Selection,
) -> sqlx::Result<Vec<(i64, Vec<u8>)>> {
    let (after, ids) = match which {
        Selection::Ids(ids) => (0, Some(&ids[..])),
        Selection::After(cursor) => (cursor.map_or(0, |cursor| cursor.id), None),
    };
    query_as(TAKE)
        .bind(after)
        .bind(ids)
        .bind(i64::from(Limit::MAX))
        .fetch_all(transaction)
        .await
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
