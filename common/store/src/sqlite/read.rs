//! Reading back: counters and events.

use chrono::DateTime;
use event::{EventId, EventTime, Source, Topic};
use futures_util::TryStreamExt;
use serde_json::value::RawValue;
use sqlx::{FromRow, Row, SqlitePool, query_as, sqlite::SqliteRow};

use super::classify::failure;
use crate::{EventQuery, Order, Page, Stats, StoreError, StoredEvent};

/// One statement sees one snapshot: a row of counters for each topic, or one if there is none.
const STATS: &str = "
    SELECT received, agg_stats.unique_processed, agg_stats.duplicate_dropped, dead_lettered,
        uptime_start, topic, topic_stats.unique_processed
    FROM agg_stats LEFT JOIN topic_stats ON topic_stats.unique_processed > 0
    WHERE id = 1";

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
    ORDER BY id",
            $order,
            " LIMIT ?7"
        )
    };
}

const OLDEST_EVENTS: &str = events!("");
const NEWEST_EVENTS: &str = events!(" DESC");

const EVENT: &str = "
    SELECT id, topic, event_id, event_timestamp, source, payload, received_at, processed_at
    FROM processed_events
    WHERE topic = ? AND event_id = ?";

type StatsRow = (i64, i64, i64, i64, i64, Option<String>, Option<i64>);

pub(super) async fn stats(pool: &SqlitePool) -> Result<Stats, StoreError> {
    let rows: Vec<StatsRow> = query_as(STATS).fetch_all(pool).await.map_err(failure)?;
    let Some(&(received, unique_processed, duplicate_dropped, dead_lettered, start, ..)) =
        rows.first()
    else {
        return Err(failure(sqlx::Error::ColumnNotFound("agg_stats".to_owned())));
    };
    Ok(Stats {
        received,
        unique_processed,
        duplicate_dropped,
        dead_lettered,
        topics: rows
            .into_iter()
            .filter_map(|(.., topic, unique)| Some((topic?, unique?)))
            .collect(),
        uptime_start: DateTime::from_timestamp_micros(start).unwrap_or_default(),
    })
}

pub(super) async fn events(
    pool: &SqlitePool,
    filter: &EventQuery,
) -> Result<Page<StoredEvent>, StoreError> {
    let micros = |time: EventTime| time.as_datetime().timestamp_micros();
    let (above, below) = filter.part.bounds();
    let events = match filter.part.order {
        Order::Oldest => OLDEST_EVENTS,
        Order::Newest => NEWEST_EVENTS,
    };
    let rows = query_as(events)
        .bind(above)
        .bind(below)
        .bind(filter.topic.as_ref().map(Topic::as_str))
        .bind(filter.source.as_ref().map(Source::as_str))
        .bind(filter.since.map(micros))
        .bind(filter.until.map(micros))
        .bind(filter.part.rows())
        .fetch(pool)
        .map_ok(|EventRow(event)| event);
    Page::collect(rows, filter.part.limit)
        .await
        .map_err(failure)
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
            let micros = row.try_get(at)?;
            let time = DateTime::from_timestamp_micros(micros)
                .ok_or_else(|| sqlx::Error::Decode(format!("{at} is out of range").into()))?;
            Ok(EventTime::from(time))
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
