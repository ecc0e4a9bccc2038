//! A replay of many large dead letters takes memory for a page of them, not for all.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, SqliteConnection, raw_sql,
    sqlite::SqliteConnectOptions,
};
use tests::{
    eventually,
    programs::{Running, free_port},
    servers,
};

const SOON: Duration = Duration::from_secs(30);
const LETTERS: usize = 600;
const LETTER_BYTES: usize = 250_000;
/// What the whole program may take more than before the replay: some copies of a page, but never all letters.
const MAX_TAKEN: usize = 128 * 1024 * 1024;

/// The most memory that a process ever had, in bytes.
fn peak(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.unwrap().trim().trim_end_matches(" kB");
    kibibytes.parse::<usize>().unwrap() * 1024
}

/// Large letters that can be stored now. `number`, `large` and `rows` are in the dialect of the database.
fn letters(element: &str, large: &str, rows: &str) -> String {
    let [head, tail] = [
        r#"{"v":1,"receipt_id":"01970000-0000-7000-8000-000000000001","topic":"t","event_id":""#,
        r#"","timestamp":"2026-01-01T00:00:00Z","source":"s","payload":{"a":""#,
    ];
    let text = format!("'{head}' || n || '{tail}' || {large} || '\"}}}}'");
    let raw = element.replace("TEXT", &text);
    format!(
        "{rows} INSERT INTO dead_letters (raw, reason, failed_at)
             SELECT {raw}, 'made for a test', FAILED_AT FROM numbers;
         UPDATE agg_stats SET received = {LETTERS}, dead_lettered = {LETTERS}"
    )
}

async fn post(client: &Client, address: &str, body: &Value) -> Value {
    let request = client
        .post(format!("http://{address}/dead-letters/replay"))
        .header("content-type", "application/json")
        .body(body.to_string());
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

/// Starts the program over this database, puts the letters there, and replays them as a client would.
async fn replay_all(database_url: &str, put_letters: impl AsyncFnOnce()) {
    let address = format!("127.0.0.1:{}", free_port());
    let settings = [("BIND_ADDR", &*address), ("DATABASE_URL", database_url)];
    let process = Running::start("event-aggregator", &[], &settings);
    let client = tests::http::client();
    eventually("it is ready", SOON, async || {
        let ready = client.get(format!("http://{address}/ready")).send().await;
        ready.is_ok_and(|answer| answer.status() == StatusCode::OK)
    })
    .await;
    put_letters().await;

    let before = peak(process.id());
    let ids: Vec<usize> = (1..=LETTERS / 2).collect();
    let replayed = post(&client, &address, &json!({ "ids": ids })).await;
    assert_eq!(replayed["accepted"], ids.len(), "all that were named");
    let (mut accepted, mut cursor) = (0, Value::Null);
    loop {
        let replayed = post(&client, &address, &json!({"all": true, "cursor": cursor})).await;
        assert_eq!(replayed["refused"], json!([]));
        accepted += replayed["accepted"].as_u64().unwrap();
        cursor = replayed["next_cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(accepted, (LETTERS - ids.len()) as u64, "all the others");
    let taken = peak(process.id()) - before;
    println!("the replay took {} KiB", taken / 1024);
    assert!(taken <= MAX_TAKEN, "{taken}");
}

#[tokio::test]
async fn a_replay_of_large_letters_in_postgres_takes_memory_for_a_page_of_them() {
    let database = servers::database().await;
    let element = "convert_to(TEXT, 'UTF8')";
    let large = format!("repeat('x', {LETTER_BYTES})");
    let rows = format!("WITH numbers AS (SELECT generate_series(1, {LETTERS}) AS n)");
    let sql = letters(element, &large, &rows).replace("FAILED_AT", "now()");
    replay_all(database.url(), async || {
        let mut connection = PgConnection::connect(database.url()).await.unwrap();
        let put = raw_sql(AssertSqlSafe(sql)).execute(&mut connection);
        put.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_replay_of_large_letters_in_sqlite_takes_memory_for_a_page_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.db");
    let large = format!("replace(hex(zeroblob({})), '0', 'x')", LETTER_BYTES / 2);
    let rows = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {LETTERS})"
    );
    let sql = letters("CAST(TEXT AS BLOB)", &large, &rows).replace("FAILED_AT", "0");
    replay_all(&format!("sqlite://{}", file.display()), async || {
        let options = SqliteConnectOptions::new().filename(&file);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let put = raw_sql(AssertSqlSafe(sql)).execute(&mut connection);
        put.await.unwrap();
    })
    .await;
}
