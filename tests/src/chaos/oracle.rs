//! What must hold at the end, judged from three sides that know nothing of each other: what the clients were told,
//! what Redis was given, and what PostgreSQL holds.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Connection, PgConnection};

pub use super::{
    journal::Pushed,
    load::{Identity, Ledger},
};

/// A topic's counters.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Events stored.
    pub unique: i64,
    /// Deliveries dropped because their event was stored already.
    pub duplicate: i64,
}

/// What the tables hold.
#[derive(Debug, Default, Clone)]
pub struct Tables {
    /// `processed_events`.
    pub events: Vec<Identity>,
    /// `agg_stats.received`.
    pub received: i64,
    /// `agg_stats.unique_processed` and `.duplicate_dropped`.
    pub total: Counted,
    /// `agg_stats.dead_lettered`.
    pub dead_lettered: i64,
    /// `dead_letters.raw`.
    pub letters: Vec<Vec<u8>>,
    /// `topic_stats`.
    pub topics: BTreeMap<String, Counted>,
    /// `retired_events`, by topic.
    pub retired: BTreeMap<String, i64>,
    /// `ledger_buckets`.
    pub buckets: Buckets,
}

/// How many buckets there were.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    /// All of them.
    pub opened: i64,
    /// Those that were dropped.
    pub dropped: i64,
}

/// What the oracle found. All of it empty: the promise was kept.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Acknowledged, but not stored.
    pub lost: Vec<Identity>,
    /// Stored more than once.
    pub twice: Vec<Identity>,
    /// Every other disagreement, in words.
    pub drift: Vec<String>,
}

impl Tables {
    /// Reads them, in one snapshot.
    pub async fn read(url: &str) -> sqlx::Result<Self> {
        let mut connection = PgConnection::connect(url).await?;
        let mut snapshot = connection
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await?;
        let events = sqlx::query_as("SELECT topic, event_id FROM processed_events");
        let events = events.fetch_all(&mut *snapshot).await?;
        let (received, unique, duplicate, dead_lettered) = sqlx::query_as(
            "SELECT received, unique_processed, duplicate_dropped, dead_lettered FROM agg_stats_total",
        )
        .fetch_one(&mut *snapshot)
        .await?;
        let topics: Vec<(String, i64, i64)> = sqlx::query_as(
            "SELECT topic, unique_processed, duplicate_dropped FROM topic_stats_total",
        )
        .fetch_all(&mut *snapshot)
        .await?;
        let retired =
            sqlx::query_as("SELECT topic, sum(events)::bigint FROM retired_events GROUP BY topic");
        let retired: Vec<(String, i64)> = retired.fetch_all(&mut *snapshot).await?;
        let buckets = "SELECT count(*), count(dropped_at) FROM ledger_buckets";
        let (opened, dropped) = sqlx::query_as(buckets).fetch_one(&mut *snapshot).await?;
        let letters = sqlx::query_scalar("SELECT raw FROM dead_letters");
        let letters = letters.fetch_all(&mut *snapshot).await?;
        let topics = topics
            .into_iter()
            .map(|(topic, unique, duplicate)| (topic, Counted { unique, duplicate }));
        Ok(Self {
            events,
            received,
            total: Counted { unique, duplicate },
            dead_lettered,
            letters,
            topics: topics.collect(),
            retired: retired.into_iter().collect(),
            buckets: Buckets { opened, dropped },
        })
    }
}

/// Compares the three sides, once all that could not be stored at first has been replayed. A ledger that is `forgetting` may have
/// stored an event again, because it had forgotten it; then only the sums must be right.
#[must_use]
pub fn judge(ledger: &Ledger, pushed: &Pushed, tables: &Tables, forgetting: bool) -> Verdict {
    let mut stored = BTreeSet::new();
    let twice: BTreeSet<&Identity> = tables
        .events
        .iter()
        .filter(|event| !stored.insert(*event))
        .collect();
    let lost: BTreeSet<&Identity> = ledger
        .acknowledged
        .iter()
        .filter(|event| !stored.contains(event) && !forgetting)
        .collect();
    Verdict {
        lost: lost.into_iter().cloned().collect(),
        twice: twice.into_iter().cloned().collect(),
        drift: drift(ledger, pushed, tables, forgetting),
    }
}

fn drift(ledger: &Ledger, pushed: &Pushed, tables: &Tables, forgetting: bool) -> Vec<String> {
    let deliveries: u64 = pushed.events.values().sum();
    let strangers = count(pushed.strangers.len());
    let mut said = Differences::default();
    // Redis and the clients: an attempt without an answer may or may not have got there.
    let (least, most) = (ledger.acknowledged_deliveries, ledger.sent_deliveries);
    if !(least..=most).contains(&deliveries) {
        said.0.push(format!(
            "{deliveries} deliveries reached the queue; {least} were acknowledged, {most} sent"
        ));
    }
    for event in ledger
        .acknowledged
        .iter()
        .filter(|e| !pushed.events.contains_key(*e))
    {
        said.0.push(format!(
            "{event:?} was acknowledged, but never reached the queue"
        ));
    }
    for event in tables.events.iter().filter(|e| !ledger.sent.contains(*e)) {
        said.0
            .push(format!("{event:?} is stored, but was never sent"));
    }

    // The counters, exactly as the deliveries in the queue make them.
    let expected = by_topic(pushed.events.iter().map(|(event, times)| (event, *times)));
    let expected_total = sum(&expected);
    said.compare("received", tables.received, signed(deliveries) + strangers);
    if !forgetting {
        said.compare(
            "unique_processed",
            tables.total.unique,
            expected_total.unique,
        );
        said.compare(
            "duplicate_dropped",
            tables.total.duplicate,
            expected_total.duplicate,
        );
    }
    said.compare("dead_lettered", tables.dead_lettered, strangers);
    let sorted = |mut raw: Vec<Vec<u8>>| {
        raw.sort_unstable();
        raw
    };
    if sorted(tables.letters.clone()) != sorted(pushed.strangers.clone()) {
        said.0
            .push("the dead letters are not what was pushed and is no event".to_owned());
    }
    for topic in names(&expected, &tables.topics) {
        let (is, should) = (of(&tables.topics, topic), of(&expected, topic));
        said.compare_topic(topic, is, should, forgetting);
    }

    // The counters and the rows.
    let rows = by_topic(tables.events.iter().map(|event| (event, 1)));
    for topic in names(&rows, &tables.topics) {
        let (counted, stored) = (of(&tables.topics, topic).unique, of(&rows, topic));
        let retired = tables.retired.get(topic).copied().unwrap_or_default();
        let stored = stored.unique + stored.duplicate + retired;
        said.compare(
            &format!("unique_processed of {topic}, by its rows"),
            counted,
            stored,
        );
    }
    said.compare(
        "unique_processed, by the rows",
        tables.total.unique,
        count(tables.events.len()) + tables.retired.values().sum::<i64>(),
    );
    let topics = sum(&tables.topics);
    said.compare(
        "unique_processed, by the topics",
        tables.total.unique,
        topics.unique,
    );
    said.compare(
        "duplicate_dropped, by the topics",
        tables.total.duplicate,
        topics.duplicate,
    );
    let parts = tables.total.unique + tables.total.duplicate + tables.dead_lettered;
    said.compare("received, by its parts", tables.received, parts);
    said.0
}

#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn compare(&mut self, what: &str, is: i64, should: i64) {
        if is != should {
            self.0.push(format!("{what} is {is}, should be {should}"));
        }
    }

    /// A ledger that is `forgetting` may have stored more, and what is not unique is a duplicate all the same.
    fn compare_topic(&mut self, topic: &str, is: Counted, should: Counted, forgetting: bool) {
        let of = |what: &str| format!("{what} of {topic}");
        if !forgetting {
            self.compare(&of("unique_processed"), is.unique, should.unique);
            self.compare(&of("duplicate_dropped"), is.duplicate, should.duplicate);
            return;
        }
        let all = |counted: Counted| counted.unique + counted.duplicate;
        self.compare(&of("deliveries"), all(is), all(should));
        if is.unique < should.unique {
            let (is, should) = (is.unique, should.unique);
            let what = of("unique_processed");
            self.0
                .push(format!("{what} is {is}, should be {should} at least"));
        }
    }
}

fn by_topic<'a>(events: impl Iterator<Item = (&'a Identity, u64)>) -> BTreeMap<String, Counted> {
    let mut seen = BTreeSet::new();
    let mut topics: BTreeMap<String, Counted> = BTreeMap::new();
    for (event, times) in events {
        let counted = topics.entry(event.0.clone()).or_default();
        let new = i64::from(seen.insert(event));
        counted.unique += new;
        counted.duplicate += signed(times) - new;
    }
    topics
}

fn sum(topics: &BTreeMap<String, Counted>) -> Counted {
    topics
        .values()
        .fold(Counted::default(), |sum, topic| Counted {
            unique: sum.unique + topic.unique,
            duplicate: sum.duplicate + topic.duplicate,
        })
}

fn names<'a>(
    a: &'a BTreeMap<String, Counted>,
    b: &'a BTreeMap<String, Counted>,
) -> BTreeSet<&'a String> {
    a.keys().chain(b.keys()).collect()
}

fn of(topics: &BTreeMap<String, Counted>, topic: &str) -> Counted {
    topics.get(topic).copied().unwrap_or_default()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(topic: &str, id: &str) -> Identity {
        (topic.to_owned(), id.to_owned())
    }

    /// Three events in two topics; one of them was delivered twice, one delivery of it unacknowledged.
    fn kept() -> (Ledger, Pushed, Tables) {
        let events = [event("a", "1"), event("a", "2"), event("b", "1")];
        let ledger = Ledger {
            sent: events.iter().cloned().collect(),
            acknowledged: events.iter().cloned().collect(),
            sent_deliveries: 4,
            acknowledged_deliveries: 3,
            ..Ledger::default()
        };
        let pushed = Pushed {
            events: events.iter().cloned().zip([2, 1, 1]).collect(),
            strangers: vec![b"hello".to_vec()],
        };
        let counted = |unique, duplicate| Counted { unique, duplicate };
        let tables = Tables {
            events: events.to_vec(),
            received: 5,
            total: counted(3, 1),
            dead_lettered: 1,
            letters: vec![b"hello".to_vec()],
            topics: [
                ("a".to_owned(), counted(2, 1)),
                ("b".to_owned(), counted(1, 0)),
            ]
            .into(),
            ..Tables::default()
        };
        (ledger, pushed, tables)
    }

    fn verdict(spoil: impl FnOnce(&mut Ledger, &mut Pushed, &mut Tables)) -> Verdict {
        let (mut ledger, mut pushed, mut tables) = kept();
        spoil(&mut ledger, &mut pushed, &mut tables);
        judge(&ledger, &pushed, &tables, false)
    }

    /// The same of a ledger that has forgotten one event, and stored another one again.
    fn verdict_of_forgetting(spoil: impl FnOnce(&mut Tables)) -> Verdict {
        let (ledger, pushed, mut tables) = kept();
        tables.events = vec![event("a", "1")];
        tables.retired = [("a".to_owned(), 2), ("b".to_owned(), 1)].into();
        tables.total = Counted {
            unique: 4,
            duplicate: 0,
        };
        let counted = Counted {
            unique: 3,
            duplicate: 0,
        };
        tables.topics.insert("a".to_owned(), counted);
        spoil(&mut tables);
        judge(&ledger, &pushed, &tables, true)
    }

    #[test]
    fn a_ledger_that_forgets_may_store_again_what_it_has_forgotten_and_loses_no_count() {
        assert_eq!(verdict_of_forgetting(|_| {}), Verdict::default());
        let lost = verdict_of_forgetting(|tables| {
            tables.retired.insert("b".to_owned(), 0);
        });
        assert!(
            has(&lost, "of b, by its rows is 1, should be 0"),
            "{lost:?}"
        );
        let fewer = verdict_of_forgetting(|tables| {
            let counted = Counted {
                unique: 1,
                duplicate: 2,
            };
            tables.topics.insert("a".to_owned(), counted);
        });
        assert!(has(&fewer, "of a is 1, should be 2 at least"), "{fewer:?}");
        let twice = verdict_of_forgetting(|tables| tables.events.push(event("a", "1")));
        assert_eq!(twice.twice, [event("a", "1")]);
    }

    fn has(verdict: &Verdict, words: &str) -> bool {
        verdict.drift.iter().any(|drift| drift.contains(words))
    }

    #[test]
    fn a_kept_promise_is_seen_as_such() {
        assert_eq!(verdict(|_, _, _| {}), Verdict::default());
    }

    #[test]
    fn a_lost_row_is_found() {
        let verdict = verdict(|_, _, tables| {
            tables.events.pop();
        });
        assert_eq!(verdict.lost, [event("b", "1")]);
        assert!(
            has(&verdict, "of b, by its rows is 1, should be 0"),
            "{verdict:?}"
        );
    }

    #[test]
    fn a_row_stored_twice_is_found() {
        let verdict = verdict(|_, _, tables| tables.events.push(event("a", "1")));
        assert_eq!(verdict.twice, [event("a", "1")]);
        assert!(!verdict.drift.is_empty());
    }

    #[test]
    fn a_claim_that_was_counted_twice_is_found_though_all_tables_agree() {
        let verdict = verdict(|_, _, tables| {
            tables.received += 1;
            tables.total.duplicate += 1;
            tables.topics.get_mut("b").unwrap().duplicate += 1;
        });
        assert!(has(&verdict, "received is 6, should be 5"), "{verdict:?}");
        assert!(
            has(&verdict, "duplicate_dropped of b is 1, should be 0"),
            "{verdict:?}"
        );
        assert!(verdict.lost.is_empty() && verdict.twice.is_empty());
    }

    #[test]
    fn a_duplicate_that_was_never_counted_is_found_though_all_tables_agree() {
        let verdict = verdict(|_, _, tables| {
            tables.received -= 1;
            tables.total.duplicate -= 1;
            tables.topics.get_mut("a").unwrap().duplicate -= 1;
        });
        assert!(has(&verdict, "received is 4, should be 5"), "{verdict:?}");
    }

    #[test]
    fn a_drifted_topic_is_found_though_the_sums_agree() {
        let verdict = verdict(|_, _, tables| {
            tables.topics.get_mut("a").unwrap().unique -= 1;
            tables.topics.get_mut("b").unwrap().unique += 1;
        });
        assert!(
            has(&verdict, "unique_processed of a is 1, should be 2"),
            "{verdict:?}"
        );
        assert!(
            has(&verdict, "of b, by its rows is 2, should be 1"),
            "{verdict:?}"
        );
    }

    #[test]
    fn an_acknowledgement_without_a_push_is_found() {
        let verdict = verdict(|_, pushed, _| {
            pushed.events.remove(&event("b", "1"));
            *pushed.events.get_mut(&event("a", "1")).unwrap() = 1;
        });
        assert!(has(&verdict, "never reached the queue"), "{verdict:?}");
        assert!(
            has(
                &verdict,
                "2 deliveries reached the queue; 3 were acknowledged"
            ),
            "{verdict:?}"
        );
    }

    #[test]
    fn a_dead_letter_that_was_thrown_away_is_found() {
        let verdict = verdict(|_, _, tables| tables.letters.clear());
        assert!(has(&verdict, "the dead letters are not"), "{verdict:?}");
    }

    #[test]
    fn an_event_of_nobodys_and_a_dead_letter_too_many_are_found() {
        let verdict = verdict(|_, _, tables| {
            tables.events.push(event("c", "1"));
            tables.dead_lettered = 2;
        });
        assert!(has(&verdict, "never sent"), "{verdict:?}");
        assert!(
            has(&verdict, "dead_lettered is 2, should be 1"),
            "{verdict:?}"
        );
    }
}
