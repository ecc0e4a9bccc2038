//! Reading events back.

use chrono::{DateTime, Utc};
use event::{EventId, EventTime, Source, Topic};
use futures_util::TryStreamExt;
use serde_json::value::RawValue;
use sqlx::{FromRow, Row, SqlitePool, query_as, query_scalar, sqlite::SqliteRow};

use super::{classify::failure, moment::moment};
use crate::{
    EventQuery, Order, Page, StoreError, StoredEvent,
    scan::{self, SCAN_ROWS, StoredAt},
};

macro_rules! events {
    ($order:literal) => {
        concat!(
            "
    SELECT id, topic, event_id, event_timestamp, source, payload, received_at, processed_at
    FROM processed_events
    WHERE id > ?1 AND id < ?2
      AND (?3 IS NULL OR topic = ?3)
      AND (?4 IS NULL OR source = ?4)
      AND (?5 IS NULL OR event_timestamp >= ?5)
      AND (?6 IS NULL OR event_timestamp < ?6)
      AND (?7 IS NULL OR received_at >= ?7)
      AND (?8 IS NULL OR received_at < ?8)
    ORDER BY id",
            $order,
            " LIMIT ?9"
        )
    };
}

const OLDEST_EVENTS: &str = events!("");
const NEWEST_EVENTS: &str = events!(" DESC");

/// The row at which a page must end.
macro_rules! last {
    ($order:literal) => {
        concat!(
            "SELECT id FROM processed_events WHERE id > ?1 AND id < ?2 ORDER BY id",
            $order,
            " LIMIT 1 OFFSET ?3"
        )
    };
}

const LAST_OF_OLDEST: &str = last!("");
const LAST_OF_NEWEST: &str = last!(" DESC");

const STORED_AT: &str = "
    SELECT id, processed_at FROM processed_events WHERE id > ? AND id < ? ORDER BY id LIMIT 1";

const EVENT: &str = "
    SELECT id, topic, event_id, event_timestamp, source, payload, received_at, processed_at
    FROM processed_events
    WHERE topic = ? AND event_id = ?";

pub(super) async fn events(
    pool: &SqlitePool,
    filter: &EventQuery,
) -> Result<Page<StoredEvent>, StoreError> {
    let micros = |time: EventTime| time.as_datetime().timestamp_micros();
    let mut ids = filter.part.ids();
    if let Some(since) = filter.received_since {
        let stored = scan::stored_before(&mut Rows(pool), ids, since.as_datetime()).await;
        ids.above = stored.map_err(failure)?;
    }
    let order = filter.part.order;
    let (events, last) = match order {
        Order::Oldest => (OLDEST_EVENTS, LAST_OF_OLDEST),
        Order::Newest => (NEWEST_EVENTS, LAST_OF_NEWEST),
    };
    let last: Option<i64> = if filter.is_selective() {
        let asked = query_scalar(last)
            .bind(ids.above)
            .bind(ids.below)
            .bind(i64::from(SCAN_ROWS) - 1)
            .fetch_optional(pool);
        asked.await.map_err(failure)?
    } else {
        None
    };
    let ids = ids.up_to(last, order);
    let rows = query_as(events)
        .bind(ids.above)
        .bind(ids.below)
        .bind(filter.topic.as_ref().map(Topic::as_str))
        .bind(filter.source.as_ref().map(Source::as_str))
        .bind(filter.since.map(micros))
        .bind(filter.until.map(micros))
        .bind(filter.received_since.map(micros))
        .bind(filter.received_until.map(micros))
        .bind(filter.part.rows())
        .fetch(pool)
        .map_ok(|EventRow(event)| event);
    let page = Page::collect(rows, filter.part.limit).await;
    Ok(page.map_err(failure)?.or_goes_on_after(last))
}

struct Rows<'p>(&'p SqlitePool);

impl StoredAt for Rows<'_> {
    async fn first_above(
        &mut self,
        id: i64,
        below: i64,
    ) -> sqlx::Result<Option<(i64, DateTime<Utc>)>> {
        let row = query_as(STORED_AT).bind(id).bind(below);
        let row: Option<(i64, i64)> = row.fetch_optional(self.0).await?;
        row.map(|(id, at)| Ok((id, moment("processed_at", at)?)))
            .transpose()
    }
}

pub(super) async fn event(
    pool: &SqlitePool,
    topic: &Topic,
    id: &EventId,
) -> Result<Option<StoredEvent>, StoreError> {
    let row: Option<EventRow> = query_as(EVENT)
        .bind(topic.as_str())
        .bind(id.as_str())
        .fetch_optional(pool)
        .await
        .map_err(failure)?;
    Ok(row.map(|row| row.0))
}

struct EventRow(StoredEvent);

impl FromRow<'_, SqliteRow> for EventRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let time = |at: &str| -> sqlx::Result<EventTime> {
            Ok(EventTime::from(moment(at, row.try_get(at)?)?))
        };
        let payload = RawValue::from_string(row.try_get("payload")?)
            .map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(Self(StoredEvent {
            id: row.try_get("id")?,
            topic: row.try_get("topic")?,
            event_id: row.try_get("event_id")?,
            timestamp: time("event_timestamp")?,
            source: row.try_get("source")?,
            payload,
            received_at: time("received_at")?,
            processed_at: time("processed_at")?,
        }))
    }
}
