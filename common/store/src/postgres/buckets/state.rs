//! Which buckets there are, and what is due.

use std::time::Duration;

use sqlx::{FromRow, PgConnection, Row, postgres::PgRow, query_as};

use crate::{
    Rules,
    postgres::ground::{Place, buckets},
};

const STATE: &str = concat!(
    "
    SELECT pg_postmaster_start_time() AS started, 'processed_events'::regclass::oid AS events,
           buckets.oldest, buckets.open,
           total.unique_processed - open.unique_before AS open_events,
           extract(epoch FROM clock_timestamp() - open.opened_at)::float8 AS open_for,
           extract(epoch FROM clock_timestamp() - oldest.closed_at)::float8 AS oldest_closed_for
    FROM ",
    buckets!(),
    "
    JOIN ledger_buckets AS open ON open.bucket = buckets.open
    JOIN ledger_buckets AS oldest ON oldest.bucket = buckets.oldest
    CROSS JOIN agg_stats_total AS total"
);

/// What there is at one moment.
pub(super) struct State {
    pub(super) place: Place,
    pub(super) oldest: i32,
    pub(super) open: i32,
    open_events: i64,
    open_for: Duration,
    /// `None`: it is the open one.
    oldest_closed_for: Option<Duration>,
}

impl FromRow<'_, PgRow> for State {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        // The clock of a server may be set back.
        let elapsed = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        Ok(Self {
            place: Place::from_row(row)?,
            oldest: row.try_get("oldest")?,
            open: row.try_get("open")?,
            open_events: row.try_get("open_events")?,
            open_for: elapsed(row.try_get("open_for")?),
            oldest_closed_for: row
                .try_get::<Option<f64>, _>("oldest_closed_for")?
                .map(elapsed),
        })
    }
}

impl State {
    pub(super) async fn read(connection: &mut PgConnection) -> sqlx::Result<Self> {
        query_as(STATE).fetch_one(connection).await
    }

    /// Whether the open bucket is to be closed.
    pub(super) fn is_full(&self, rules: &Rules) -> bool {
        let events = u64::try_from(self.open_events).unwrap_or(0);
        let is_old = rules.bucket_age.is_some_and(|age| self.open_for >= age);
        events >= rules.bucket_events.max(1) || (is_old && events > 0)
    }

    /// How old what is dropped must be, if there is such a bucket.
    pub(super) fn due_to_drop(&self, rules: &Rules) -> Option<Duration> {
        let retention = rules.retention?;
        (self.oldest_closed_for? >= retention).then_some(retention)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use sqlx::postgres::types::Oid;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn state(open_events: i64, open_for: Duration, oldest_closed_for: Option<Duration>) -> State {
        State {
            place: Place {
                started: DateTime::UNIX_EPOCH,
                events: Oid(1),
            },
            oldest: 0,
            open: 1,
            open_events,
            open_for,
            oldest_closed_for,
        }
    }

    #[test]
    fn a_bucket_is_full_by_its_events_or_by_its_age_but_never_if_it_is_empty() {
        let full = |events, open_for, bucket_age| {
            let rules = Rules {
                bucket_events: 10,
                bucket_age,
                retention: None,
            };
            state(events, open_for, None).is_full(&rules)
        };
        assert!(!full(9, 100 * HOUR, None));
        assert!(full(10, Duration::ZERO, None));
        assert!(full(1, HOUR, Some(HOUR)));
        assert!(!full(1, HOUR / 2, Some(HOUR)));
        assert!(!full(0, 100 * HOUR, Some(HOUR)));
    }

    #[test]
    fn a_bucket_is_dropped_when_it_was_closed_as_long_ago_as_the_retention() {
        let due = |closed_for, retention| {
            let rules = Rules {
                bucket_events: 10,
                bucket_age: None,
                retention,
            };
            state(0, HOUR, closed_for).due_to_drop(&rules)
        };
        assert_eq!(due(Some(HOUR), None), None);
        assert_eq!(due(None, Some(HOUR)), None, "it is open");
        assert_eq!(due(Some(HOUR / 2), Some(HOUR)), None);
        assert_eq!(due(Some(HOUR), Some(HOUR)), Some(HOUR));
    }
}
