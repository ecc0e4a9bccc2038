//! Do the counters agree with the rows?

use std::fmt;

/// The counters beside what they should be by the rows, from one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audit {
    /// Each counter with both values.
    pub lines: Vec<Line>,
}

/// One counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which, and what it is compared with.
    pub what: String,
    /// What the counter says.
    pub counter: i64,
    /// What the rows say.
    pub rows: i64,
}

/// What an audit reads: the sum of the rows of counters, and sums over the other tables.
#[derive(Debug, Clone, Copy)]
pub struct Totals {
    /// `agg_stats.received`
    pub received: i64,
    /// `agg_stats.unique_processed`
    pub unique_processed: i64,
    /// `agg_stats.duplicate_dropped`
    pub duplicate_dropped: i64,
    /// `agg_stats.dead_lettered`
    pub dead_lettered: i64,
    /// Rows of `processed_events`.
    pub events: i64,
    /// Sum of `retired_events`.
    pub retired: i64,
    /// Rows of `dead_letters`, with those that were thrown away.
    pub letters: i64,
    /// Sum of `topic_stats.duplicate_dropped`.
    pub duplicates_by_topic: i64,
}

/// [`Totals`] as a store selects them, in their order.
pub type TotalsRow = (i64, i64, i64, i64, i64, i64, i64, i64);
/// A topic, its counter and its rows, with those that were retired.
pub type TopicRow = (String, i64, i64);
/// A closed bucket, how many events it has by the counters when it was closed, and its rows, with those that were retired.
pub type BucketRow = (i32, i64, i64);

impl From<TotalsRow> for Totals {
    fn from(row: TotalsRow) -> Self {
        Self {
            received: row.0,
            unique_processed: row.1,
            duplicate_dropped: row.2,
            dead_lettered: row.3,
            events: row.4,
            retired: row.5,
            letters: row.6,
            duplicates_by_topic: row.7,
        }
    }
}

impl Audit {
    /// Compares.
    #[must_use]
    pub fn new(totals: Totals, mut topics: Vec<TopicRow>, buckets: Vec<BucketRow>) -> Self {
        let line = |what: &str, counter, rows| Line {
            what: what.to_owned(),
            counter,
            rows,
        };
        let sum = totals.unique_processed + totals.duplicate_dropped + totals.dead_lettered;
        let mut lines = vec![
            line("received = the other three", totals.received, sum),
            line(
                "unique_processed = processed_events + retired_events",
                totals.unique_processed,
                totals.events + totals.retired,
            ),
            line(
                "duplicate_dropped = topic_stats",
                totals.duplicate_dropped,
                totals.duplicates_by_topic,
            ),
            line(
                "dead_lettered = dead_letters",
                totals.dead_lettered,
                totals.letters,
            ),
        ];
        topics.sort_unstable();
        let by_topic = topics.into_iter().map(|(topic, counter, rows)| Line {
            what: format!("topic {topic:?}"),
            counter,
            rows,
        });
        lines.extend(by_topic);
        let by_bucket = buckets.into_iter().map(|(bucket, counter, rows)| Line {
            what: format!("closed bucket {bucket}"),
            counter,
            rows,
        });
        lines.extend(by_bucket);
        Self { lines }
    }

    /// Whether every counter agrees.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.lines.iter().all(|line| line.counter == line.rows)
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .lines
            .iter()
            .map(|line| line.what.chars().count())
            .max();
        let width = width.unwrap_or_default();
        writeln!(f, "{:width$}  {:>15}  {:>15}", "", "counter", "rows")?;
        for line in &self.lines {
            let mark = if line.counter == line.rows {
                ""
            } else {
                "  DRIFT"
            };
            writeln!(
                f,
                "{:width$}  {:>15}  {:>15}{mark}",
                line.what, line.counter, line.rows
            )?;
        }
        let verdict = if self.is_exact() {
            "exact"
        } else {
            "NOT exact"
        };
        write!(f, "The counters are {verdict}.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXACT: Totals = Totals {
        received: 10,
        unique_processed: 6,
        duplicate_dropped: 3,
        dead_lettered: 1,
        events: 4,
        retired: 2,
        letters: 1,
        duplicates_by_topic: 3,
    };

    #[test]
    fn every_kind_of_drift_is_seen() {
        let topics = |rows| vec![("t".to_owned(), 6, rows)];
        let buckets = |rows| vec![(0, 3, 3), (1, 2, rows)];
        assert!(Audit::new(EXACT, topics(6), buckets(2)).is_exact());
        assert!(!Audit::new(EXACT, topics(5), buckets(2)).is_exact());
        assert!(!Audit::new(EXACT, topics(6), buckets(1)).is_exact());
        for drifted in [
            Totals {
                received: 11,
                ..EXACT
            },
            Totals { events: 5, ..EXACT },
            Totals {
                retired: 1,
                ..EXACT
            },
            Totals {
                letters: 0,
                ..EXACT
            },
            Totals {
                duplicates_by_topic: 4,
                ..EXACT
            },
        ] {
            let audit = Audit::new(drifted, topics(6), buckets(2));
            assert!(!audit.is_exact());
            assert!(audit.to_string().contains("DRIFT"));
        }
    }
}
