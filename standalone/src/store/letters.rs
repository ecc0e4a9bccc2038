//! Dead letters: reading them, storing them after all, throwing them away.

use chrono::DateTime;
use common::{
    event::EventTime,
    store::{Cursor, DeadLetter, Limit, Page, Plan, Replay, Replayed, Selection, StoreError},
};
use futures_util::TryStreamExt;
use sqlx::{SqliteConnection, SqlitePool, query, query_as};
use uuid::Uuid;

use super::{
    classify::{commit_failure, failure},
    insert,
    record::{self, BEGIN},
};

const PAGE: &str = "
    SELECT id, raw, reason, receipt_id, failed_at FROM dead_letters
    WHERE discarded_at IS NULL AND id > ?
    ORDER BY id LIMIT ?";

const AFTER: &str = "
    SELECT id, raw FROM dead_letters
    WHERE discarded_at IS NULL AND id > ? ORDER BY id LIMIT ?";

const ONE: &str = "SELECT id, raw FROM dead_letters WHERE discarded_at IS NULL AND id = ?";

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
    which: &Selection,
    dry_run: bool,
    now: i64,
) -> Result<Replayed, StoreError> {
    let mut transaction = pool.begin_with(BEGIN).await.map_err(failure)?;
    let replayed = apply(&mut transaction, which, now).await.map_err(failure)?;
    if dry_run {
        transaction.rollback().await.map_err(failure)?;
    } else {
        transaction.commit().await.map_err(commit_failure)?;
    }
    Ok(replayed)
}

pub(super) async fn discard(pool: &SqlitePool, id: i64, now: i64) -> Result<bool, StoreError> {
    let discarded = query(DISCARD).bind(id).bind(now).execute(pool).await;
    Ok(discarded.map_err(failure)?.rows_affected() == 1)
}

async fn apply(
    transaction: &mut SqliteConnection,
    which: &Selection,
    now: i64,
) -> sqlx::Result<Replayed> {
    let replay = Replay::open(which, take(transaction, which).await?);
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

async fn take(
    transaction: &mut SqliteConnection,
    which: &Selection,
) -> sqlx::Result<Vec<(i64, Vec<u8>)>> {
    match which {
        Selection::After(cursor) => {
            query_as(AFTER)
                .bind(cursor.map_or(0, |cursor| cursor.id))
                .bind(i64::from(Limit::MAX))
                .fetch_all(transaction)
                .await
        }
        Selection::Ids(ids) => {
            let mut letters = Vec::new();
            for id in ids.iter().take(Limit::MAX.into()) {
                let letter = query_as(ONE).bind(id).fetch_optional(&mut *transaction);
                letters.extend(letter.await?);
            }
            letters.sort_unstable();
            letters.dedup();
            Ok(letters)
        }
    }
}
