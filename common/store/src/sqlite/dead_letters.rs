//! Dead letters: pages of them, and discarding one.

use chrono::DateTime;
use event::EventTime;
use futures_util::TryStreamExt;
use sqlx::{SqlitePool, query, query_as};
use uuid::Uuid;

use super::classify::failure;
use crate::{Cursor, DeadLetter, Limit, Page, StoreError};

const PAGE: &str = "
    SELECT id, raw, reason, receipt_id, failed_at FROM dead_letters
    WHERE discarded_at IS NULL AND id > ?
    ORDER BY id LIMIT ?";

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

pub(super) async fn discard(pool: &SqlitePool, id: i64, now: i64) -> Result<bool, StoreError> {
    let discarded = query(DISCARD).bind(id).bind(now).execute(pool).await;
    Ok(discarded.map_err(failure)?.rows_affected() == 1)
}
