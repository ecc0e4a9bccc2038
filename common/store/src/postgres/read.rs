//! Reading events back.

use chrono::{DateTime, Utc};
use event::{EventId, EventTime, Source, Topic};
use futures_util::TryStreamExt;
use serde_json::value::RawValue;
use sqlx::{FromRow, PgConnection, PgPool, Row, postgres::PgRow, query_as, query_scalar};

use super::{classify::failure, horizon};
use crate::{
    EventQuery, Order, Page, StoreError, StoredEvent,
    scan::{self, SCAN_ROWS, StoredAt},
};

macro_rules! events {
    ($order:literal) => {
        concat!(
            "
    SELECT id, topic, event_id, event_timestamp, source, payload::text, received_at, processed_at
    FROM processed_events
    WHERE id > $1 AND id < $2
      AND ($3::text IS NULL OR topic = $3)
      AND ($4::text IS NULL OR source = $4)
      AND ($5::timestamptz IS NULL OR event_timestamp >= $5)
      AND ($6::timestamptz IS NULL OR event_timestamp < $6)
      AND ($7::timestamptz IS NULL OR received_at >= $7)
      AND ($8::timestamptz IS NULL OR received_at < $8)
    ORDER BY id",
            $order,
            " LIMIT $9"
        )
    };
}

const OLDEST_EVENTS: &str = events!("");
const NEWEST_EVENTS: &str = events!(" DESC");

/// The row at which a page must end. The index has all that it needs.
macro_rules! last {
    ($order:literal) => {
        concat!(
            "SELECT id FROM processed_events WHERE id > $1 AND id < $2 ORDER BY id",
            $order,
            " OFFSET $3 LIMIT 1"
        )
    };
}

const LAST_OF_OLDEST: &str = last!("");
const LAST_OF_NEWEST: &str = last!(" DESC");

const STORED_AT: &str = "
    SELECT id, processed_at FROM processed_events WHERE id > $1 AND id < $2 ORDER BY id LIMIT 1";

const EVENT: &str = "
    SELECT id, topic, event_id, event_timestamp, source, payload::text, received_at, processed_at
    FROM processed_events
    WHERE topic = $1 AND event_id = $2";

pub(super) async fn events(
    pool: &PgPool,
    filter: &EventQuery,
) -> Result<Page<StoredEvent>, StoreError> {
    let mut connection = pool.acquire().await.map_err(failure)?;
    let horizon = horizon::read(&mut connection).await.map_err(failure)?;
    let mut ids = filter.part.ids();
    ids.below = ids.below.min(horizon.saturating_add(1));
    if let Some(since) = filter.received_since {
        let since = since.as_datetime();
        let stored = scan::stored_before(&mut Rows(&mut connection), ids, since).await;
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
            .fetch_optional(&mut *connection);
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
        .bind(filter.since.map(EventTime::as_datetime))
        .bind(filter.until.map(EventTime::as_datetime))
        .bind(filter.received_since.map(EventTime::as_datetime))
        .bind(filter.received_until.map(EventTime::as_datetime))
        .bind(filter.part.rows())
        .fetch(&mut *connection)
        .map_ok(|EventRow(event)| event);
    let page = Page::collect(rows, filter.part.limit).await;
    Ok(page.map_err(failure)?.or_goes_on_after(last))
}

struct Rows<'c>(&'c mut PgConnection);

impl StoredAt for Rows<'_> {
    async fn first_above(
        &mut self,
        id: i64,
        below: i64,
    ) -> sqlx::Result<Option<(i64, DateTime<Utc>)>> {
        let row = query_as(STORED_AT).bind(id).bind(below);
        row.fetch_optional(&mut *self.0).await
    }
}

pub(super) async fn event(
    pool: &PgPool,
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

impl FromRow<'_, PgRow> for EventRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let time = |at: &str| -> sqlx::Result<EventTime> {
            Ok(EventTime::from(row.try_get::<DateTime<Utc>, _>(at)?))
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
