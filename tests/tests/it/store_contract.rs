//! What every store promises, checked on each, and what only the one in PostgreSQL or in a SQLite
//! file does.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use aggregator::store::Postgres;
use chrono::{DateTime, TimeDelta, Utc};
use common::{
    clock::{Clock, Ids, SystemClock},
    envelope,
    event::{Event, EventTime, Payload, ReceiptId},
    queue::{
        Claim, ClaimId, Malformed,
        Verdict::{self, Accepted, DeadLettered, Duplicate},
        WorkerId,
    },
    store::{
        Cursor, DeadLetter, EventQuery, Limit, Page, Recorded, Selection, Stats, Store, StoreError,
        StoredEvent,
    },
};
use futures_util::future::join_all;
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::SliceRandom};
use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection, raw_sql};
use standalone::store::Sqlite;
use tempfile::TempDir;
use tests::{
    events::{event, events},
    eventually,
    servers::{self, Database},
};
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_secs(10);
/// A store that is away says so within its own bounds, and a little more for a busy machine.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(15);
const WORKERS: u16 = 8;

/// A store under test, and a way past it to its tables.
struct Tested {
    store: Arc<dyn Store>,
    tables: Tables,
}

enum Tables {
    Postgres(Database),
    Sqlite(TempDir),
}

impl Tables {
    async fn postgres() -> Self {
        Self::Postgres(servers::database().await)
    }

    fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    /// A store over them, as another process would open it.
    fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Postgres(database) => {
                Arc::new(Postgres::from_url(database.url(), WORKERS).unwrap())
            }
            Self::Sqlite(folder) => Arc::new(Sqlite::open(&file_url(folder)).unwrap()),
        }
    }

    /// Runs SQL that does not come from the store.
    async fn run(&self, sql: &str) {
        match self {
            Self::Postgres(database) => {
                let mut connection = PgConnection::connect(database.url()).await.unwrap();
                let sql = raw_sql(AssertSqlSafe(sql));
                sql.execute(&mut connection).await.unwrap();
            }
            Self::Sqlite(folder) => {
                let mut connection = SqliteConnection::connect(&file_url(folder)).await.unwrap();
                let sql = raw_sql(AssertSqlSafe(sql));
                sql.execute(&mut connection).await.unwrap();
            }
        }
    }

    async fn dead_letters(&self) -> Vec<(Vec<u8>, String)> {
        const SELECT: &str = "SELECT raw, reason FROM dead_letters ORDER BY id";
        match self {
            Self::Postgres(database) => {
                let mut connection = PgConnection::connect(database.url()).await.unwrap();
                let letters = sqlx::query_as(SELECT).fetch_all(&mut connection);
                letters.await.unwrap()
            }
            Self::Sqlite(folder) => {
                let mut connection = SqliteConnection::connect(&file_url(folder)).await.unwrap();
                let letters = sqlx::query_as(SELECT).fetch_all(&mut connection);
                letters.await.unwrap()
            }
        }
    }

    /// From now on the database refuses events of the topic `refused`.
    async fn refuse(&self) {
        self.run(match self {
            // Reads as jsonb what jsonb does not hold.
            Self::Postgres(_) => {
                r#"
                CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    NEW.payload := '{"a":"\u0000"}'::jsonb;
                    RETURN NEW;
                END $$;
                CREATE TRIGGER refuse BEFORE INSERT ON processed_events
                FOR EACH ROW WHEN (NEW.topic = 'refused') EXECUTE FUNCTION refuse();"#
            }
            Self::Sqlite(_) => {
                "CREATE TRIGGER refuse BEFORE INSERT ON processed_events WHEN NEW.topic = 'refused'
                 BEGIN SELECT RAISE(ABORT, 'refused'); END"
            }
        })
        .await;
    }

    /// Takes back [`Tables::refuse`].
    async fn refuse_no_more(&self) {
        self.run(match self {
            Self::Postgres(_) => "DROP TRIGGER refuse ON processed_events",
            Self::Sqlite(_) => "DROP TRIGGER refuse",
        })
        .await;
    }

    /// From now on the database refuses events of this source.
    async fn refuse_source(&self, source: &str) {
        self.run(&match self {
            Self::Postgres(_) => format!(
                "ALTER TABLE processed_events ADD CONSTRAINT refuse CHECK (source <> '{source}')"
            ),
            Self::Sqlite(_) => format!(
                "CREATE TRIGGER refuse BEFORE INSERT ON processed_events WHEN NEW.source = '{source}'
                 BEGIN SELECT RAISE(ABORT, 'refused'); END"
            ),
        })
        .await;
    }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("new folder/events.db")
}

fn file_url(folder: &TempDir) -> String {
    format!("sqlite://{}", file(folder).display())
}

impl Tested {
    async fn over(tables: Tables) -> Self {
        let store = tables.store();
        store.migrate().await.unwrap();
        Self { store, tables }
    }

    /// The first claim of a worker that is registered.
    async fn worker(&self) -> ClaimId {
        let id = a_worker();
        self.store.register(id.worker).await.unwrap();
        id
    }

    async fn record(&self, id: ClaimId, events: &[Event]) -> Recorded {
        self.store.record(&claim(id, events)).await.unwrap()
    }

    /// Records as a new worker.
    async fn add(&self, events: &[Event]) -> Vec<Verdict> {
        let id = self.worker().await;
        verdicts(self.record(id, events).await)
    }

    /// Records a claim as often as it takes.
    async fn insist(&self, claim: &Claim) -> Vec<Verdict> {
        loop {
            match self.store.record(claim).await {
                Ok(recorded) => return verdicts(recorded),
                Err(StoreError::Unavailable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn stats(&self) -> Stats {
        let stats = self.store.stats().await.unwrap();
        let parts = stats.unique_processed + stats.duplicate_dropped + stats.dead_lettered;
        assert_eq!(stats.received, parts, "{stats:?}");
        let unique: i64 = stats.topics.values().sum();
        assert_eq!(stats.unique_processed, unique, "{stats:?}");
        stats
    }

    /// Unique, duplicate, dead-lettered.
    async fn counters(&self) -> (i64, i64, i64) {
        let stats = self.stats().await;
        (
            stats.unique_processed,
            stats.duplicate_dropped,
            stats.dead_lettered,
        )
    }

    async fn page(&self, limit: u16, after: Option<Cursor>) -> Page<StoredEvent> {
        let limit = Limit::new(limit).unwrap();
        let query = EventQuery {
            limit,
            after,
            ..EventQuery::default()
        };
        self.store.events(&query).await.unwrap()
    }

    async fn letters(&self) -> Vec<DeadLetter> {
        let page = self.store.dead_letters(None, Limit::default()).await;
        page.unwrap().items
    }

    async fn all(&self) -> Vec<StoredEvent> {
        self.page(Limit::MAX, None).await.items
    }

    async fn find(&self, event: &Event) -> Option<StoredEvent> {
        let found = self.store.event(&event.topic, &event.event_id).await;
        found.unwrap()
    }
}

fn a_worker() -> ClaimId {
    ClaimId::first(WorkerId(Ids::default().next(SystemClock.now())))
}

fn claim(id: ClaimId, events: &[Event]) -> Claim {
    Claim {
        id,
        events: events.to_vec().into(),
        malformed: Vec::new(),
    }
}

fn verdicts(recorded: Recorded) -> Vec<Verdict> {
    match recorded {
        Recorded::Committed(verdicts) => verdicts,
        other => panic!("{other:?}"),
    }
}

fn payload(text: &str) -> Payload {
    let value: &RawValue = serde_json::from_str(text).unwrap();
    Payload::try_from(value).unwrap()
}

fn time(text: &str) -> EventTime {
    text.parse().unwrap()
}

fn names(stored: &[StoredEvent]) -> Vec<(&str, &str)> {
    let names = stored.iter().map(|event| (&*event.topic, &*event.event_id));
    names.collect()
}

fn topics<const N: usize>(topics: [(&str, i64); N]) -> BTreeMap<String, i64> {
    topics
        .into_iter()
        .map(|(topic, count)| (topic.to_owned(), count))
        .collect()
}

macro_rules! contract {
    ($($case:ident),* $(,)?) => {
        mod postgres {
            use super::{Tables, Tested};
            $(#[tokio::test]
            async fn $case() {
                super::$case(Tested::over(Tables::postgres().await).await).await;
            })*
        }
        mod sqlite {
            use super::{Tables, Tested};
            $(#[tokio::test]
            async fn $case() {
                super::$case(Tested::over(Tables::sqlite()).await).await;
            })*
        }
    };
}

contract![
    a_fresh_store_has_counted_nothing,
    each_identity_is_stored_once_and_every_delivery_is_counted,
    the_first_one_stored_wins,
    a_claim_counts_once,
    a_claim_brought_by_two_at_once_counts_once,
    an_unknown_worker_stores_nothing,
    a_claim_without_events_is_a_claim_too,
    what_is_no_event_becomes_a_dead_letter,
    names_come_back_as_sent_and_are_told_apart_by_bytes,
    payloads_come_back_as_sent,
    times_come_back_as_sent,
    what_the_database_refuses_is_put_aside_and_the_rest_is_stored,
    if_the_first_delivery_is_refused_a_later_one_counts,
    what_a_trigger_drops_is_neither_unique_nor_a_duplicate_but_a_dead_letter,
    a_trigger_that_keeps_counters_from_counting_stops_the_commit,
    replayed_letters_move_from_one_counter_to_the_other_once,
    a_dry_run_of_a_replay_changes_nothing,
    a_discarded_letter_stays_counted,
    an_audit_sees_drift,
    a_forgotten_worker_can_commit_no_more,
    concurrent_workers_with_the_same_events_count_exactly,
    counters_add_up_in_every_snapshot_while_workers_write,
    pages_show_each_event_once_with_every_filter_and_limit,
    a_reader_that_follows_the_writers_misses_nothing,
    many_may_migrate_at_once_and_again,
    tables_of_another_version_are_told,
    a_closed_store_is_unavailable,
];

async fn a_fresh_store_has_counted_nothing(tested: Tested) {
    tested.store.probe().await.unwrap();
    let stats = tested.stats().await;
    assert_eq!(stats.received, 0);
    assert_eq!(tested.counters().await, (0, 0, 0));
    assert!(stats.topics.is_empty());
    assert!((Utc::now() - stats.uptime_start).abs() < TimeDelta::minutes(1));
    let page = tested.page(1, None).await;
    assert!(page.items.is_empty() && page.next.is_none());
    assert!(tested.find(&event("a", "1")).await.is_none());
}

async fn each_identity_is_stored_once_and_every_delivery_is_counted(tested: Tested) {
    let id = tested.worker().await;
    let batch = [
        event("b", "1"),
        event("a", "2"),
        event("a", "1"),
        event("a", "2"),
        event("b", "1"),
    ];
    let recorded = tested.record(id, &batch).await;
    let expected = [Accepted, Accepted, Accepted, Duplicate, Duplicate];
    assert_eq!(verdicts(recorded), expected);
    assert_eq!(tested.counters().await, (3, 2, 0));

    let batch = [event("b", "1"), event("c", "1"), event("a", "1")];
    let recorded = tested.record(id.next(), &batch).await;
    assert_eq!(verdicts(recorded), [Duplicate, Accepted, Duplicate]);
    let stats = tested.stats().await;
    assert_eq!(stats.received, 8);
    assert_eq!(tested.counters().await, (4, 4, 0));
    assert_eq!(stats.topics, topics([("a", 2), ("b", 1), ("c", 1)]));
    let stored: HashSet<_> = names(&tested.all().await)
        .into_iter()
        .map(|(topic, id)| format!("{topic}/{id}"))
        .collect();
    assert_eq!(
        stored,
        ["a/1", "a/2", "b/1", "c/1"].map(str::to_owned).into()
    );
}

async fn the_first_one_stored_wins(tested: Tested) {
    let version = |n: u32| Event {
        source: format!("source {n}").try_into().unwrap(),
        timestamp: time(&format!("2026-01-01T00:00:0{n}Z")),
        payload: payload(&format!(r#"{{"n":{n}}}"#)),
        ..event("a", "1")
    };
    assert_eq!(
        tested.add(&[version(1), version(2)]).await,
        [Accepted, Duplicate]
    );
    assert_eq!(tested.add(&[version(3)]).await, [Duplicate]);

    let stored = tested.find(&version(1)).await.unwrap();
    assert_eq!(stored.source, "source 1");
    assert_eq!(stored.timestamp, version(1).timestamp);
    assert_eq!(stored.payload.get().replace(' ', ""), r#"{"n":1}"#);
}

async fn a_claim_counts_once(tested: Tested) {
    let id = tested.worker().await;
    let second = id.next();
    let fourth = second.next().next();
    assert_eq!(
        tested.record(second, &[event("a", "1")]).await,
        Recorded::Committed(vec![Accepted])
    );
    for (again, what) in [(second, "the same"), (id, "a lower one")] {
        let recorded = tested.record(again, &[event("a", what)]).await;
        assert_eq!(recorded, Recorded::AlreadyCommitted, "{what}");
    }
    // Registering again does not forget what is committed.
    tested.store.register(id.worker).await.unwrap();
    let recorded = tested.record(second, &[event("a", "2")]).await;
    assert_eq!(recorded, Recorded::AlreadyCommitted);
    assert_eq!(tested.counters().await, (1, 0, 0));

    let recorded = tested.record(fourth, &[event("a", "1")]).await;
    assert_eq!(verdicts(recorded), [Duplicate]);
    assert_eq!(tested.counters().await, (1, 1, 0));
    assert_eq!(names(&tested.all().await), [("a", "1")]);
}

async fn a_claim_brought_by_two_at_once_counts_once(tested: Tested) {
    let mut id = tested.worker().await;
    for round in 1..=20 {
        let claim = claim(id, &events(&format!("round {round}"), 10));
        let (owner, adopter) = (tested.store.record(&claim), tested.store.record(&claim));
        let (owner, adopter) = tokio::join!(owner, adopter);
        let once = match (owner.unwrap(), adopter.unwrap()) {
            (Recorded::Committed(verdicts), Recorded::AlreadyCommitted)
            | (Recorded::AlreadyCommitted, Recorded::Committed(verdicts)) => verdicts,
            other => panic!("{other:?}"),
        };
        assert_eq!(once, [Accepted; 10]);
        assert_eq!(tested.counters().await, (10 * round, 0, 0));
        id = id.next();
    }
}

async fn an_unknown_worker_stores_nothing(tested: Tested) {
    tested.worker().await;
    let unknown = a_worker();
    for id in [unknown, unknown.next()] {
        let recorded = tested.record(id, &[event("a", "1")]).await;
        assert_eq!(recorded, Recorded::UnknownWorker);
    }
    assert_eq!(tested.counters().await, (0, 0, 0));
    assert!(tested.all().await.is_empty());

    // A worker whose row was removed stays out, until it registers as it would anew.
    let id = tested.worker().await;
    tested.tables.run("DELETE FROM worker_claims").await;
    let recorded = tested.record(id, &[event("a", "1")]).await;
    assert_eq!(recorded, Recorded::UnknownWorker);
    assert_eq!(tested.counters().await, (0, 0, 0));
}

async fn a_claim_without_events_is_a_claim_too(tested: Tested) {
    let id = tested.worker().await;
    let recorded = tested.record(id, &[]).await;
    assert_eq!(recorded, Recorded::Committed(vec![]));
    let recorded = tested.record(id, &[event("a", "1")]).await;
    assert_eq!(recorded, Recorded::AlreadyCommitted);
    assert_eq!(tested.counters().await, (0, 0, 0));
}

async fn what_is_no_event_becomes_a_dead_letter(tested: Tested) {
    let elements: [&[u8]; 4] = [
        b"hello",
        b"\xff\x00",
        b"",
        // Its reason repeats a character that PostgreSQL's text does not hold.
        br#"{"v":1,"receipt_id":"\u0000","topic":"t","event_id":"e","timestamp":"","source":"","payload":{}}"#,
    ];
    let malformed: Vec<Malformed> = elements
        .iter()
        .map(|element| envelope::decode(*element).unwrap_err())
        .collect();
    let reasons: Vec<String> = malformed
        .iter()
        .map(|letter| letter.reason.clone())
        .collect();
    assert!(reasons[3].contains('\0'), "{reasons:?}");
    let claim = Claim {
        malformed,
        ..claim(tested.worker().await, &[event("a", "1"), event("a", "1")])
    };

    let recorded = tested.store.record(&claim).await.unwrap();
    assert_eq!(verdicts(recorded), [Accepted, Duplicate]);
    let again = tested.store.record(&claim).await.unwrap();
    assert_eq!(again, Recorded::AlreadyCommitted);

    assert_eq!(tested.counters().await, (1, 1, 4));
    let letters = tested.tables.dead_letters().await;
    assert_eq!(letters.len(), elements.len());
    for (letter, (element, reason)) in letters.iter().zip(elements.iter().zip(&reasons)) {
        assert_eq!(letter.0, *element);
        let expected = match tested.tables {
            Tables::Postgres(_) => reason.replace('\0', "\u{fffd}"),
            Tables::Sqlite(_) => reason.clone(),
        };
        assert_eq!(letter.1, expected);
    }
}

async fn names_come_back_as_sent_and_are_told_apart_by_bytes(tested: Tested) {
    let longest = "é".repeat(127) + "x";
    assert_eq!(longest.len(), 255);
    let names = [
        "logs/apache",
        "a",
        "A",
        "a ",
        " a",
        "\u{e9}",
        "e\u{301}",
        "🦀 \"quoted\" 'single' \\ % _ ; -- $1 ?1 {},",
        "NULL",
        "\u{10ffff}",
        "\u{200d}",
        "ß",
        "ss",
        &longest,
    ];
    let sent: Vec<Event> = names
        .iter()
        .flat_map(|topic| names.iter().map(move |id| (topic, id)))
        .map(|(topic, id)| Event {
            source: (*topic).try_into().unwrap(),
            ..event(topic, id)
        })
        .collect();
    assert_eq!(tested.add(&sent).await, vec![Accepted; sent.len()]);
    assert_eq!(tested.add(&sent).await, vec![Duplicate; sent.len()]);

    for sent in &sent {
        let stored = tested.find(sent).await.unwrap();
        assert_eq!((&*stored.topic, &*stored.event_id), sent.key());
        assert_eq!(stored.source, sent.source.as_str());
    }
    let expected = names.map(|topic| (topic, i64::try_from(names.len()).unwrap()));
    assert_eq!(tested.stats().await.topics, topics(expected));
}

async fn payloads_come_back_as_sent(tested: Tested) {
    let nested = format!("{}1{}", "[".repeat(126), "]".repeat(126));
    let deep = format!(r#"{{"a":{nested}}}"#);
    let deep_in_postgres = format!(r#"{{"a": {nested}}}"#);
    let long = format!(r#"{{"a":"{}"}}"#, "🦀\\n\\\"".repeat(20_000));
    let long_in_postgres = long.replace(':', ": ");
    let huge = format!(r#"{{"n":1e{}}}"#, 1000);
    let huge_in_postgres = format!(r#"{{"n": 1{}}}"#, "0".repeat(1000));
    // What jsonb makes of each: another text of the same value. SQLite keeps the text.
    let cases = [
        ("{}", "{}"),
        ("{ \"b\" : [ ] ,\n\"a\":null }", r#"{"a": null, "b": []}"#),
        (
            r#"{"é":"\u00e9\/\ud83e\udd80🦀 'x' \\ \t","":true}"#,
            r#"{"": true, "é": "é/🦀🦀 'x' \\ \t"}"#,
        ),
        (r#"{"n":1e2}"#, r#"{"n": 100}"#),
        (r#"{"n":1.50}"#, r#"{"n": 1.50}"#),
        (r#"{"n":-0.0e+5}"#, r#"{"n": 0}"#),
        (
            r#"{"n":12345678901234567890123456789.000000001}"#,
            r#"{"n": 12345678901234567890123456789.000000001}"#,
        ),
        (&huge, &huge_in_postgres),
        (&deep, &deep_in_postgres),
        (&long, &long_in_postgres),
    ];
    let sent: Vec<Event> = cases
        .iter()
        .enumerate()
        .map(|(n, (text, _))| Event {
            payload: payload(text),
            ..event("payloads", &n.to_string())
        })
        .collect();
    tested.add(&sent).await;

    for (event, (as_sent, in_postgres)) in sent.iter().zip(cases) {
        let stored = tested.find(event).await.unwrap();
        let expected = match tested.tables {
            Tables::Postgres(_) => in_postgres,
            Tables::Sqlite(_) => as_sent,
        };
        assert_eq!(stored.payload.get(), expected);
    }
}

async fn times_come_back_as_sent(tested: Tested) {
    let accepted: DateTime<Utc> = "2026-03-04T05:06:07.089Z".parse().unwrap();
    let sent = [
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "2026-01-31T12:30:00.000001+02:00",
        "9999-12-31T23:59:59.999999Z",
    ]
    .map(|text| Event {
        receipt_id: ReceiptId(Ids::default().next(accepted)),
        timestamp: time(text),
        ..event("times", text)
    });
    let tolerance = TimeDelta::seconds(1);
    let earliest = EventTime::from(Utc::now() - tolerance);
    tested.add(&sent).await;
    let latest = EventTime::from(Utc::now() + tolerance);

    for event in &sent {
        let stored = tested.find(event).await.unwrap();
        assert_eq!(stored.timestamp, event.timestamp);
        assert_eq!(stored.received_at, EventTime::from(accepted));
        assert!((earliest..=latest).contains(&stored.processed_at));
    }
}

async fn what_the_database_refuses_is_put_aside_and_the_rest_is_stored(tested: Tested) {
    tested.tables.refuse().await;
    let id = tested.worker().await;
    let mut batch = events("good", 20);
    batch.insert(7, event("refused", "1"));
    batch.push(event("refused", "2"));
    let claimed = Claim {
        malformed: vec![envelope::decode(b"hello").unwrap_err()],
        ..claim(id, &batch)
    };
    let recorded = verdicts(tested.store.record(&claimed).await.unwrap());
    let expected = |event: &Event| match event.topic.as_str() {
        "refused" => DeadLettered,
        _ => Accepted,
    };
    assert_eq!(recorded, batch.iter().map(expected).collect::<Vec<_>>());
    assert_eq!(tested.counters().await, (20, 0, 3));
    assert_eq!(tested.all().await.len(), 20);

    let letters = tested.letters().await;
    assert_eq!(letters.len(), 3);
    assert_eq!(envelope::decode(&letters[0].raw).unwrap(), batch[7]);
    assert_eq!(letters[0].receipt_id, Some(batch[7].receipt_id.0));
    assert!(letters[0].reason.contains("code") || letters[0].reason.contains("SQLSTATE 22"));
    assert_eq!(letters[2].raw, b"hello");
    assert!(tested.store.audit().await.unwrap().is_exact());
    let again = tested.store.record(&claimed).await.unwrap();
    assert_eq!(again, Recorded::AlreadyCommitted);
}

async fn if_the_first_delivery_is_refused_a_later_one_counts(tested: Tested) {
    tested.tables.refuse_source("bad").await;
    let id = tested.worker().await;
    let mut bad = event("t", "1");
    bad.source = "bad".try_into().unwrap();
    let batch = [bad, event("t", "1"), event("t", "1")];
    let recorded = verdicts(tested.store.record(&claim(id, &batch)).await.unwrap());
    assert_eq!(recorded, [DeadLettered, Accepted, Duplicate]);
    assert_eq!(tested.counters().await, (1, 1, 1));
    assert!(tested.store.audit().await.unwrap().is_exact());
}

async fn what_a_trigger_drops_is_neither_unique_nor_a_duplicate_but_a_dead_letter(tested: Tested) {
    tested
        .tables
        .run(match tested.tables {
            Tables::Postgres(_) => {
                "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                     RETURN NULL;
                 END $$;
                 CREATE TRIGGER swallow BEFORE INSERT ON processed_events
                 FOR EACH ROW WHEN (NEW.topic = 'swallowed') EXECUTE FUNCTION swallow();"
            }
            Tables::Sqlite(_) => {
                "CREATE TRIGGER swallow BEFORE INSERT ON processed_events
                 WHEN NEW.topic = 'swallowed' BEGIN SELECT RAISE(IGNORE); END"
            }
        })
        .await;
    let id = tested.worker().await;
    tested.record(id, &[event("a", "1")]).await;
    let batch = [
        event("a", "1"),
        event("swallowed", "1"),
        event("a", "2"),
        event("swallowed", "1"),
    ];
    let recorded = verdicts(tested.record(id.next(), &batch).await);
    assert_eq!(recorded, [Duplicate, DeadLettered, Accepted, DeadLettered]);
    assert_eq!(tested.counters().await, (2, 1, 2));
    assert!(tested.store.audit().await.unwrap().is_exact());
    let reason = &tested.letters().await[0].reason;
    assert!(reason.contains("trigger"), "{reason}");

    let replay = async || {
        let replayed = tested.store.replay(&Selection::After(None), false).await;
        let replayed = replayed.unwrap();
        (
            replayed.accepted,
            replayed.duplicates,
            replayed.refused.len(),
        )
    };
    assert_eq!(replay().await, (0, 0, 2), "the trigger is still there");
    tested
        .tables
        .run(match tested.tables {
            Tables::Postgres(_) => "DROP TRIGGER swallow ON processed_events",
            Tables::Sqlite(_) => "DROP TRIGGER swallow",
        })
        .await;
    assert_eq!(replay().await, (1, 1, 0));
    assert_eq!(tested.counters().await, (3, 2, 0));
    assert!(tested.store.audit().await.unwrap().is_exact());
}

async fn a_trigger_that_keeps_counters_from_counting_stops_the_commit(tested: Tested) {
    for (table, change) in [
        ("agg_stats", "UPDATE"),
        ("topic_stats", "INSERT"),
        ("dead_letters", "INSERT"),
    ] {
        tested
            .tables
            .run(&match tested.tables {
                Tables::Postgres(_) => format!(
                    "CREATE OR REPLACE FUNCTION keep_out() RETURNS trigger LANGUAGE plpgsql
                     AS $$ BEGIN RETURN NULL; END $$;
                     CREATE TRIGGER keep_out BEFORE {change} ON {table}
                     FOR EACH ROW EXECUTE FUNCTION keep_out();"
                ),
                Tables::Sqlite(_) => format!(
                    "CREATE TRIGGER keep_out BEFORE {change} ON {table}
                     BEGIN SELECT RAISE(IGNORE); END"
                ),
            })
            .await;
        let before = tested.counters().await;
        let claim = Claim {
            malformed: vec![envelope::decode(b"hello").unwrap_err()],
            ..claim(tested.worker().await, &[event(table, "1")])
        };
        let error = tested.store.record(&claim).await.unwrap_err();
        assert!(matches!(error, StoreError::Schema(_)), "{table}: {error:?}");
        assert!(error.to_string().contains(table), "{error}");
        assert_eq!(tested.counters().await, before);
        assert!(tested.find(&event(table, "1")).await.is_none());

        tested
            .tables
            .run(&match tested.tables {
                Tables::Postgres(_) => format!("DROP TRIGGER keep_out ON {table}"),
                Tables::Sqlite(_) => "DROP TRIGGER keep_out".to_owned(),
            })
            .await;
        let recorded = tested.store.record(&claim).await.unwrap();
        assert_eq!(verdicts(recorded), [Accepted]);
        assert!(tested.store.audit().await.unwrap().is_exact());
    }
}

/// A store with two dead letters that can be stored now, one of them a duplicate, and one that
/// never can.
async fn with_letters(tested: &Tested) -> Vec<i64> {
    tested.tables.refuse().await;
    let id = tested.worker().await;
    let claimed = Claim {
        malformed: vec![envelope::decode(b"hello").unwrap_err()],
        ..claim(
            id,
            &[
                event("refused", "1"),
                event("refused", "2"),
                event("a", "1"),
            ],
        )
    };
    tested.store.record(&claimed).await.unwrap();
    tested.tables.refuse_no_more().await;
    tested.record(id.next(), &[event("refused", "2")]).await;
    assert_eq!(tested.counters().await, (2, 0, 3));
    tested
        .letters()
        .await
        .iter()
        .map(|letter| letter.id)
        .collect()
}

async fn replayed_letters_move_from_one_counter_to_the_other_once(tested: Tested) {
    let ids = with_letters(&tested).await;
    let replayed = tested
        .store
        .replay(&Selection::After(None), false)
        .await
        .unwrap();
    assert_eq!((replayed.accepted, replayed.duplicates), (1, 1));
    assert_eq!(replayed.refused.len(), 1);
    assert_eq!(replayed.refused[0].0, ids[2]);
    assert_eq!(tested.counters().await, (3, 1, 1));
    assert!(tested.store.audit().await.unwrap().is_exact());

    let again = tested
        .store
        .replay(&Selection::Ids(ids), false)
        .await
        .unwrap();
    assert_eq!(
        (again.accepted, again.duplicates, again.refused.len()),
        (0, 0, 1)
    );
    assert_eq!(tested.counters().await, (3, 1, 1));
}

async fn a_dry_run_of_a_replay_changes_nothing(tested: Tested) {
    let ids = with_letters(&tested).await;
    let dry = tested
        .store
        .replay(&Selection::Ids(ids.clone()), true)
        .await
        .unwrap();
    assert_eq!((dry.accepted, dry.duplicates, dry.refused.len()), (1, 1, 1));
    assert_eq!(tested.counters().await, (2, 0, 3));
    assert_eq!(tested.letters().await.len(), ids.len());
}

async fn a_discarded_letter_stays_counted(tested: Tested) {
    let ids = with_letters(&tested).await;
    assert!(tested.store.discard(ids[0]).await.unwrap());
    assert!(!tested.store.discard(ids[0]).await.unwrap());
    assert!(!tested.store.discard(i64::MAX).await.unwrap());
    assert_eq!(tested.letters().await.len(), ids.len() - 1);
    assert_eq!(tested.counters().await, (2, 0, 3));
    assert!(tested.store.audit().await.unwrap().is_exact());
    let replayed = tested
        .store
        .replay(&Selection::Ids(ids), false)
        .await
        .unwrap();
    assert_eq!(replayed.accepted, 0, "it cannot be replayed any more");
}

async fn an_audit_sees_drift(tested: Tested) {
    let id = tested.worker().await;
    tested
        .record(id, &[event("a", "1"), event("a", "1"), event("b", "1")])
        .await;
    assert!(tested.store.audit().await.unwrap().is_exact());
    tested
        .tables
        .run("DELETE FROM processed_events WHERE topic = 'b'")
        .await;
    let audit = tested.store.audit().await.unwrap();
    let drifted: Vec<_> = audit
        .lines
        .iter()
        .filter(|line| line.counter != line.rows)
        .collect();
    assert_eq!(drifted.len(), 2, "the total and the topic: {audit}");
}

async fn a_forgotten_worker_can_commit_no_more(tested: Tested) {
    let (gone, active) = (tested.worker().await, tested.worker().await);
    tested.record(gone, &[event("a", "1")]).await;
    // SQLite's store tells times in milliseconds.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let idle = tested.store.idle_workers(Duration::ZERO).await.unwrap();
    assert_eq!(idle.len(), 2);
    tokio::time::sleep(Duration::from_millis(5)).await;
    // One commits after it was seen idle.
    tested.record(active, &[event("a", "2")]).await;
    assert_eq!(tested.store.forget_workers(&idle).await.unwrap(), 1);
    let late = tested
        .store
        .record(&claim(gone.next(), &[event("a", "3")]))
        .await;
    assert_eq!(late.unwrap(), Recorded::UnknownWorker);
    tested.record(active.next(), &[event("a", "3")]).await;
    assert_eq!(tested.counters().await, (3, 0, 0));
    let long_idle = tested.store.idle_workers(Duration::from_hours(1)).await;
    assert!(long_idle.unwrap().is_empty());
}

const ROUNDS: usize = 25;
const BATCH: usize = 40;
const UNIVERSE: usize = 300;

/// What one worker will record: batches of events that others record too.
fn overlapping(seed: u64) -> Vec<Vec<Event>> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut batch = || {
        let mut batch: Vec<Event> = (0..BATCH)
            .map(|_| rng.random_range(0..UNIVERSE))
            .map(|n| event(&format!("topic {}", n % 7), &n.to_string()))
            .collect();
        batch.shuffle(&mut rng);
        batch
    };
    (0..ROUNDS).map(|_| batch()).collect()
}

/// Records the batches one after the other; tells what was accepted.
async fn work(tested: &Tested, batches: Vec<Vec<Event>>) -> Vec<(String, String)> {
    let mut accepted = Vec::new();
    let mut id = tested.worker().await;
    for batch in batches {
        let verdicts = tested.insist(&claim(id, &batch)).await;
        let new = batch.iter().zip(verdicts);
        let new = new.filter(|(_, verdict)| *verdict == Accepted);
        accepted
            .extend(new.map(|(event, _)| (event.topic.to_string(), event.event_id.to_string())));
        id = id.next();
    }
    accepted
}

async fn concurrent_workers_with_the_same_events_count_exactly(tested: Tested) {
    let workers: Vec<_> = (0..u64::from(WORKERS)).map(overlapping).collect();
    let sent: usize = workers.iter().flatten().map(Vec::len).sum();
    let different: HashSet<(String, String)> = workers
        .iter()
        .flatten()
        .flatten()
        .map(|event| (event.topic.to_string(), event.event_id.to_string()))
        .collect();

    let working = workers.into_iter().map(|batches| work(&tested, batches));
    let accepted: Vec<_> = join_all(working).await.into_iter().flatten().collect();

    assert_eq!(accepted.len(), different.len(), "none accepted twice");
    assert_eq!(accepted.into_iter().collect::<HashSet<_>>(), different);
    let unique = i64::try_from(different.len()).unwrap();
    let sent = i64::try_from(sent).unwrap();
    assert_eq!(tested.counters().await, (unique, sent - unique, 0));
    let stored = tested.all().await;
    let stored: HashSet<_> = stored
        .into_iter()
        .map(|event| (event.topic, event.event_id))
        .collect();
    assert_eq!(stored, different);
}

/// How far those who write are, and whether the one who reads has seen some of it.
#[derive(Default)]
struct Progress {
    seen: AtomicBool,
    done: AtomicBool,
}

/// Writes, one worker for each list of batches. Halfway it waits until something was seen, so that it
/// is certain that one reads while others write.
async fn write(tested: &Tested, workers: Vec<Vec<Vec<Event>>>, progress: &Progress) {
    let halves = workers.into_iter().map(|mut batches| {
        let second = batches.split_off(batches.len() / 2);
        (batches, second)
    });
    let (first, second): (Vec<_>, Vec<_>) = halves.unzip();
    join_all(first.into_iter().map(|batches| work(tested, batches))).await;
    eventually("the reader has caught up", SOON, async || {
        progress.seen.load(Ordering::SeqCst)
    })
    .await;
    join_all(second.into_iter().map(|batches| work(tested, batches))).await;
    progress.done.store(true, Ordering::SeqCst);
}

async fn counters_add_up_in_every_snapshot_while_workers_write(tested: Tested) {
    let progress = Progress::default();
    let workers: Vec<_> = (0..4).map(overlapping).collect();
    let reading = async {
        let mut seen = Vec::new();
        while !progress.done.load(Ordering::SeqCst) {
            // Checks that they add up.
            let received = tested.stats().await.received;
            progress.seen.fetch_or(received > 0, Ordering::SeqCst);
            seen.push(received);
        }
        seen
    };
    let ((), seen) = tokio::join!(write(&tested, workers, &progress), reading);
    assert!(seen.is_sorted());
    let sent = i64::try_from(4 * ROUNDS * BATCH).unwrap();
    assert_eq!(tested.stats().await.received, sent);
}

async fn pages_show_each_event_once_with_every_filter_and_limit(tested: Tested) {
    let sent: Vec<Event> = (0..30)
        .map(|n| Event {
            source: ["s", "t"][n % 2].try_into().unwrap(),
            // Not in the order in which they are stored.
            timestamp: time(&format!("2026-01-01T00:00:{:02}Z", n * 7 % 30)),
            ..event(["a", "b", "c"][n % 3], &n.to_string())
        })
        .collect();
    for batch in sent.chunks(8) {
        tested.add(batch).await;
    }
    let all = tested.all().await;
    assert_eq!(all.len(), sent.len());
    assert!(all.is_sorted_by(|one, next| one.id < next.id));

    let topics = [None, Some("a"), Some("none")];
    let sources = [None, Some("t")];
    let times = [
        None,
        Some("2026-01-01T00:00:07Z"),
        Some("2026-01-01T00:00:20Z"),
    ];
    let mut queries = Vec::new();
    for topic in topics {
        for source in sources {
            for since in times {
                for until in times {
                    queries.push(EventQuery {
                        topic: topic.map(|topic| topic.try_into().unwrap()),
                        source: source.map(|source| source.try_into().unwrap()),
                        since: since.map(time),
                        until: until.map(time),
                        ..EventQuery::default()
                    });
                }
            }
        }
    }
    for query in queries {
        let expected: Vec<i64> = all
            .iter()
            .filter(|event| {
                query
                    .topic
                    .as_ref()
                    .is_none_or(|topic| topic.as_str() == event.topic)
                    && query
                        .source
                        .as_ref()
                        .is_none_or(|source| source.as_str() == event.source)
                    && query.since.is_none_or(|since| event.timestamp >= since)
                    && query.until.is_none_or(|until| event.timestamp < until)
            })
            .map(|event| event.id)
            .collect();
        for limit in [1, 2, 7, 10, 30, Limit::MAX] {
            let pages = walk(&tested, &query, limit).await;
            assert_eq!(pages.concat(), expected, "{query:?} by {limit}");
            let full = expected.len().div_ceil(limit.into()).max(1);
            assert_eq!(
                pages.len(),
                full,
                "no page that is empty: {query:?} by {limit}"
            );
        }
    }
}

/// More than any walk here takes.
const MOST_PAGES: usize = 100;

/// The ids on each page to the end.
async fn walk(tested: &Tested, query: &EventQuery, limit: u16) -> Vec<Vec<i64>> {
    let mut query = EventQuery {
        limit: Limit::new(limit).unwrap(),
        ..query.clone()
    };
    let mut pages = Vec::new();
    loop {
        let page = tested.store.events(&query).await.unwrap();
        assert!(page.items.len() <= usize::from(limit));
        assert!(pages.len() < MOST_PAGES, "it comes to an end");
        pages.push(page.items.iter().map(|event| event.id).collect());
        match page.next {
            Some(next) => query.after = Some(next),
            None => return pages,
        }
    }
}

async fn a_reader_that_follows_the_writers_misses_nothing(tested: Tested) {
    let progress = Progress::default();
    let writer = |n: usize| {
        // Of different sizes, so that they take differently long.
        let size = |round: usize| 1 + (n * 31 + round * 7) % 60;
        let batch = |round| events(&format!("writer {n} round {round}"), size(round));
        (0..ROUNDS).map(batch).collect::<Vec<_>>()
    };
    let writers: Vec<_> = (0..6).map(writer).collect();
    let sent: HashSet<_> = writers
        .iter()
        .flatten()
        .flatten()
        .map(|event| (event.topic.to_string(), event.event_id.to_string()))
        .collect();
    let reading = async {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let last_look = progress.done.load(Ordering::SeqCst);
            let page = tested.page(50, after).await;
            let last_page = page.next.is_none();
            let last = page.items.last();
            after = last.map(|event| Cursor { id: event.id }).or(after);
            seen.extend(page.items);
            let caught_up = last_page && !seen.is_empty();
            progress.seen.fetch_or(caught_up, Ordering::SeqCst);
            if last_look && last_page {
                return seen;
            }
            assert!(seen.len() <= sent.len(), "nothing twice");
        }
    };
    let ((), seen) = tokio::join!(write(&tested, writers, &progress), reading);
    assert!(seen.is_sorted_by(|one, next| one.id < next.id));
    assert_eq!(seen.len(), sent.len());
    let seen: HashSet<_> = seen
        .into_iter()
        .map(|event| (event.topic, event.event_id))
        .collect();
    assert_eq!(seen, sent);
}

async fn many_may_migrate_at_once_and_again(tested: Tested) {
    for round in 0..5 {
        let tables = match tested.tables {
            Tables::Postgres(_) => Tables::postgres().await,
            Tables::Sqlite(_) => Tables::sqlite(),
        };
        let stores: Vec<_> = (0..4).map(|_| tables.store()).collect();
        let migrating = stores.iter().map(|store| insist_on_tables(&**store));
        for migrated in join_all(migrating).await {
            migrated.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        }
        let again = Tested::over(tables).await;
        assert_eq!(again.add(&[event("a", "1")]).await, [Accepted]);
        again.store.migrate().await.unwrap();
        assert_eq!(again.counters().await, (1, 0, 0));
    }
}

/// SQLite may say at once that a new file is in use: whoever migrates has to try again.
async fn insist_on_tables(store: &dyn Store) -> Result<(), StoreError> {
    let deadline = Instant::now() + SOON;
    loop {
        match store.migrate().await {
            Err(StoreError::Unavailable(_)) if Instant::now() < deadline => {}
            migrated => return migrated,
        }
    }
}

async fn tables_of_another_version_are_told(tested: Tested) {
    tested
        .tables
        .run(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'of the future', true, '', 0)",
        )
        .await;
    let error = tested.store.migrate().await.unwrap_err();
    assert!(matches!(error, StoreError::Schema(_)), "{error:?}");

    tested.tables.run("DROP TABLE agg_stats").await;
    let error = tested.store.stats().await.unwrap_err();
    assert!(matches!(error, StoreError::Schema(_)), "{error:?}");
    let claim = claim(tested.worker().await, &[event("a", "1")]);
    let error = tested.store.record(&claim).await.unwrap_err();
    assert!(matches!(error, StoreError::Schema(_)), "{error:?}");
    assert!(tested.all().await.is_empty());
}

async fn a_closed_store_is_unavailable(tested: Tested) {
    tested.add(&[event("a", "1")]).await;
    tested.store.close().await;
    all_is_unavailable(&*tested.store).await;
    let again = Tested::over(tested.tables).await;
    assert_eq!(again.counters().await, (1, 0, 0));
}

async fn all_is_unavailable(store: &dyn Store) {
    let started = Instant::now();
    let event = event("a", "1");
    let (claim, query) = (
        claim(a_worker(), std::slice::from_ref(&event)),
        EventQuery::default(),
    );
    let failed = tokio::join!(
        async { store.migrate().await.err() },
        async { store.register(claim.id.worker).await.err() },
        async { store.record(&claim).await.err() },
        async { store.stats().await.err() },
        async { store.events(&query).await.err() },
        async { store.event(&event.topic, &event.event_id).await.err() },
        async { store.probe().await.err() },
    );
    let probed = format!("{:?}", failed.6.expect("nothing can be written"));
    assert!(!probed.contains("s3cret"), "{probed}");
    let failed = [failed.0, failed.1, failed.2, failed.3, failed.4, failed.5];
    for failed in failed {
        assert!(
            matches!(failed, Some(StoreError::Unavailable(_))),
            "{failed:?}"
        );
        let shown = format!("{failed:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
    assert!(started.elapsed() < GIVEN_UP_WITHIN);
}

#[tokio::test]
async fn a_postgres_that_is_away_or_silent_is_unavailable() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ports = [&silent, &away].map(|listener| listener.local_addr().unwrap().port());
    drop(away);
    let [silent, away] = ports.map(|port| async move {
        let url = format!("postgres://user:s3cret@127.0.0.1:{port}/database");
        let store = Postgres::from_url(&url, WORKERS).unwrap();
        all_is_unavailable(&store).await;
    });
    tokio::join!(silent, away);
}

#[test]
fn an_address_that_is_none_is_not_repeated() {
    for url in [
        "",
        "s3cret",
        "mysql://user:s3cret@host/database",
        "postgres://user:s3cret@host:port/database",
        "postgres:user:s3cret@host",
    ] {
        let error = Postgres::from_url(url, WORKERS).err().expect(url);
        assert!(!format!("{error} {error:?}").contains("s3cret"));
        let error = Sqlite::open(url).err().expect(url);
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
}

#[tokio::test]
async fn a_page_of_postgres_waits_for_ids_that_are_drawn_but_not_committed() {
    let Tables::Postgres(database) = Tables::postgres().await else {
        unreachable!()
    };
    let mut blocker = PgConnection::connect(database.url()).await.unwrap();
    let tested = Tested::over(Tables::Postgres(database)).await;
    let early = event("slow", "0");
    tested.add(std::slice::from_ref(&early)).await;

    // Counting the topic comes after the ids are drawn: there the slow transaction is held.
    let mut held = blocker.begin().await.unwrap();
    raw_sql("SELECT FROM topic_stats WHERE topic = 'slow' FOR UPDATE")
        .execute(&mut *held)
        .await
        .unwrap();
    let (slow, fast) = (events("slow", 3), events("fast", 3));
    let slow_claim = claim(tested.worker().await, &slow);
    let store = tested.store.clone();
    let recording = tokio::spawn(async move { store.record(&slow_claim).await });
    eventually("the slow transaction waits", SOON, async || {
        let waiting = "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
                       WHERE NOT granted AND datname = current_database())";
        let waiting = sqlx::query_scalar::<_, bool>(waiting).fetch_one(&mut *held);
        waiting.await.unwrap()
    })
    .await;
    tested.add(&fast).await;
    assert!(tested.find(&fast[0]).await.is_some());

    let before = tested.page(10, None).await;
    assert_eq!(names(&before.items), [early.key()], "its ids are lower");
    held.rollback().await.unwrap();
    assert_eq!(verdicts(recording.await.unwrap().unwrap()), [Accepted; 3]);

    let last = before.items.last().map(|event| Cursor { id: event.id });
    let after = tested.page(10, last).await;
    let expected: Vec<_> = slow.iter().chain(&fast).map(Event::key).collect();
    assert_eq!(names(&after.items), expected);
    assert!(after.next.is_none());
}

#[tokio::test]
async fn what_postgres_has_forgotten_behind_a_new_connection_is_stored_again() {
    let tested = Tested::over(Tables::postgres().await).await;
    let stored = events("t", 3);
    assert_eq!(tested.add(&stored).await, [Accepted; 3]);

    // Known without asking: a row that is deleted under a living connection is not missed. The pool may still make a
    // connection, and then all is forgotten once more.
    eventually("they are known without asking", SOON, async || {
        tested.tables.run("DELETE FROM processed_events").await;
        tested.add(&stored).await == [Duplicate; 3]
    })
    .await;

    // As when a replica was promoted that had not received them.
    let disconnect = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let claim = claim(tested.worker().await, &stored);
    tested.tables.run(disconnect).await;
    assert_eq!(tested.insist(&claim).await, [Accepted; 3]);
    assert_eq!(tested.all().await.len(), 3);
}

/// The other's row has an id of the same range as this one's.
#[tokio::test]
async fn what_another_worker_stores_while_postgres_keeps_this_one_waiting_is_its_own() {
    let tested = Tested::over(Tables::postgres().await).await;
    let Tables::Postgres(database) = &tested.tables else {
        unreachable!("asked for");
    };
    let mut holder = PgConnection::connect(database.url()).await.unwrap();
    // Within its transaction the holder would always see the same activity.
    let mut observer = PgConnection::connect(database.url()).await.unwrap();
    let hold = "BEGIN;
        INSERT INTO processed_events
            (topic, event_id, source, payload, event_timestamp, received_at, receipt_id)
        VALUES ('t', 'a', 's', '{}', now(), now(), gen_random_uuid())";
    raw_sql(hold).execute(&mut holder).await.unwrap();

    let batch = [event("t", "a"), event("t", "b")];
    let meanwhile = async {
        eventually("the batch waits for its first key", SOON, async || {
            let waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock')";
            let waiting = sqlx::query_scalar::<_, bool>(waiting)
                .fetch_one(&mut observer)
                .await;
            waiting.unwrap()
        })
        .await;
        assert_eq!(tested.add(&batch[1..]).await, [Accepted]);
        raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    };
    let (verdicts, ()) = tokio::join!(tested.add(&batch), meanwhile);
    assert_eq!(verdicts, [Accepted, Duplicate]);
    assert_eq!(tested.counters().await, (2, 1, 0));
}

#[tokio::test]
async fn an_error_of_postgres_at_the_commit_is_told_from_a_lost_answer() {
    let tested = Tested::over(Tables::postgres().await).await;
    tested
        .tables
        .run(
            "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.topic = 'end' THEN
                     PERFORM pg_terminate_backend(pg_backend_pid());
                 ELSE
                     RAISE EXCEPTION USING ERRCODE = NEW.topic;
                 END IF;
                 RETURN NEW;
             END $$;
             CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON processed_events
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit();",
        )
        .await;
    let id = tested.worker().await;
    let failure = async |topic| {
        let claim = claim(id, &[event(topic, "1")]);
        tested.store.record(&claim).await.unwrap_err()
    };
    let lost = failure("end").await;
    assert!(matches!(lost, StoreError::Uncertain(_)), "{lost:?}");
    let conflict = failure("40001").await;
    assert!(
        matches!(conflict, StoreError::Unavailable(_)),
        "{conflict:?}"
    );
    for code in ["58030", "XX000", "08006", "57P01"] {
        let lost = failure(code).await;
        assert!(matches!(lost, StoreError::Uncertain(_)), "{code}: {lost:?}");
    }

    tested
        .tables
        .run("DROP TRIGGER at_commit ON processed_events")
        .await;
    let recorded = tested.record(id, &[event("end", "1")]).await;
    assert_eq!(verdicts(recorded), [Accepted]);
    assert_eq!(tested.counters().await, (1, 0, 0));
}

/// Raises the SQLSTATE that an event has as its topic, `when` it is inserted or committed.
const RAISE_ITS_TOPIC: &str = r"
    CREATE FUNCTION raise_its_topic() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.topic ~ '^[0-9A-Z]{5}$' THEN
            RAISE EXCEPTION 'made up for a test' USING ERRCODE = NEW.topic;
        END IF;
        RETURN NEW;
    END $$;";
const WHEN_INSERTED: &str = "
    CREATE TRIGGER raise_its_topic BEFORE INSERT ON processed_events
    FOR EACH ROW EXECUTE FUNCTION raise_its_topic();";
const WHEN_COMMITTED: &str = "
    CREATE CONSTRAINT TRIGGER raise_its_topic AFTER INSERT ON processed_events
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION raise_its_topic();";
const RAISE_NO_MORE: &str = "DROP TRIGGER raise_its_topic ON processed_events";

#[tokio::test]
async fn an_error_of_postgres_that_comes_again_with_its_event_is_a_refusal_whatever_its_class() {
    let tested = Tested::over(Tables::postgres().await).await;
    tested.tables.run(RAISE_ITS_TOPIC).await;
    for (trigger, when) in [(WHEN_INSERTED, "insert"), (WHEN_COMMITTED, "commit")] {
        tested.tables.run(trigger).await;
        // Characters the encoding does not have, RAISE EXCEPTION, a function's own, a view's check, another server's, and
        // one that nobody knows; data; and what a trigger meets whose table is missing for this event only.
        for code in [
            "0A000", "P0001", "38001", "44000", "HV000", "ZZ999", "22P05", "23514", "54000",
            "42P01",
        ] {
            let good = events(&format!("good with {code} {when}"), 9);
            let mut batch = good.clone();
            batch.insert(4, event(code, when));
            let mut expected = vec![Accepted; 10];
            expected[4] = DeadLettered;
            assert_eq!(tested.add(&batch).await, expected, "{code}");
            let letters = tested.tables.dead_letters().await;
            let reason = &letters.last().unwrap().1;
            assert!(reason.contains(code), "{reason}");
        }
        let alone = tested
            .add(&[event("P0001", when), event("0A000", when)])
            .await;
        assert_eq!(alone, [DeadLettered; 2]);
        tested.tables.run(RAISE_NO_MORE).await;
    }
    assert_eq!(tested.counters().await, (180, 0, 24));
    let replayed = tested.store.replay(&Selection::After(None), false).await;
    let replayed = replayed.unwrap();
    assert_eq!((replayed.accepted, replayed.duplicates), (20, 4));
    assert_eq!(tested.counters().await, (200, 4, 0));
    assert!(tested.store.audit().await.unwrap().is_exact());
}

#[tokio::test]
async fn no_trouble_of_postgres_itself_turns_an_event_into_a_dead_letter() {
    let tested = Tested::over(Tables::postgres().await).await;
    tested.tables.run(RAISE_ITS_TOPIC).await;
    tested.tables.run(WHEN_INSERTED).await;
    let id = tested.worker().await;
    let failure = async |topic: &str| {
        let mut batch = events("good", 3);
        batch.push(event(topic, "1"));
        tested.store.record(&claim(id, &batch)).await.unwrap_err()
    };
    for code in [
        "08006", "25006", "28000", "40001", "40P01", "53100", "53200", "53300", "55P03", "57014",
        "57P01", "58030", "XX000", "XX001",
    ] {
        let error = failure(code).await;
        assert!(
            matches!(error, StoreError::Unavailable(_)),
            "{code}: {error:?}"
        );
    }
    tested.tables.run(RAISE_NO_MORE).await;
    // Each event meets it: something is missing, and the events are good.
    for fault in [
        "CREATE FUNCTION to_nowhere() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO nowhere VALUES (NEW.topic);
             RETURN NEW;
         END $$;
         CREATE TRIGGER fault BEFORE INSERT ON processed_events
         FOR EACH ROW EXECUTE FUNCTION to_nowhere();",
        // It needs no event to fail.
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             RAISE EXCEPTION 'made up for a test';
         END $$;
         CREATE TRIGGER fault BEFORE INSERT ON processed_events EXECUTE FUNCTION fail();",
    ] {
        tested.tables.run(fault).await;
        let error = failure("good").await;
        let expected = matches!(error, StoreError::Schema(_) | StoreError::Unavailable(_));
        assert!(expected, "{error:?}");
        tested
            .tables
            .run("DROP TRIGGER fault ON processed_events")
            .await;
    }
    assert_eq!(tested.counters().await, (0, 0, 0));
    assert!(tested.letters().await.is_empty());
    let recorded = tested.record(id, &events("good", 3)).await;
    assert_eq!(verdicts(recorded), [Accepted; 3]);
}

#[tokio::test]
async fn what_a_trigger_of_postgres_changes_or_deletes_is_not_counted_as_stored() {
    let tested = Tested::over(Tables::postgres().await).await;
    for (trigger, body) in [
        ("BEFORE", "NEW.topic := 'another'; RETURN NEW;"),
        (
            "BEFORE",
            "NEW.event_id := NEW.event_id || ' changed'; RETURN NEW;",
        ),
        (
            "AFTER",
            "DELETE FROM processed_events WHERE id = NEW.id; RETURN NEW;",
        ),
    ] {
        let sql = format!(
            "CREATE OR REPLACE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql
             AS $$ BEGIN {body} END $$;
             CREATE TRIGGER meddle {trigger} INSERT ON processed_events
             FOR EACH ROW WHEN (NEW.topic = 'meddled') EXECUTE FUNCTION meddle();"
        );
        tested.tables.run(&sql).await;
        let (unique, ..) = tested.counters().await;
        let batch = [event("good", body), event("meddled", body)];
        assert_eq!(tested.add(&batch).await, [Accepted, DeadLettered], "{body}");
        let after = tested.counters().await;
        assert_eq!(after.0, unique + 1, "{body}");
        assert!(tested.store.audit().await.unwrap().is_exact(), "{body}");
        tested
            .tables
            .run("DROP TRIGGER meddle ON processed_events")
            .await;
    }
}

#[tokio::test]
async fn what_was_stored_in_a_table_that_was_made_anew_is_stored_again() {
    let tested = Tested::over(Tables::postgres().await).await;
    let stored = events("t", 3);
    assert_eq!(tested.add(&stored).await, [Accepted; 3]);
    let anew = "
        CREATE TABLE anew (LIKE processed_events INCLUDING ALL);
        DROP TABLE processed_events;
        ALTER TABLE anew RENAME TO processed_events;
        ALTER SEQUENCE anew_id_seq RENAME TO processed_events_id_seq";
    // Over a living connection, which knows them.
    tested.tables.run(anew).await;
    assert_eq!(tested.add(&stored).await, [Accepted; 3]);
}

#[tokio::test]
async fn postgres_tables_in_which_events_would_be_lost_or_miscounted_are_refused_at_start() {
    for (fault, told) in [
        (
            "ALTER TABLE processed_events DROP CONSTRAINT processed_events_topic_event_id_key",
            "no unique constraint on (event_id, topic)",
        ),
        (
            "ALTER TABLE processed_events DROP CONSTRAINT processed_events_topic_event_id_key;
             CREATE UNIQUE INDEX ON processed_events (topic, event_id) WHERE topic <> 'a'",
            "no unique constraint on (event_id, topic)",
        ),
        (
            "ALTER TABLE topic_stats DROP CONSTRAINT topic_stats_pkey",
            "no unique constraint on (topic)",
        ),
        (
            "CREATE RULE swallow AS ON INSERT TO processed_events DO INSTEAD NOTHING",
            "processed_events has a rule",
        ),
        (
            "CREATE TABLE pg_dist_partition (logicalrelid regclass);
             INSERT INTO pg_dist_partition VALUES ('agg_stats')",
            "Citus has distributed the table agg_stats",
        ),
        (
            "ALTER TABLE topic_stats RENAME TO away; CREATE VIEW topic_stats AS SELECT * FROM away",
            "topic_stats is not an ordinary table",
        ),
    ] {
        let tested = Tested::over(Tables::postgres().await).await;
        tested.tables.run(fault).await;
        let error = tested.store.migrate().await.unwrap_err();
        assert!(matches!(error, StoreError::Unfit(_)), "{error:?}");
        assert!(error.to_string().contains(told), "{error}");
    }
    let tested = Tested::over(Tables::postgres().await).await;
    let fine = "
        CREATE TABLE pg_dist_partition (logicalrelid regclass);
        ALTER TABLE processed_events DROP CONSTRAINT processed_events_topic_event_id_key,
            ADD UNIQUE (event_id, topic) INCLUDE (source);
        CREATE RULE swallow AS ON INSERT TO processed_events DO INSTEAD NOTHING;
        DROP RULE swallow ON processed_events";
    tested.tables.run(fine).await;
    tested.store.migrate().await.unwrap();
}

#[tokio::test]
async fn a_postgres_database_that_cannot_hold_every_text_is_refused_at_start() {
    let tested = Tested::over(Tables::postgres().await).await;
    let Tables::Postgres(database) = &tested.tables else {
        unreachable!("asked for");
    };
    let (server, own) = database.url().rsplit_once('/').unwrap();
    for encoding in ["SQL_ASCII", "LATIN1"] {
        let name = format!("{own}_{encoding}").to_lowercase();
        let url = format!("{server}/{name}");
        let run = async |sql: String| tested.tables.run(&sql).await;
        run(format!(
            "CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
        ))
        .await;
        let store = Postgres::from_url(&url, WORKERS).unwrap();
        let error = store.migrate().await.unwrap_err();
        store.close().await;
        run(format!("DROP DATABASE {name} WITH (FORCE)")).await;
        assert!(matches!(error, StoreError::Unfit(_)), "{error:?}");
        let told = error.to_string();
        assert!(told.contains(encoding) && told.contains("UTF8"), "{told}");
    }
}

#[tokio::test]
async fn a_sqlite_file_that_another_process_writes_to_is_unavailable_until_it_is_done() {
    let tables = Tables::sqlite();
    let Tables::Sqlite(folder) = &tables else {
        unreachable!()
    };
    let mut other = SqliteConnection::connect_with(
        &sqlx::sqlite::SqliteConnectOptions::new()
            .filename(folder.path().join("unused.db"))
            .create_if_missing(true),
    )
    .await
    .unwrap();
    let file = file(folder).display().to_string();
    let tested = Tested::over(tables).await;
    tested.add(&[event("a", "1")]).await;
    let claim = claim(tested.worker().await, &[event("a", "2")]);
    for sql in [
        format!("ATTACH '{file}' AS shared"),
        "BEGIN; UPDATE shared.agg_stats SET id = 1".to_owned(),
    ] {
        let sql = raw_sql(AssertSqlSafe(sql));
        sql.execute(&mut other).await.unwrap();
    }

    let locked = tested.store.record(&claim).await.unwrap_err();
    assert!(matches!(locked, StoreError::Unavailable(_)), "{locked:?}");
    assert_eq!(tested.counters().await, (1, 0, 0), "reading goes on");

    raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    let recorded = tested.store.record(&claim).await.unwrap();
    assert_eq!(verdicts(recorded), [Accepted]);
}

#[tokio::test]
async fn a_file_that_is_no_sqlite_database_is_told_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let text = "These are not tables.\n".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let store = Sqlite::open(&format!("sqlite://{}", path.display())).unwrap();
    let error = store.migrate().await.unwrap_err();
    assert!(matches!(error, StoreError::Schema(_)), "{error:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}
