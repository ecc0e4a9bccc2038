//! What the servers must count in the end, as far as a client can know that.

use std::ops::RangeInclusive;

/// A number that is known exactly, or that lies between two bounds because an answer was lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    /// How many are certainly counted.
    pub(super) certain: u64,
    /// How many more may be counted.
    pub(super) possible: u64,
}

impl Bounds {
    /// All numbers that are possible.
    pub(super) fn range(self) -> RangeInclusive<i64> {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        number(self.certain)..=number(self.certain.saturating_add(self.possible))
    }
}

/// What became of one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SentBatch {
    /// The topic number of each event that the batch delivered for the first time.
    pub(super) new_events: Vec<usize>,
    /// How many deliveries the batch had.
    pub(super) deliveries: u64,
    /// Whether it was acknowledged. If not, nobody knows whether it is counted.
    pub(super) is_acknowledged: bool,
    /// How many attempts had no answer. The server may have counted each of them.
    pub(super) lost_answers: u64,
}

/// What the servers must count.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    /// Deliveries.
    pub(super) received: Bounds,
    /// Events by topic number.
    pub(super) topics: Vec<Bounds>,
}

impl Expected {
    /// Nothing, in this many topics.
    pub(super) fn new(topics: u16) -> Self {
        Self {
            received: Bounds::default(),
            topics: vec![Bounds::default(); usize::from(topics)],
        }
    }

    /// Adds a batch.
    pub(super) fn add(&mut self, batch: &SentBatch) {
        if batch.is_acknowledged {
            self.received.certain += batch.deliveries;
        }
        self.received.possible += batch.lost_answers * batch.deliveries;
        for &topic in &batch.new_events {
            let topic = &mut self.topics[topic];
            // An event that was not acknowledged may be stored all the same, through this batch or through a duplicate.
            if batch.is_acknowledged {
                topic.certain += 1;
            } else {
                topic.possible += 1;
            }
        }
    }

    /// Events in all topics.
    pub(super) fn unique(&self) -> Bounds {
        let sum = |of: fn(&Bounds) -> u64| self.topics.iter().map(of).sum();
        Bounds {
            certain: sum(|topic| topic.certain),
            possible: sum(|topic| topic.possible),
        }
    }

    /// Duplicates in all topics.
    pub(super) fn duplicates(&self) -> Bounds {
        let (received, unique) = (self.received, self.unique());
        let least = received
            .certain
            .saturating_sub(unique.certain + unique.possible);
        let most = received.certain + received.possible - unique.certain;
        Bounds {
            certain: least,
            possible: most - least,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(batches: &[SentBatch]) -> Expected {
        let mut expected = Expected::new(2);
        for batch in batches {
            expected.add(batch);
        }
        expected
    }

    fn acknowledged(lost_answers: u64) -> SentBatch {
        SentBatch {
            new_events: vec![0, 0, 1],
            deliveries: 5,
            is_acknowledged: true,
            lost_answers,
        }
    }

    #[test]
    fn acknowledged_batches_are_known_exactly() {
        let expected = expected(&[acknowledged(0), acknowledged(0)]);
        assert_eq!(expected.received.range(), 10..=10);
        assert_eq!(expected.topics[0].range(), 4..=4);
        assert_eq!(expected.unique().range(), 6..=6);
        assert_eq!(expected.duplicates().range(), 4..=4);
    }

    #[test]
    fn a_batch_whose_answer_was_lost_may_count_again_as_duplicates() {
        let expected = expected(&[acknowledged(1)]);
        assert_eq!(expected.received.range(), 5..=10);
        assert_eq!(expected.unique().range(), 3..=3);
        assert_eq!(expected.duplicates().range(), 2..=7);
    }

    #[test]
    fn a_batch_without_an_acknowledgement_may_be_stored_or_not() {
        let unacknowledged = SentBatch {
            is_acknowledged: false,
            ..acknowledged(1)
        };
        let expected = expected(&[acknowledged(0), unacknowledged]);
        assert_eq!(expected.received.range(), 5..=10);
        assert_eq!(expected.topics[1].range(), 1..=2);
        assert_eq!(expected.unique().range(), 3..=6);
        assert_eq!(expected.duplicates().range(), 0..=7);
    }
}
