//! Dead letters: pages of them, and discarding one.

use chrono::{DateTime, Utc};
use event::EventTime;
use futures_util::TryStreamExt;
use sqlx::{FromRow, PgPool, Row, postgres::PgRow, query, query_as};

use super::classify::failure;
use crate::{DeadLetter, Order, Page, Part, StoreError, scan::Ids};

macro_rules! page {
    ($order:literal) => {
        concat!(
            "
    SELECT id, raw, reason, receipt_id, failed_at FROM dead_letters
    WHERE discarded_at IS NULL AND id > $1 AND id < $2
    ORDER BY id",
            $order,
            " LIMIT $3"
        )
    };
}

const OLDEST: &str = page!("");
const NEWEST: &str = page!(" DESC");

const DISCARD: &str = "
    UPDATE dead_letters SET raw = '', discarded_at = now()
    WHERE id = $1 AND discarded_at IS NULL";

pub(super) async fn page(pool: &PgPool, part: Part) -> Result<Page<DeadLetter>, StoreError> {
    let Ids { above, below } = part.ids();
    let page = match part.order {
        Order::Oldest => OLDEST,
        Order::Newest => NEWEST,
    };
    let rows = query_as(page)
        .bind(above)
        .bind(below)
        .bind(part.rows())
        .fetch(pool)
        .map_ok(|LetterRow(letter)| letter);
    Page::collect(rows, part.limit).await.map_err(failure)
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
