//! Comparing what the servers count with what was sent.

use std::ops::RangeInclusive;

use serde::Serialize;

use super::ledger::Ledger;
use crate::{client::Stats, output::number};

/// One number, as it should be and as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is counted.
    pub what: String,
    /// The least it may be.
    pub at_least: i64,
    /// The most it may be.
    pub at_most: i64,
    /// What the server counted since the start.
    pub found: i64,
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

    /// Whether it is as it should be.
    #[must_use]
    pub const fn is_right(&self) -> bool {
        self.at_least <= self.found && self.found <= self.at_most
    }

    /// What it should be, for people.
    #[must_use]
    pub fn expected(&self) -> String {
        if self.at_least == self.at_most {
            number(self.at_least)
        } else {
            format!("{}–{}", number(self.at_least), number(self.at_most))
        }
    }
}

/// Every counter that the run has moved, as the difference between two looks.
#[must_use]
pub fn compare(
    before: &Stats,
    after: &Stats,
    ledger: &Ledger,
    topic: impl Fn(usize) -> String,
) -> Vec<Check> {
    let moved = |counter: fn(&Stats) -> i64| counter(after) - counter(before);
    let mut checks = vec![
        Check::new(
            "received",
            &ledger.received.range(),
            moved(|stats| stats.received),
        ),
        Check::new(
            "unique",
            &ledger.unique().range(),
            moved(|stats| stats.unique_processed),
        ),
        Check::new(
            "duplicates",
            &ledger.duplicates().range(),
            moved(|stats| stats.duplicate_dropped),
        ),
        Check::new("dead letters", &(0..=0), moved(|stats| stats.dead_lettered)),
    ];
    checks.extend(ledger.topics.iter().enumerate().map(|(number, expected)| {
        let topic = topic(number);
        let count = |stats: &Stats| stats.topics.get(&topic).copied().unwrap_or(0);
        let found = count(after) - count(before);
        Check::new(topic, &expected.range(), found)
    }));
    checks
}

#[cfg(test)]
mod tests {
    use super::{super::ledger::Settled, *};
    use crate::client::Queue;

    fn stats(received: i64, unique: i64, orders: i64) -> Stats {
        Stats {
            received,
            unique_processed: unique,
            duplicate_dropped: received - unique,
            dead_lettered: 0,
            topics: [("orders".to_owned(), orders), ("others".to_owned(), 9)].into(),
            queue: Queue {
                pending: 0,
                processing: 0,
            },
            uptime: 1.0,
            uptime_start: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(1);
        ledger.enter(&Settled {
            first: vec![0, 0, 0],
            deliveries: 5,
            acknowledged: true,
            unsure: 0,
        });
        ledger
    }

    fn wrong(after: &Stats) -> Vec<String> {
        let checks = compare(&stats(20, 10, 1), after, &ledger(), |_| "orders".to_owned());
        let wrong = checks.into_iter().filter(|check| !check.is_right());
        wrong.map(|check| check.what).collect()
    }

    #[test]
    fn what_was_there_before_does_not_matter() {
        assert_eq!(wrong(&stats(25, 13, 4)), [""; 0]);
    }

    #[test]
    fn every_counter_that_is_wrong_is_named() {
        assert_eq!(wrong(&stats(26, 13, 4)), ["received", "duplicates"]);
        assert_eq!(wrong(&stats(25, 12, 3)), ["unique", "duplicates", "orders"]);
    }
}
