//! A batch made ready for a store, and what came of it.

use std::collections::{BTreeMap, HashSet};

use event::{Event, Malformed, Verdict, element};
use uuid::Uuid;

/// Events made ready for the store: those that are not known to be stored, in key order, so that two transactions with the
/// same events lock them in the same order and cannot deadlock.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    events: &'a [Event],
    /// Positions in `events` of those that are not known, by key and then by position.
    order: Vec<usize>,
    /// How many events are known to be stored, by topic.
    known: BTreeMap<&'a str, i64>,
}

impl<'a> Plan<'a> {
    /// Sorts the events. Those that are known to be stored are told by position; nothing is known beyond the end.
    pub(crate) fn new(events: &'a [Event], known: &[bool]) -> Self {
        let mut order = Vec::with_capacity(events.len());
        let mut known_topics = BTreeMap::new();
        for (at, event) in events.iter().enumerate() {
            if known.get(at) == Some(&true) {
                *known_topics.entry(event.topic.as_str()).or_default() += 1;
            } else {
                order.push(at);
            }
        }
        order.sort_unstable_by_key(|&at| (events[at].key(), at));
        Self {
            events,
            order,
            known: known_topics,
        }
    }

    /// The rows to insert: of each identity the first event, in key order.
    pub(crate) fn rows(&self) -> Vec<&'a Event> {
        let mut rows: Vec<&Event> = self.order.iter().map(|&at| &self.events[at]).collect();
        rows.dedup_by_key(|event| event.key());
        rows
    }

    /// All events that are not known, with their positions, for a store that inserts them piece by piece because it has
    /// refused some: if the first of an identity is refused, the next one counts.
    pub(crate) fn deliveries(&self) -> Vec<(usize, &'a Event)> {
        self.order
            .iter()
            .map(|&at| (at, &self.events[at]))
            .collect()
    }

    /// What came of the batch, given which of its [rows](Self::rows) the database inserted.
    pub(crate) fn outcome_of_rows(&self, inserted: &Inserted) -> Outcome<'a> {
        let mut row = 0;
        self.outcome(Vec::new(), |_| {
            row += 1;
            match inserted {
                Inserted::All => true,
                Inserted::Some(rows) => rows.get(row - 1) == Some(&true),
            }
        })
    }

    /// What came of the batch, given which identities the database inserted, in any order, and which events (by position) it
    /// refused.
    pub(crate) fn outcome_of_pieces(
        &self,
        inserted: &Keys,
        refused: Vec<(usize, String)>,
    ) -> Outcome<'a> {
        let inserted: HashSet<(&str, &str)> = inserted
            .iter()
            .map(|(topic, id)| (&**topic, &**id))
            .collect();
        self.outcome(refused, |key| inserted.contains(&key))
    }

    /// `inserted` is asked once for each identity of which an event was not refused, in key order.
    fn outcome(
        &self,
        mut refused: Vec<(usize, String)>,
        mut inserted: impl FnMut((&str, &str)) -> bool,
    ) -> Outcome<'a> {
        refused.sort_unstable();
        let is_refused = |at| refused.binary_search_by_key(&at, |(at, _)| *at).is_ok();
        let mut topics: Vec<TopicDelta<'_>> = Vec::new();
        let mut accepted = Vec::with_capacity(self.order.len());
        let mut last_tried = None;
        for &at in &self.order {
            if is_refused(at) {
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
            if last_tried != Some(key) && inserted(key) {
                accepted.push(at);
                delta.unique += 1;
            } else {
                delta.duplicate += 1;
            }
            last_tried = Some(key);
        }
        for (&topic, &duplicate) in &self.known {
            match topics.binary_search_by_key(&topic, |delta| delta.topic) {
                Ok(at) => topics[at].duplicate += duplicate,
                Err(at) => topics.insert(
                    at,
                    TopicDelta {
                        topic,
                        unique: 0,
                        duplicate,
                    },
                ),
            }
        }
        Outcome {
            accepted,
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

    /// One verdict an event, in the order they came.
    pub(crate) fn verdicts(&self, outcome: &Outcome<'_>) -> Vec<Verdict> {
        let mut verdicts = vec![Verdict::Duplicate; self.events.len()];
        for &at in &outcome.accepted {
            verdicts[at] = Verdict::Accepted;
        }
        for (at, _) in &outcome.refused {
            verdicts[*at] = Verdict::DeadLettered;
        }
        verdicts
    }
}

/// Which of the rows of a statement were inserted; the others were stored before.
#[derive(Debug)]
pub(crate) enum Inserted {
    /// All of them.
    All,
    /// These, row by row.
    Some(Vec<bool>),
}

impl Inserted {
    /// The rows with these keys, in any order.
    pub(crate) fn with_keys(keys: &Keys, rows: &[&Event]) -> Self {
        let keys: HashSet<(&str, &str)> =
            keys.iter().map(|(topic, id)| (&**topic, &**id)).collect();
        Self::Some(rows.iter().map(|row| keys.contains(&row.key())).collect())
    }
}

/// Topics and ids of events.
pub(crate) type Keys = Vec<(String, String)>;

/// What one batch changes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome<'a> {
    /// Which events, by position, are stored now.
    accepted: Vec<usize>,
    /// By name.
    pub(crate) topics: Vec<TopicDelta<'a>>,
    /// Which events, by position, the database refused, and why.
    pub(crate) refused: Vec<(usize, String)>,
}

impl Outcome<'_> {
    /// Newly stored events.
    pub(crate) fn unique(&self) -> i64 {
        self.topics.iter().map(|topic| topic.unique).sum()
    }

    /// Which events, by position, the database refused.
    pub(crate) fn positions_of_refused(&self) -> Vec<usize> {
        self.refused.iter().map(|(at, _)| *at).collect()
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
            raw: element::alone(event),
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
    use event::envelope;

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

    fn keys(keys: &[(&str, &str)]) -> Keys {
        let owned = |&(topic, id): &(&str, &str)| (topic.to_owned(), id.to_owned());
        keys.iter().map(owned).collect()
    }

    #[test]
    fn of_each_identity_the_first_is_inserted_in_key_order() {
        let events = batch(&[("b", "1"), ("a", "2"), ("b", "1"), ("a", "1")]);
        let rows = |known: &[bool]| -> Vec<_> {
            let plan = Plan::new(&events, known);
            plan.rows().iter().map(|row| row.key()).collect()
        };
        assert_eq!(rows(&[]), [("a", "1"), ("a", "2"), ("b", "1")]);
        assert_eq!(rows(&[true, false, true]), [("a", "1"), ("a", "2")]);
    }

    #[test]
    fn verdicts_come_in_the_order_of_the_events() {
        use Verdict::{Accepted, Duplicate};
        let events = batch(&[("b", "1"), ("a", "2"), ("b", "1"), ("a", "1")]);
        let plan = Plan::new(&events, &[]);
        let rows = plan.rows();
        let inserted = Inserted::with_keys(&keys(&[("b", "1"), ("a", "1")]), &rows);
        let outcome = plan.outcome_of_rows(&inserted);
        assert_eq!(
            plan.verdicts(&outcome),
            [Accepted, Duplicate, Duplicate, Accepted]
        );
        let delta = |topic| TopicDelta {
            topic,
            unique: 1,
            duplicate: 1,
        };
        assert_eq!(outcome.topics, [delta("a"), delta("b")]);
        let all = plan.outcome_of_rows(&Inserted::All);
        assert_eq!((all.unique(), all.duplicate()), (3, 1));
    }

    #[test]
    fn what_is_known_is_a_duplicate_of_its_topic() {
        use Verdict::{Accepted, Duplicate};
        let events = batch(&[("b", "1"), ("c", "1"), ("a", "1"), ("b", "2"), ("c", "2")]);
        let plan = Plan::new(&events, &[true, true, true, false, true]);
        let outcome = plan.outcome_of_rows(&Inserted::All);
        let verdicts = [Duplicate, Duplicate, Duplicate, Accepted, Duplicate];
        assert_eq!(plan.verdicts(&outcome), verdicts);
        let counted = outcome.topics.iter();
        let counted: Vec<_> = counted.map(|t| (t.topic, t.unique, t.duplicate)).collect();
        assert_eq!(counted, [("a", 0, 1), ("b", 1, 1), ("c", 0, 2)]);
    }

    #[test]
    fn if_the_first_of_an_identity_is_refused_the_next_one_counts() {
        use Verdict::{Accepted, DeadLettered, Duplicate};
        let events = batch(&[("a", "1"), ("a", "1"), ("a", "1"), ("b", "1")]);
        let plan = Plan::new(&events, &[]);
        let refused = vec![(3, "bad".to_owned()), (0, "bad".to_owned())];
        let outcome = plan.outcome_of_pieces(&keys(&[("a", "1")]), refused);
        assert_eq!(
            plan.verdicts(&outcome),
            [DeadLettered, Accepted, Duplicate, DeadLettered]
        );
        assert_eq!((outcome.unique(), outcome.duplicate()), (1, 1));
        let letters = plan.letters(&outcome);
        assert_eq!(letters.len(), 2);
        assert_eq!(envelope::decode(&letters[1].raw).as_ref(), Ok(&events[3]));
    }
}
