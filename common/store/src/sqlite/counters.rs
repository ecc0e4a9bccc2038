//! Reading counters back: of the whole, by topic, and as they were.

use chrono::{DateTime, Utc};
use event::EventTime;
use sqlx::{SqlitePool, query, query_as};

use super::{classify::failure, moment::moment};
use crate::{
    Sample, Span, Stats, StatsQuery, StoreError, TopicOrder, TopicPage, TopicQuery, TopicStats,
    Visible,
    history::{MAX_SAMPLES, Thinned},
    topics::beyond,
};

/// `?1` are prefixes of topics that may be seen, as a JSON array ([json_each](https://www.sqlite.org/json1.html#jeach)).
macro_rules! visible {
    () => {
        "unique_processed > 0
            AND (?1 IS NULL
                OR EXISTS (SELECT 1 FROM json_each(?1) WHERE substr(topic, 1, length(value)) = value))"
    };
}

/// One statement sees one snapshot: a row of counters for each topic, or one if there is none.
const STATS: &str = concat!(
    "
    SELECT received, agg_stats.unique_processed, agg_stats.duplicate_dropped, dead_lettered, uptime_start,
        (SELECT count(*) FROM topic_stats WHERE ",
    visible!(),
    "), topic, listed.unique_processed
    FROM agg_stats LEFT JOIN (
        SELECT topic, unique_processed FROM topic_stats WHERE ",
    visible!(),
    "
        ORDER BY unique_processed DESC, topic LIMIT ?2) AS listed
    WHERE id = 1"
);
/// [LIMIT](https://www.sqlite.org/lang_select.html#the_limit_clause) of a list that has none.
const NO_LIMIT: i64 = -1;

/// A page of topics: those with the prefix `?2`, which are all below `?3`, after the place `(?4, ?5)`.
macro_rules! topics {
    ($after:literal, $order:literal) => {
        concat!(
            "
    SELECT topic, unique_processed, duplicate_dropped, first_processed_at, last_processed_at
    FROM topic_stats
    WHERE ",
            visible!(),
            "
      AND topic >= ?2 AND (?3 IS NULL OR topic < ?3)
      AND (?5 IS NULL OR ",
            $after,
            ")
    ORDER BY ",
            $order,
            " LIMIT ?6"
        )
    };
}

const BY_NAME: &str = topics!("(0, topic) > (?4, ?5)", "topic");
const BY_COUNT: &str = topics!(
    "unique_processed < ?4 OR (unique_processed = ?4 AND topic > ?5)",
    "unique_processed DESC, topic"
);
const BY_LAST: &str = topics!(
    "last_processed_at < ?4 OR (last_processed_at = ?4 AND topic > ?5)",
    "last_processed_at DESC, topic"
);

const TAKE_SAMPLE: &str = "
    INSERT INTO stats_history (at, received, unique_processed, duplicate_dropped, dead_lettered)
    SELECT ?1, received, unique_processed, duplicate_dropped, dead_lettered FROM agg_stats WHERE id = 1
    ON CONFLICT (at) DO NOTHING";

const THIN: &str = "
    DELETE FROM stats_history WHERE at < ?1 OR (at < ?2 AND at % (?3 * 1000000) <> 0)";

/// Of a group, the row with the smallest `at`
/// ([bare columns](https://www.sqlite.org/lang_select.html#bareagg)). `?3` are the seconds of a step.
const HISTORY: &str = "
    SELECT min(at), received, unique_processed, duplicate_dropped, dead_lettered
    FROM stats_history WHERE at >= ?1 AND at < ?2
    GROUP BY at / (?3 * 1000000) ORDER BY at LIMIT ?4";

type StatsRow = (i64, i64, i64, i64, i64, i64, Option<String>, Option<i64>);

pub(super) async fn stats(pool: &SqlitePool, asked: &StatsQuery) -> Result<Stats, StoreError> {
    let rows: Vec<StatsRow> = query_as(STATS)
        .bind(prefixes(&asked.visible))
        .bind(asked.largest.map_or(NO_LIMIT, i64::from))
        .fetch_all(pool)
        .await
        .map_err(failure)?;
    let Some(&(received, unique_processed, duplicate_dropped, dead_lettered, start, total, ..)) =
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
        topics_total: total,
        uptime_start: moment("uptime_start", start).map_err(failure)?,
    })
}

pub(super) async fn topics(pool: &SqlitePool, asked: &TopicQuery) -> Result<TopicPage, StoreError> {
    let statement = match asked.order {
        TopicOrder::Name => BY_NAME,
        TopicOrder::Count => BY_COUNT,
        TopicOrder::Recent => BY_LAST,
    };
    let rows: Vec<(String, i64, i64, i64, i64)> = query_as(statement)
        .bind(prefixes(&asked.visible))
        .bind(&asked.prefix)
        .bind(beyond(&asked.prefix))
        .bind(asked.after.as_ref().map_or(0, |after| after.rank))
        .bind(asked.after.as_ref().map(|after| &after.topic))
        .bind(i64::from(asked.limit.get()) + 1)
        .fetch_all(pool)
        .await
        .map_err(failure)?;
    let topic = |(topic, unique_processed, duplicate_dropped, first, last)| {
        Ok(TopicStats {
            topic,
            unique_processed,
            duplicate_dropped,
            first_processed_at: moment("first_processed_at", first)?.into(),
            last_processed_at: moment("last_processed_at", last)?.into(),
        })
    };
    let topics: sqlx::Result<Vec<_>> = rows.into_iter().map(topic).collect();
    Ok(TopicPage::of(topics.map_err(failure)?, asked))
}

pub(super) async fn take_sample(pool: &SqlitePool, at: DateTime<Utc>) -> Result<(), StoreError> {
    let taking = query(TAKE_SAMPLE).bind(at.timestamp_micros());
    taking.execute(pool).await.map_err(failure)?;
    Ok(())
}

pub(super) async fn thin_history(pool: &SqlitePool, now: DateTime<Utc>) -> Result<(), StoreError> {
    let thinned = Thinned::at(now);
    query(THIN)
        .bind(thinned.dropped_before.timestamp_micros())
        .bind(thinned.coarse_before.timestamp_micros())
        .bind(Thinned::coarse_seconds())
        .execute(pool)
        .await
        .map_err(failure)?;
    Ok(())
}

pub(super) async fn history(pool: &SqlitePool, span: &Span) -> Result<Vec<Sample>, StoreError> {
    let rows: Vec<(i64, i64, i64, i64, i64)> = query_as(HISTORY)
        .bind(span.since.timestamp_micros())
        .bind(span.until.timestamp_micros())
        .bind(i64::from(span.step_seconds))
        .bind(i64::from(MAX_SAMPLES))
        .fetch_all(pool)
        .await
        .map_err(failure)?;
    let sample = |(at, received, unique_processed, duplicate_dropped, dead_lettered)| {
        Ok(Sample {
            at: EventTime::from(moment("at", at)?),
            received,
            unique_processed,
            duplicate_dropped,
            dead_lettered,
        })
    };
    let samples: sqlx::Result<Vec<_>> = rows.into_iter().map(sample).collect();
    samples.map_err(failure)
}

fn prefixes(visible: &Visible) -> Option<String> {
    // Texts are always JSON.
    let json = |prefixes| serde_json::to_string(prefixes).unwrap_or_default();
    visible.as_ref().map(json)
}
