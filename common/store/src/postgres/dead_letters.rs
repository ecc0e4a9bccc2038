//! Dead letters: pages of them, and discarding one.

use chrono::{DateTime, Utc};
use event::EventTime;
use futures_util::TryStreamExt;
use sqlx::{FromRow, PgPool, Row, postgres::PgRow, query, query_as};

use super::classify::failure;
use crate::{Cursor, DeadLetter, Limit, Page, StoreError};

const PAGE: &str = "
    SELECT id, raw, reason, receipt_id, failed_at FROM dead_letters
    WHERE discarded_at IS NULL AND id > $1
    ORDER BY id LIMIT $2";

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

pub(super) async fn discard(pool: &PgPool, id: i64) -> Result<bool, StoreError> {
    let discarded = query(DISCARD).bind(id).execute(pool).await;
    Ok(discarded.map_err(failure)?.rows_affected() == 1)
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
