//! What the servers must count in the end, as far as a client can know it.

use std::ops::RangeInclusive;

/// A number that is known, or between two bounds where an answer was lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Certainly counted.
    pub sure: u64,
    /// Perhaps counted on top.
    pub maybe: u64,
}

impl Bounds {
    /// Every number it may be.
    #[must_use]
    pub fn range(self) -> RangeInclusive<i64> {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        number(self.sure)..=number(self.sure.saturating_add(self.maybe))
    }
}

/// What became of one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// First deliveries in it, by topic number.
    pub first: Vec<usize>,
    /// All deliveries in it.
    pub deliveries: u64,
    /// Whether it was acknowledged; if not, nobody knows.
    pub acknowledged: bool,
    /// Attempts whose answer was lost: the server may have counted each of them.
    pub unsure: u64,
}

/// What was sent and acknowledged.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// Deliveries.
    pub received: Bounds,
    /// Different events by topic number.
    pub topics: Vec<Bounds>,
}

impl Ledger {
    /// An empty one for this many topics.
    #[must_use]
    pub fn new(topics: u16) -> Self {
        Self {
            received: Bounds::default(),
            topics: vec![Bounds::default(); usize::from(topics)],
        }
    }

    /// Enters a batch.
    pub fn enter(&mut self, batch: &Settled) {
        if batch.acknowledged {
            self.received.sure += batch.deliveries;
        }
        self.received.maybe += batch.unsure * batch.deliveries;
        for &topic in &batch.first {
            let topic = &mut self.topics[topic];
            // What was not acknowledged may still be stored: by this batch, or by a repetition.
            *(if batch.acknowledged {
                &mut topic.sure
            } else {
                &mut topic.maybe
            }) += 1;
        }
    }

    /// Different events in all.
    #[must_use]
    pub fn unique(&self) -> Bounds {
        let sum = |of: fn(&Bounds) -> u64| self.topics.iter().map(of).sum();
        Bounds {
            sure: sum(|topic| topic.sure),
            maybe: sum(|topic| topic.maybe),
        }
    }

    /// Repetitions.
    #[must_use]
    pub fn duplicates(&self) -> Bounds {
        let unique = self.unique();
        let least = self
            .received
            .sure
            .saturating_sub(unique.sure + unique.maybe);
        let most = self.received.sure + self.received.maybe - unique.sure;
        Bounds {
            sure: least,
            maybe: most - least,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(batches: &[Settled]) -> Ledger {
        let mut ledger = Ledger::new(2);
        for batch in batches {
            ledger.enter(batch);
        }
        ledger
    }

    fn acknowledged(unsure: u64) -> Settled {
        Settled {
            first: vec![0, 0, 1],
            deliveries: 5,
            acknowledged: true,
            unsure,
        }
    }

    #[test]
    fn acknowledged_batches_are_known_exactly() {
        let ledger = entered(&[acknowledged(0), acknowledged(0)]);
        assert_eq!(ledger.received.range(), 10..=10);
        assert_eq!(ledger.topics[0].range(), 4..=4);
        assert_eq!(ledger.unique().range(), 6..=6);
        assert_eq!(ledger.duplicates().range(), 4..=4);
    }

    #[test]
    fn a_lost_answer_may_count_once_more_as_duplicates() {
        let ledger = entered(&[acknowledged(1)]);
        assert_eq!(ledger.received.range(), 5..=10);
        assert_eq!(ledger.unique().range(), 3..=3);
        assert_eq!(ledger.duplicates().range(), 2..=7);
    }

    #[test]
    fn an_unsettled_batch_may_be_stored_or_not() {
        let unsettled = Settled {
            acknowledged: false,
            ..acknowledged(1)
        };
        let ledger = entered(&[acknowledged(0), unsettled]);
        assert_eq!(ledger.received.range(), 5..=10);
        assert_eq!(ledger.topics[1].range(), 1..=2);
        assert_eq!(ledger.unique().range(), 3..=6);
        assert_eq!(ledger.duplicates().range(), 0..=7);
    }
}
