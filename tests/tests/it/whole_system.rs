//! Events go through HTTP into the tables, in every deployment, and the counters are exact.

use std::collections::BTreeMap;

use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::Row;
use tests::{
    SOON,
    app::{App, Deployment, System},
    events::Logs,
    eventually,
};

const BATCH: usize = 100;
const CLIENTS: usize = 8;
/// More than any walk here takes.
const MOST_PAGES: usize = 100;

macro_rules! in_every_deployment {
    ($($case:ident),* $(,)?) => {
        mod services {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() { super::$case(super::Deployment::Services).await; })*
        }
        mod memory_and_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() { super::$case(super::Deployment::MemoryAndSqlite).await; })*
        }
        mod memory_and_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() { super::$case(super::Deployment::MemoryAndPostgres).await; })*
        }
        mod redis_and_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() { super::$case(super::Deployment::RedisAndSqlite).await; })*
        }
        mod redis_and_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() { super::$case(super::Deployment::RedisAndPostgres).await; })*
        }
    };
}

in_every_deployment![
    log_lines_sent_twice_and_shuffled_are_counted_exactly,
    ten_clients_sending_one_event_at_once_make_one_row,
    after_a_restart_an_event_is_still_a_duplicate,
    one_id_in_two_topics_is_two_events,
    what_was_sent_comes_back,
    ingest_answers_a_verdict_per_event,
];

async fn log_lines_sent_twice_and_shuffled_are_counted_exactly(deployment: Deployment) {
    let seed = tests::seed("WHOLE_SYSTEM_SEED");
    let logs = Logs::of_a_day(seed);
    let mut deliveries = [logs.events.clone(), logs.events.clone()].concat();
    deliveries.shuffle(&mut SmallRng::seed_from_u64(seed));
    let (sent, unique) = (deliveries.len(), logs.unique_total());
    let system = deployment.start().await;

    publish(&system, deliveries).await;

    let sent = i64::try_from(sent).unwrap();
    let stats = system.reader().drained(sent).await;
    assert_eq!(stats["received"], sent);
    assert_eq!(stats["unique_processed"], unique);
    assert_eq!(stats["duplicate_dropped"], sent - unique);
    assert_eq!(stats["dead_lettered"], 0);
    assert_eq!(stats["topics"], json!(logs.unique));
    assert_eq!(rows_by_topic(&system).await, logs.unique);
    assert_eq!(ids_by_paging(system.reader()).await, unique);
    system.stop().await;
}

async fn ten_clients_sending_one_event_at_once_make_one_row(deployment: Deployment) {
    let system = deployment.start().await;
    let sends = (0..10).map(|_| async {
        let event = json!({"topic": "race", "event_id": "1"}).to_string();
        let (status, _) = system.publishers[0].post("/publish", event).await;
        assert_eq!(status, StatusCode::ACCEPTED);
    });
    futures_util::future::join_all(sends).await;
    let stats = system.reader().drained(10).await;
    assert_eq!(
        (&stats["received"], &stats["unique_processed"]),
        (&json!(10), &json!(1))
    );
    assert_eq!(
        rows_by_topic(&system).await,
        [("race".to_owned(), 1)].into()
    );
    system.stop().await;
}

async fn after_a_restart_an_event_is_still_a_duplicate(deployment: Deployment) {
    let mut system = deployment.start().await;
    let event = r#"{"topic":"orders","event_id":"1","payload":{"n":1}}"#;
    system.publishers[0].post("/publish", event).await;
    system.reader().drained(1).await;

    system.restart().await;

    let again = event.replace(r#""n":1"#, r#""n":2"#);
    system.publishers[0].post("/publish", again).await;
    let stats = system.reader().drained(2).await;
    assert_eq!(stats["duplicate_dropped"], 1);
    assert_eq!(stats["topics"], json!({"orders": 1}));
    let (_, stored) = system.reader().get("/events/orders/1").await;
    assert_eq!(
        stored["payload"],
        json!({"n": 1}),
        "the first one stored wins"
    );
    system.stop().await;
}

async fn one_id_in_two_topics_is_two_events(deployment: Deployment) {
    let system = deployment.start().await;
    let batch = r#"[{"topic":"a","event_id":"1"},{"topic":"b","event_id":"1"}]"#;
    let (status, accepted) = system.publishers[0].post("/publish", batch).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(
        accepted,
        json!({"status": "accepted", "count": 2, "accepted": 2, "rejected": 0})
    );
    let stats = system.reader().drained(2).await;
    assert_eq!(stats["topics"], json!({"a": 1, "b": 1}));
    system.stop().await;
}

async fn what_was_sent_comes_back(deployment: Deployment) {
    let system = deployment.start().await;
    let long = "é".repeat(127) + "x";
    let deep = "[".repeat(100) + &"]".repeat(100);
    let payloads = [
        r"{}".to_owned(),
        r#"{"emoji":"🦀","quotes":"\"'\\","escaped":"\u00e9\ud83e\udd80\n"}"#.to_owned(),
        r#"{"nested":{"a":[1,2.50,-1.5e-3,1e2,null,true,{"":[]}]}}"#.to_owned(),
        r#"{"big":123456789012345678901234567890}"#.to_owned(),
        format!(r#"{{"deep":{deep}}}"#),
    ];
    let ids = [
        "plain",
        "a/b c?d#e%f+g&h",
        "\"'\\;--",
        "ünïcödé 🦀",
        long.as_str(),
    ];
    for (id, payload) in ids.iter().zip(&payloads) {
        let topic = format!("logs/{id}").chars().take(120).collect::<String>();
        let event = format!(
            r#"{{"topic":{},"event_id":{},"timestamp":"2026-01-01T02:00:00.123456+02:00","source":"s / é","payload":{payload}}}"#,
            json!(topic),
            json!(id),
        );
        let (status, answer) = system.publishers[0].post("/publish", event).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        let path = format!("/events/{}/{}", encoded(&topic), encoded(id));
        eventually("the event is stored", SOON, async || {
            system.reader().get(&path).await.0 == StatusCode::OK
        })
        .await;
        let (_, stored) = system.reader().get(&path).await;
        assert_eq!(stored["topic"], json!(topic));
        assert_eq!(stored["event_id"], json!(id));
        assert_eq!(stored["timestamp"], "2026-01-01T00:00:00.123456Z");
        assert_eq!(stored["source"], "s / é");
        let sent: Value = serde_json::from_str(payload).unwrap();
        assert_eq!(by_value(&stored["payload"]), by_value(&sent), "{payload}");
    }
    system.stop().await;
}

async fn ingest_answers_a_verdict_per_event(deployment: Deployment) {
    let system = deployment.start().await;
    let app = system.reader();
    let event = r#"{"id":"1","payload":{}}"#;
    for expected in ["accepted", "duplicate"] {
        let (status, answer) = app.post("/ingest", event).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            answer,
            json!({"status": expected, "event_id": "1", "topic": "default"})
        );
    }
    let batch = r#"{"events":[{"id":"2"},{"id":"1"},{"id":"2"}]}"#;
    let (status, answer) = app.post("/ingest", batch).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&answer["accepted"], &answer["duplicates"]),
        (&json!(1), &json!(2))
    );
    let verdicts: Vec<_> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["status"].clone())
        .collect();
    assert_eq!(verdicts, ["accepted", "duplicate", "duplicate"]);
    let stats = app.stats().await;
    assert_eq!(
        (
            &stats["received"],
            &stats["unique_processed"],
            &stats["duplicate_dropped"]
        ),
        (&json!(5), &json!(2), &json!(3)),
        "the answer comes after the commit"
    );
    system.stop().await;
}

/// Several clients at once, each with batches to the publishers in turn.
async fn publish(system: &System, deliveries: Vec<Value>) {
    let batches: Vec<String> = deliveries
        .chunks(BATCH)
        .map(|batch| Value::from(batch).to_string())
        .collect();
    let clients = (0..CLIENTS).map(|client| {
        let batches = &batches;
        async move {
            for (n, batch) in batches.iter().enumerate().skip(client).step_by(CLIENTS) {
                let publisher = &system.publishers[n % system.publishers.len()];
                let (status, answer) = publisher.post("/publish", batch.clone()).await;
                assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
            }
        }
    });
    futures_util::future::join_all(clients).await;
}

/// Pages through all events with the cursor, and checks that none comes twice.
async fn ids_by_paging(app: &App) -> i64 {
    let (mut seen, mut last, mut cursor) = (0, 0, String::new());
    for _ in 0..MOST_PAGES {
        let (status, page) = app.get(&format!("/events?limit=1000{cursor}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        for event in page["events"].as_array().unwrap() {
            let id = event["id"].as_i64().unwrap();
            assert!(id > last);
            last = id;
            seen += 1;
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return seen,
        }
    }
    panic!("there are more than {MOST_PAGES} pages");
}

/// What really is in the table, read beside the program.
async fn rows_by_topic(system: &System) -> BTreeMap<String, i64> {
    const QUERY: &str = "SELECT topic, count(*) FROM processed_events GROUP BY topic";
    macro_rules! rows {
        ($pool:expr) => {{
            let rows = sqlx::query(QUERY).fetch_all(&$pool).await.unwrap();
            rows.iter().map(|row| (row.get(0), row.get(1))).collect()
        }};
    }
    let url = system.place.database_url();
    if url.starts_with("sqlite:") {
        rows!(sqlx::SqlitePool::connect(url).await.unwrap())
    } else {
        rows!(sqlx::PgPool::connect(url).await.unwrap())
    }
}

/// PostgreSQL keeps the value of a number, not how it was written: `1e2` comes back as `100`.
fn by_value(json: &Value) -> Value {
    match json {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(by_value).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), by_value(value)))
            .collect(),
        other => other.clone(),
    }
}

fn encoded(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut path, byte| {
        let _ = write!(path, "%{byte:02X}");
        path
    })
}
