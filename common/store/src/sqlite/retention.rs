//! Forgetting old events: in small steps, because SQLite has one writer at a time, and others wait meanwhile.

use std::time::Duration;

use runtime::faults::{Point, crash_at};
use sqlx::{SqlitePool, query, query_as, query_scalar};

use super::{
    begin::BEGIN,
    classify::{commit_failure, failure},
    moment::moment,
};
use crate::{Outdated, Step, StoreError};

/// Most rows that one step removes.
const ROWS: i64 = 1000;

/// Of the first `?2` rows those that were processed before `?1`. The last row stays however old it is, because the next id is one
/// above it ([ROWIDs](https://www.sqlite.org/autoinc.html)), and no id may come back.
macro_rules! outdated {
    ($columns:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM (
        SELECT id, topic, processed_at FROM processed_events
        WHERE id < (SELECT max(id) FROM processed_events) ORDER BY id LIMIT ?2)
    WHERE processed_at < ?1"
        )
    };
}

const RETIRE: &str = concat!(
    "
    INSERT INTO retired_events (topic, events) ",
    outdated!("topic, count(*)"),
    " GROUP BY topic
    ON CONFLICT (topic) DO UPDATE SET events = events + excluded.events"
);

const REMOVE: &str = concat!(
    "DELETE FROM processed_events WHERE id IN (",
    outdated!("id"),
    ")"
);

/// Whether the oldest row is outdated, which a reader can tell.
const IS_DUE: &str = "
    SELECT EXISTS (SELECT 1 FROM (SELECT processed_at FROM processed_events ORDER BY id LIMIT 1) WHERE processed_at < ?)";

const OUTDATED: &str = outdated!("count(*), coalesce(max(processed_at), 0)");
/// [LIMIT](https://www.sqlite.org/lang_select.html#the_limit_clause) of all of them.
const NO_LIMIT: i64 = -1;

pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Removes some of what was processed before this moment, and keeps its numbers by topic.
pub(super) async fn step(
    pool: &SqlitePool,
    readers: &SqlitePool,
    before: i64,
) -> Result<Option<Step>, StoreError> {
    let looking = query_scalar(IS_DUE).bind(before).fetch_one(readers);
    if !looking.await.map_err(failure)? {
        return Ok(None);
    }
    let mut transaction = pool.begin_with(BEGIN).await.map_err(failure)?;
    let retiring = query(RETIRE).bind(before).bind(ROWS);
    retiring.execute(&mut *transaction).await.map_err(failure)?;
    let removing = query(REMOVE).bind(before).bind(ROWS);
    let removed = removing.execute(&mut *transaction).await.map_err(failure)?;
    crash_at(Point::BeforeDropCommit);
    transaction.commit().await.map_err(commit_failure)?;
    crash_at(Point::AfterDrop);
    let events = removed.rows_affected();
    Ok((events > 0).then_some(Step::Removed { events }))
}

/// What would be removed.
pub(super) async fn outdated(pool: &SqlitePool, before: i64) -> Result<Vec<Outdated>, StoreError> {
    let (events, until): (i64, i64) = query_as(OUTDATED)
        .bind(before)
        .bind(NO_LIMIT)
        .fetch_one(pool)
        .await
        .map_err(failure)?;
    if events == 0 {
        return Ok(Vec::new());
    }
    Ok(vec![Outdated {
        bucket: None,
        until: moment("processed_at", until).map_err(failure)?,
        events,
        bytes: None,
    }])
}
