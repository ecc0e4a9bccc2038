//! Reading counters back: of the whole, by topic, and as they were.

use chrono::{DateTime, Utc};
use event::EventTime;
use sqlx::{PgPool, Row, query, query_as};

use super::classify::failure;
use crate::{
    Sample, Span, Stats, StatsQuery, StoreError, TopicOrder, TopicPage, TopicQuery, TopicStats,
    Visible,
    history::{MAX_SAMPLES, Thinned},
    topics::beyond,
};

/// `$1` are prefixes of topics that may be seen.
macro_rules! visible {
    () => {
        "unique_processed > 0
            AND ($1::text[] IS NULL OR EXISTS (SELECT FROM unnest($1) AS prefix WHERE starts_with(topic, prefix)))"
    };
}

/// One statement sees one snapshot.
const STATS: &str = concat!(
    "
    WITH listed AS (
        SELECT topic, unique_processed FROM topic_stats_total WHERE ",
    visible!(),
    "
        ORDER BY unique_processed DESC, topic LIMIT $2)
    SELECT received, unique_processed, duplicate_dropped, dead_lettered, uptime_start,
        ARRAY(SELECT topic FROM listed), ARRAY(SELECT unique_processed FROM listed),
        (SELECT count(*) FROM topic_stats_total WHERE ",
    visible!(),
    ")
    FROM agg_stats_total"
);

/// A page of topics: those with the prefix `$2`, which are all below `$3`, after the place `($4, $5)`.
macro_rules! topics {
    ($after:literal, $order:literal) => {
        concat!(
            "
    SELECT topic, unique_processed, duplicate_dropped, first_processed_at, last_processed_at
    FROM topic_stats_total
    WHERE ",
            visible!(),
            "
      AND topic >= $2 AND ($3::text IS NULL OR topic < $3)
      AND ($5::text IS NULL OR ",
            $after,
            ")
    ORDER BY ",
            $order,
            " LIMIT $6"
        )
    };
}

const BY_NAME: &str = topics!("(0, topic) > ($4, $5)", "topic");
const BY_COUNT: &str = topics!(
    "unique_processed < $4 OR (unique_processed = $4 AND topic > $5)",
    "unique_processed DESC, topic"
);
const BY_LAST: &str = topics!(
    "last_processed_at < to_timestamp($4 / 1e6) OR (last_processed_at = to_timestamp($4 / 1e6) AND topic > $5)",
    "last_processed_at DESC, topic"
);

/// See [INSERT … ON CONFLICT](https://www.postgresql.org/docs/current/sql-insert.html#SQL-ON-CONFLICT).
const TAKE_SAMPLE: &str = "
    INSERT INTO stats_history (at, received, unique_processed, duplicate_dropped, dead_lettered)
    SELECT $1, received, unique_processed, duplicate_dropped, dead_lettered FROM agg_stats_total
    ON CONFLICT (at) DO NOTHING";

const THIN: &str = "
    DELETE FROM stats_history
    WHERE at < $1 OR (at < $2 AND extract(epoch FROM at)::bigint % $3 <> 0)";

/// `$3` are the seconds of a step.
const HISTORY: &str = "
    SELECT DISTINCT ON (step) at, received, unique_processed, duplicate_dropped, dead_lettered
    FROM (
        SELECT *, floor(extract(epoch FROM at) / $3) AS step FROM stats_history
        WHERE at >= $1 AND at < $2
    ) AS sampled
    ORDER BY step, at LIMIT $4";

pub(super) async fn stats(pool: &PgPool, asked: &StatsQuery) -> Result<Stats, StoreError> {
    let row = query(STATS)
        .bind(prefixes(&asked.visible))
        .bind(asked.largest.map(i64::from))
        .fetch_one(pool)
        .await
        .map_err(failure)?;
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
            topics_total: row.try_get(7)?,
        })
    };
    read().map_err(failure)
}

pub(super) async fn topics(pool: &PgPool, asked: &TopicQuery) -> Result<TopicPage, StoreError> {
    let statement = match asked.order {
        TopicOrder::Name => BY_NAME,
        TopicOrder::Count => BY_COUNT,
        TopicOrder::Recent => BY_LAST,
    };
    let rows = query(statement)
        .bind(prefixes(&asked.visible))
        .bind(&asked.prefix)
        .bind(beyond(&asked.prefix))
        .bind(asked.after.as_ref().map_or(0, |after| after.rank))
        .bind(asked.after.as_ref().map(|after| &after.topic))
        .bind(i64::from(asked.limit.get()) + 1)
        .fetch_all(pool)
        .await
        .map_err(failure)?;
    let topic = |row: &sqlx::postgres::PgRow| -> sqlx::Result<TopicStats> {
        Ok(TopicStats {
            topic: row.try_get(0)?,
            unique_processed: row.try_get(1)?,
            duplicate_dropped: row.try_get(2)?,
            first_processed_at: EventTime::from(row.try_get::<DateTime<Utc>, _>(3)?),
            last_processed_at: EventTime::from(row.try_get::<DateTime<Utc>, _>(4)?),
        })
    };
    let topics: sqlx::Result<Vec<_>> = rows.iter().map(topic).collect();
    Ok(TopicPage::of(topics.map_err(failure)?, asked))
}

pub(super) async fn take_sample(pool: &PgPool, moment: DateTime<Utc>) -> sqlx::Result<()> {
    query(TAKE_SAMPLE).bind(moment).execute(pool).await?;
    Ok(())
}

pub(super) async fn thin_history(pool: &PgPool, now: DateTime<Utc>) -> sqlx::Result<()> {
    let thinned = Thinned::at(now);
    query(THIN)
        .bind(thinned.dropped_before)
        .bind(thinned.coarse_before)
        .bind(Thinned::coarse_seconds())
        .execute(pool)
        .await?;
    Ok(())
}

pub(super) async fn history(pool: &PgPool, span: &Span) -> sqlx::Result<Vec<Sample>> {
    let rows: Vec<(DateTime<Utc>, i64, i64, i64, i64)> = query_as(HISTORY)
        .bind(span.since)
        .bind(span.until)
        .bind(i64::from(span.step_seconds))
        .bind(i64::from(MAX_SAMPLES))
        .fetch_all(pool)
        .await?;
    let sample = |(at, received, unique_processed, duplicate_dropped, dead_lettered)| Sample {
        at: EventTime::from(at),
        received,
        unique_processed,
        duplicate_dropped,
        dead_lettered,
    };
    Ok(rows.into_iter().map(sample).collect())
}

fn prefixes(visible: &Visible) -> Option<&[String]> {
    visible.as_deref()
}
