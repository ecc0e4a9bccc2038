//! Reading back: counters and events.

use chrono::{DateTime, Utc};
use event::{EventId, EventTime, Source, Topic};
use futures_util::TryStreamExt;
use serde_json::value::RawValue;
use sqlx::{FromRow, PgPool, Row, postgres::PgRow, query, query_as};

use super::{classify::failure, horizon};
use crate::{EventQuery, Order, Page, Stats, StoreError, StoredEvent};

/// One statement sees one snapshot.
const STATS: &str = "
    SELECT received, unique_processed, duplicate_dropped, dead_lettered, uptime_start,
        ARRAY(SELECT topic FROM topic_stats WHERE unique_processed > 0 ORDER BY topic),
        ARRAY(SELECT unique_processed FROM topic_stats WHERE unique_processed > 0 ORDER BY topic)
    FROM agg_stats WHERE id = 1";

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
    ORDER BY id",
            $order,
            " LIMIT $7"
        )
    };
}

const OLDEST_EVENTS: &str = events!("");
const NEWEST_EVENTS: &str = events!(" DESC");

const EVENT: &str = "
    SELECT id, topic, event_id, event_timestamp, source, payload::text, received_at, processed_at
    FROM processed_events
    WHERE topic = $1 AND event_id = $2";

pub(super) async fn stats(pool: &PgPool) -> Result<Stats, StoreError> {
    let row = query(STATS).fetch_one(pool).await.map_err(failure)?;
    let read = || -> sqlx::Result<Stats> {
        let topics: Vec<String> = row.try_get(5)?;
        let counts: Vec<i64> = row.try_get(6)?;
        Ok(Stats {
            received: row.try_get(0)?,
            unique_processed: row.try_get(1)?,
            duplicate_dropped: row.try_get(2)?,
            dead_lettered: row.try_get(3)?,
            uptime_start: row.try_get(4)?,
            topics: topics.into_iter().zip(counts).collect(),
        })
    };
    read().map_err(failure)
}

pub(super) async fn events(
    pool: &PgPool,
    filter: &EventQuery,
) -> Result<Page<StoredEvent>, StoreError> {
    let mut connection = pool.acquire().await.map_err(failure)?;
    let horizon = horizon::read(&mut connection).await.map_err(failure)?;
    let (above, below) = filter.part.bounds();
    let events = match filter.part.order {
        Order::Oldest => OLDEST_EVENTS,
        Order::Newest => NEWEST_EVENTS,
    };
    let rows = query_as(events)
        .bind(above)
        .bind(below.min(horizon.saturating_add(1)))
        .bind(filter.topic.as_ref().map(Topic::as_str))
        .bind(filter.source.as_ref().map(Source::as_str))
        .bind(filter.since.map(EventTime::as_datetime))
        .bind(filter.until.map(EventTime::as_datetime))
        .bind(filter.part.rows())
        .fetch(&mut *connection)
        .map_ok(|EventRow(event)| event);
    Page::collect(rows, filter.part.limit)
        .await
        .map_err(failure)
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
