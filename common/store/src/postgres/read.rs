//! Reading events back.

use chrono::{DateTime, Utc};
use event::{EventId, EventTime, Source, Topic};
use futures_util::TryStreamExt;
use serde_json::value::RawValue;
use sqlx::{
    AssertSqlSafe, FromRow, PgConnection, PgPool, Row, postgres::PgRow, query_as, query_scalar,
};

use super::{buckets::reading, classify::failure, horizon, replica::Replica};
use crate::{
    EventQuery, Order, Page, StoreError, StoredEvent,
    scan::{self, Ids, Scan, StoredAt},
};

/// A page of one bucket. The number is written out, because only then it is the only one that the planner looks at.
fn events_in(bucket: i32, order: Order) -> String {
    let order = direction(order);
    format!(
        "
    SELECT id, topic, event_id, event_timestamp, source, payload::text, received_at, processed_at
    FROM processed_events
    WHERE bucket = {bucket} AND id > $1 AND id < $2
      AND ($3::text IS NULL OR topic = $3)
      AND ($4::text IS NULL OR source = $4)
      AND ($5::timestamptz IS NULL OR event_timestamp >= $5)
      AND ($6::timestamptz IS NULL OR event_timestamp < $6)
      AND ($7::timestamptz IS NULL OR received_at >= $7)
      AND ($8::timestamptz IS NULL OR received_at < $8)
    ORDER BY id{order} LIMIT $9"
    )
}

/// The row at which a page must end. The index has all that it needs.
fn last_in(bucket: i32, order: Order) -> String {
    let order = direction(order);
    format!(
        "SELECT id FROM processed_events
    WHERE bucket = {bucket} AND id > $1 AND id < $2 ORDER BY id{order} OFFSET $3 LIMIT 1"
    )
}

fn first_in(bucket: i32) -> String {
    format!(
        "SELECT id, processed_at FROM processed_events
    WHERE bucket = {bucket} AND id > $1 AND id < $2 ORDER BY id LIMIT 1"
    )
}

const fn direction(order: Order) -> &'static str {
    match order {
        Order::Oldest => "",
        Order::Newest => " DESC",
    }
}

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
    events_below(&mut connection, horizon, filter).await
}

/// The same from a replica, as far as it is.
pub(super) async fn events_of_replica(
    replica: &Replica,
    primary: &PgPool,
    filter: &EventQuery,
) -> Result<Page<StoredEvent>, StoreError> {
    let mut connection = replica.pool.acquire().await.map_err(failure)?;
    let horizon = replica.horizon(primary, &mut connection).await?;
    events_below(&mut connection, horizon, filter).await
}

async fn events_below(
    connection: &mut PgConnection,
    horizon: i64,
    filter: &EventQuery,
) -> Result<Page<StoredEvent>, StoreError> {
    let mut ids = filter.part.ids();
    ids.below = ids.below.min(horizon.saturating_add(1));
    if let Some(since) = filter.received_since {
        let since = since.as_datetime();
        let stored = scan::stored_before(&mut Rows(connection), ids, since).await;
        ids.above = stored.map_err(failure)?;
    }
    let order = filter.part.order;
    let buckets = reading::buckets(connection, ids, order).await;
    let mut buckets = buckets.map_err(failure)?.into_iter().peekable();
    let mut page = Page::empty();
    let mut scan = Scan::of(filter);
    while let Some(bucket) = buckets.next() {
        let mut ids = bucket.part_of(ids);
        if let Some(rows) = scan.rows_left() {
            let last: Option<i64> = query_scalar(AssertSqlSafe(last_in(bucket.number, order)))
                .bind(ids.above)
                .bind(ids.below)
                .bind(i64::from(rows) - 1)
                .fetch_optional(&mut *connection)
                .await
                .map_err(failure)?;
            ids = scan.part_of(ids, last, buckets.peek().is_some(), order);
        }
        let rows = query_as(AssertSqlSafe(events_in(bucket.number, order)))
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
        page.take(rows, filter.part.limit).await.map_err(failure)?;
        if page.next.is_some() || scan.ended_at().is_some() {
            break;
        }
    }
    Ok(page.or_goes_on_after(scan.ended_at()))
}

struct Rows<'c>(&'c mut PgConnection);

impl StoredAt for Rows<'_> {
    async fn first_above(
        &mut self,
        id: i64,
        below: i64,
    ) -> sqlx::Result<Option<(i64, DateTime<Utc>)>> {
        let ids = Ids { above: id, below };
        for bucket in reading::buckets(self.0, ids, Order::Oldest).await? {
            let first = query_as(AssertSqlSafe(first_in(bucket.number)))
                .bind(id)
                .bind(below)
                .fetch_optional(&mut *self.0)
                .await?;
            if first.is_some() {
                return Ok(first);
            }
        }
        Ok(None)
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
