//! Compares what the servers count with what was sent.

use std::ops::RangeInclusive;

use event_aggregator_client::Stats;
use serde::Serialize;

use super::expected::Expected;
use crate::format::number;

/// One counter: what it should be, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// What is counted.
    pub(super) what: String,
    /// The smallest number that is right.
    pub(super) at_least: i64,
    /// The largest number that is right.
    pub(super) at_most: i64,
    /// What the server has counted since the start.
    pub(super) found: i64,
}

impl Check {
    fn new(what: impl Into<String>, expected: &RangeInclusive<i64>, found: i64) -> Self {
        Self {
            what: what.into(),
            at_least: *expected.start(),
            at_most: *expected.end(),
            found,
        }
    }

    /// Whether the counter is as it should be.
    pub(super) const fn is_right(&self) -> bool {
        self.at_least <= self.found && self.found <= self.at_most
    }

    /// What the counter should be, for people.
    pub(super) fn expected(&self) -> String {
        if self.at_least == self.at_most {
            number(self.at_least)
        } else {
            format!("{}–{}", number(self.at_least), number(self.at_most))
        }
    }
}

/// Checks every counter that the run has changed, by the difference between two readings.
pub(super) fn compare(
    before: &Stats,
    after: &Stats,
    expected: &Expected,
    topic: impl Fn(usize) -> String,
) -> Vec<Check> {
    let difference = |counter: fn(&Stats) -> i64| counter(after) - counter(before);
    let mut checks = vec![
        Check::new(
            "received",
            &expected.received.range(),
            difference(|stats| stats.received),
        ),
        Check::new(
            "unique",
            &expected.unique().range(),
            difference(|stats| stats.unique_processed),
        ),
        Check::new(
            "duplicates",
            &expected.duplicates().range(),
            difference(|stats| stats.duplicate_dropped),
        ),
        Check::new(
            "dead letters",
            &(0..=0),
            difference(|stats| stats.dead_lettered),
        ),
    ];
    let topics = expected.topics.iter().enumerate();
    checks.extend(topics.map(|(number, expected)| {
        let topic = topic(number);
        let count = |stats: &Stats| stats.topics.get(&topic).copied().unwrap_or(0);
        let found = count(after) - count(before);
        Check::new(topic, &expected.range(), found)
    }));
    checks
}

#[cfg(test)]
mod tests {
    use event_aggregator_client::QueueDepth;

    use super::{super::expected::SentBatch, *};

    fn stats(received: i64, unique: i64, orders: i64) -> Stats {
        Stats {
            received,
            unique_processed: unique,
            duplicate_dropped: received - unique,
            dead_lettered: 0,
            topics: [("orders".to_owned(), orders), ("others".to_owned(), 9)].into(),
            topics_total: None,
            queue: QueueDepth {
                pending: 0,
                processing: 0,
                ..QueueDepth::default()
            },
            uptime: 1.0,
            uptime_start: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    fn expected() -> Expected {
        let mut expected = Expected::new(1);
        expected.add(&SentBatch {
            new_events: vec![0, 0, 0],
            deliveries: 5,
            is_acknowledged: true,
            lost_answers: 0,
        });
        expected
    }

    fn wrong(after: &Stats) -> Vec<String> {
        let checks = compare(&stats(20, 10, 1), after, &expected(), |_| {
            "orders".to_owned()
        });
        let wrong = checks.into_iter().filter(|check| !check.is_right());
        wrong.map(|check| check.what).collect()
    }

    #[test]
    fn events_that_were_there_before_do_not_matter() {
        assert_eq!(wrong(&stats(25, 13, 4)), [""; 0]);
    }

    #[test]
    fn every_counter_that_is_wrong_is_named() {
        assert_eq!(wrong(&stats(26, 13, 4)), ["received", "duplicates"]);
        assert_eq!(wrong(&stats(25, 12, 3)), ["unique", "duplicates", "orders"]);
    }
}
