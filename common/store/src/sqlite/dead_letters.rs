//! Dead letters: pages of them, and discarding one.

use chrono::DateTime;
use event::EventTime;
use futures_util::TryStreamExt;
use sqlx::{SqlitePool, query, query_as};
use uuid::Uuid;

use super::classify::failure;
use crate::{DeadLetter, Order, Page, Part, StoreError, scan::Ids};

macro_rules! page {
    ($order:literal) => {
        concat!(
            "
    SELECT id, raw, reason, receipt_id, failed_at FROM dead_letters
    WHERE discarded_at IS NULL AND id > ? AND id < ?
    ORDER BY id",
            $order,
            " LIMIT ?"
        )
    };
}

const OLDEST: &str = page!("");
const NEWEST: &str = page!(" DESC");

const DISCARD: &str = "
    UPDATE dead_letters SET raw = x'', discarded_at = ?2
    WHERE id = ?1 AND discarded_at IS NULL";

type Row = (i64, Vec<u8>, String, Option<Uuid>, i64);

pub(super) async fn page(pool: &SqlitePool, part: Part) -> Result<Page<DeadLetter>, StoreError> {
    let letter = |(id, raw, reason, receipt_id, failed_at): Row| DeadLetter {
        id,
        raw,
        reason,
        receipt_id,
        failed_at: EventTime::from(DateTime::from_timestamp_micros(failed_at).unwrap_or_default()),
    };
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
        .map_ok(letter);
    Page::collect(rows, part.limit).await.map_err(failure)
}

pub(super) async fn discard(pool: &SqlitePool, id: i64, now: i64) -> Result<bool, StoreError> {
    let discarded = query(DISCARD).bind(id).bind(now).execute(pool).await;
    Ok(discarded.map_err(failure)?.rows_affected() == 1)
}
