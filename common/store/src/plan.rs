//! A batch made ready for a store, and what came of it.

use std::collections::HashSet;

use event::{Event, Malformed, Verdict, envelope};
use uuid::Uuid;

/// Events made ready for the store: in key order, so that two transactions with the same events
/// lock them in the same order and cannot deadlock.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    events: &'a [Event],
    /// Positions in `events`, by key and then by position.
    order: Vec<usize>,
}

impl<'a> Plan<'a> {
    /// Sorts the events.
    pub(crate) fn new(events: &'a [Event]) -> Self {
        let mut order: Vec<usize> = (0..events.len()).collect();
        order.sort_unstable_by_key(|&at| (events[at].key(), at));
        Self { events, order }
    }

    /// The rows to insert, each identity once: the first that came of it. None of those that are known to be
    /// stored, by position; nothing is known beyond the end.
    pub(crate) fn rows(&self, known: &[bool]) -> Vec<&'a Event> {
        let new = self
            .order
            .iter()
            .filter(|&&at| known.get(at) != Some(&true));
        let mut rows: Vec<&Event> = new.map(|&at| &self.events[at]).collect();
        rows.dedup_by_key(|event| event.key());
        rows
    }

    /// All events with their positions, for a store that inserts them piece by piece because it has
    /// refused some: if the first of an identity is refused, the next one counts.
    pub(crate) fn deliveries(&self) -> Vec<(usize, &'a Event)> {
        self.order
            .iter()
            .map(|&at| (at, &self.events[at]))
            .collect()
    }

    /// What came of the batch, given which identities the database inserted, in any order, and which
    /// events (by position) it refused.
    pub(crate) fn outcome<K: AsRef<str>>(
        &self,
        inserted: &[(K, K)],
        refused: Vec<(usize, String)>,
    ) -> Outcome<'a> {
        let inserted: HashSet<(&str, &str)> = inserted
            .iter()
            .map(|(topic, id)| (topic.as_ref(), id.as_ref()))
            .collect();
        let mut verdicts = vec![Verdict::Duplicate; self.events.len()];
        for (at, _) in &refused {
            verdicts[*at] = Verdict::DeadLettered;
        }
        let mut topics: Vec<TopicDelta<'_>> = Vec::new();
        let mut last_tried = None;
        for &at in &self.order {
            if verdicts[at] == Verdict::DeadLettered {
                continue;
            }
            let key = self.events[at].key();
            if topics.last().is_none_or(|last| last.topic != key.0) {
                topics.push(TopicDelta {
                    topic: key.0,
                    unique: 0,
                    duplicate: 0,
                });
            }
            let last = topics.len() - 1;
            let delta = &mut topics[last];
            if last_tried != Some(key) && inserted.contains(&key) {
                verdicts[at] = Verdict::Accepted;
                delta.unique += 1;
            } else {
                delta.duplicate += 1;
            }
            last_tried = Some(key);
        }
        Outcome {
            verdicts,
            topics,
            refused,
        }
    }

    /// What is put aside of this outcome.
    pub(crate) fn letters(&self, outcome: &Outcome<'_>) -> Vec<Letter> {
        let refused = outcome.refused.iter();
        refused
            .map(|(at, reason)| Letter::of_event(&self.events[*at], reason.clone()))
            .collect()
    }
}

/// What one batch changes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome<'a> {
    /// One an event, in the order they came.
    pub(crate) verdicts: Vec<Verdict>,
    /// In key order.
    pub(crate) topics: Vec<TopicDelta<'a>>,
    /// Which events, by position, the database refused, and why.
    pub(crate) refused: Vec<(usize, String)>,
}

impl Outcome<'_> {
    /// Newly stored events.
    pub(crate) fn unique(&self) -> i64 {
        self.topics.iter().map(|topic| topic.unique).sum()
    }

    /// Events that were stored before.
    pub(crate) fn duplicate(&self) -> i64 {
        self.topics.iter().map(|topic| topic.duplicate).sum()
    }
}

/// What one batch changes in the counters of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopicDelta<'a> {
    /// Which topic.
    pub(crate) topic: &'a str,
    /// Newly stored.
    pub(crate) unique: i64,
    /// Stored before.
    pub(crate) duplicate: i64,
}

/// A dead letter about to be put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    /// The queue element.
    pub(crate) raw: Vec<u8>,
    /// Why it cannot be stored.
    pub(crate) reason: String,
    /// Of the event in it, if it could be read.
    pub(crate) receipt_id: Option<Uuid>,
}

impl Letter {
    fn of_event(event: &Event, reason: String) -> Self {
        Self {
            raw: envelope::encode(event),
            reason,
            receipt_id: Some(event.receipt_id.0),
        }
    }
}

impl From<&Malformed> for Letter {
    fn from(malformed: &Malformed) -> Self {
        Self {
            raw: malformed.raw.clone(),
            reason: malformed.reason.clone(),
            receipt_id: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(keys: &[(&str, &str)]) -> Vec<Event> {
        let element = r#"{"v":1,"receipt_id":"01970000-0000-7000-8000-000000000001","topic":"T","event_id":"I","timestamp":"2026-01-01T00:00:00Z","source":"s","payload":{}}"#;
        let decode = |(topic, id): &(&str, &str)| {
            let element = element
                .replace("\"T\"", &format!("\"{topic}\""))
                .replace("\"I\"", &format!("\"{id}\""));
            envelope::decode(element.as_bytes()).unwrap()
        };
        keys.iter().map(decode).collect()
    }

    #[test]
    fn of_each_identity_the_first_is_inserted_in_key_order() {
        let events = batch(&[("b", "1"), ("a", "2"), ("b", "1"), ("a", "1")]);
        let rows: Vec<_> = Plan::new(&events)
            .rows(&[])
            .iter()
            .map(|e| e.key())
            .collect();
        assert_eq!(rows, [("a", "1"), ("a", "2"), ("b", "1")]);
    }

    #[test]
    fn verdicts_come_in_the_order_of_the_events() {
        use Verdict::{Accepted, Duplicate};
        let events = batch(&[("b", "1"), ("a", "2"), ("b", "1"), ("a", "1")]);
        let plan = Plan::new(&events);
        let outcome = plan.outcome(&[("b", "1"), ("a", "1")], Vec::new());
        assert_eq!(outcome.verdicts, [Accepted, Duplicate, Duplicate, Accepted]);
        let delta = |topic| TopicDelta {
            topic,
            unique: 1,
            duplicate: 1,
        };
        assert_eq!(outcome.topics, [delta("a"), delta("b")]);
    }

    #[test]
    fn if_the_first_of_an_identity_is_refused_the_next_one_counts() {
        use Verdict::{Accepted, DeadLettered, Duplicate};
        let events = batch(&[("a", "1"), ("a", "1"), ("a", "1"), ("b", "1")]);
        let plan = Plan::new(&events);
        let refused = vec![(0, "bad".to_owned()), (3, "bad".to_owned())];
        let outcome = plan.outcome(&[("a", "1")], refused);
        assert_eq!(
            outcome.verdicts,
            [DeadLettered, Accepted, Duplicate, DeadLettered]
        );
        assert_eq!((outcome.unique(), outcome.duplicate()), (1, 1));
        let letters = plan.letters(&outcome);
        assert_eq!(letters.len(), 2);
        assert_eq!(envelope::decode(&letters[1].raw).as_ref(), Ok(&events[3]));
    }
}
