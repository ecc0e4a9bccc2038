//! Dead letters: reading them, storing them after all, throwing them away.

use chrono::DateTime;
use event::EventTime;
use futures_util::TryStreamExt;
use sqlx::{SqliteConnection, SqlitePool, query, query_as};
use uuid::Uuid;

use super::{
    classify::{Failure, failure},
    insert, record,
    transaction::BEGIN,
};
use crate::{
    Cursor, DeadLetter, Limit, Page, Plan, Replay, Replayed, StoreError, replay::FULL_REPLAY_BYTES,
};

const PAGE: &str = "
    SELECT id, raw, reason, receipt_id, failed_at FROM dead_letters
    WHERE discarded_at IS NULL AND id > ?
    ORDER BY id LIMIT ?";

/// Ids that are named come as a JSON array ([json_each](https://www.sqlite.org/json1.html#jeach)).
const TAKE: &str = "
    SELECT id, raw FROM dead_letters
    WHERE discarded_at IS NULL AND id > ?1 AND (?2 IS NULL OR id IN (SELECT value FROM json_each(?2)))
    ORDER BY id LIMIT ?3";

const REMOVE: &str = "DELETE FROM dead_letters WHERE id = ?";

const DISCARD: &str = "
    UPDATE dead_letters SET raw = x'', discarded_at = ?2
    WHERE id = ?1 AND discarded_at IS NULL";

type Row = (i64, Vec<u8>, String, Option<Uuid>, i64);

pub(super) async fn page(
    pool: &SqlitePool,
    after: Option<Cursor>,
    limit: Limit,
) -> Result<Page<DeadLetter>, StoreError> {
    let letter = |(id, raw, reason, receipt_id, failed_at): Row| DeadLetter {
        id,
        raw,
        reason,
        receipt_id,
        failed_at: EventTime::from(DateTime::from_timestamp_micros(failed_at).unwrap_or_default()),
    };
    let rows = query_as(PAGE)
        .bind(after.map_or(0, |cursor| cursor.id))
        // One more than asked for tells whether there is a next page.
        .bind(i64::from(limit.get()) + 1)
        .fetch(pool)
        .map_ok(letter);
    Page::collect(rows, limit).await.map_err(failure)
}

pub(super) async fn replay(
    pool: &SqlitePool,
    ids: Option<&[i64]>,
    after: Option<Cursor>,
    dry_run: bool,
    now: i64,
) -> Result<Replayed, Failure> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let replayed = apply(&mut transaction, ids, after, now).await?;
    if dry_run {
        transaction.rollback().await?;
    } else {
        transaction.commit().await.map_err(Failure::Commit)?;
    }
    Ok(replayed)
}

pub(super) async fn discard(pool: &SqlitePool, id: i64, now: i64) -> Result<bool, StoreError> {
    let discarded = query(DISCARD).bind(id).bind(now).execute(pool).await;
    Ok(discarded.map_err(failure)?.rows_affected() == 1)
}

async fn apply(
    transaction: &mut SqliteConnection,
    ids: Option<&[i64]>,
    after: Option<Cursor>,
    now: i64,
) -> Result<Replayed, Failure> {
    let replay = Replay::open(take(transaction, ids, after).await?);
    let plan = Plan::new(replay.events());
    let outcome = insert::around_refused(transaction, &plan, now).await?;
    let (replayed, stored) = replay.close(&outcome);
    for id in stored {
        query(REMOVE).bind(id).execute(&mut *transaction).await?;
    }
    record::count_topics(transaction, &outcome.topics, now).await?;
    // What is stored now was counted as dead: it moves, and `received` stays.
    let moved = -(outcome.unique() + outcome.duplicate());
    record::count(transaction, &outcome, moved).await?;
    Ok(replayed)
}

/// Letters until they are so many or hold so many bytes.
async fn take(
    transaction: &mut SqliteConnection,
    ids: Option<&[i64]>,
    after: Option<Cursor>,
) -> sqlx::Result<Vec<(i64, Vec<u8>)>> {
    let ids = ids.map(|ids| format!("{ids:?}"));
    let mut rows = query_as(TAKE)
        .bind(after.map_or(0, |cursor| cursor.id))
        .bind(ids)
        .bind(i64::from(Limit::MAX))
        .fetch(transaction);
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
