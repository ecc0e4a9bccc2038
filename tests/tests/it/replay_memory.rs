//! A replay of many large dead letters takes memory for a page of them, not for all.

use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection, raw_sql};
use tests::app::{App, Deployment, Place};

const LETTERS: usize = 600;
const LETTER_BYTES: usize = 250_000;
/// What the whole program may take more than before the replay: some copies of a page, but never all letters.
const MAX_TAKEN: usize = 128 * 1024 * 1024;

/// Large letters that can be stored now. `element`, `large` and `rows` are in the dialect of the database.
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
         UPDATE agg_stats SET received = {LETTERS}, dead_lettered = {LETTERS} WHERE FIRST_ROW"
    )
}

async fn replay(app: &App, body: Value) -> Value {
    let (status, replayed) = app.post("/dead-letters/replay", body.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    replayed
}

/// Starts the program over a database, puts the letters there, and replays them as a client would.
async fn replay_all(deployment: Deployment, put_letters: impl AsyncFnOnce(&Place)) {
    let place = Place::of(deployment).await;
    let app = place.process("event-aggregator", &[]);
    app.ready().await;
    put_letters(&place).await;

    let before = app.running().peak_memory();
    let ids: Vec<usize> = (1..=LETTERS / 2).collect();
    let replayed = replay(&app, json!({ "ids": ids })).await;
    assert_eq!(replayed["accepted"], ids.len(), "all that were named");
    let (mut accepted, mut cursor) = (0, Value::Null);
    for _ in 0..LETTERS {
        let replayed = replay(&app, json!({"all": true, "cursor": cursor})).await;
        assert_eq!(replayed["refused"], json!([]));
        accepted += replayed["accepted"].as_u64().unwrap();
        cursor = replayed["next_cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert!(cursor.is_null(), "a page has at least one letter");
    assert_eq!(accepted, (LETTERS - ids.len()) as u64, "all the others");
    let taken = app.running().peak_memory() - before;
    println!("the replay took {} KiB", taken / 1024);
    assert!(taken <= MAX_TAKEN, "{taken}");
}

#[tokio::test]
async fn a_replay_of_large_letters_in_postgres_takes_memory_for_a_page_of_them() {
    let element = "convert_to(TEXT, 'UTF8')";
    let large = format!("repeat('x', {LETTER_BYTES})");
    let rows = format!("WITH numbers AS (SELECT generate_series(1, {LETTERS}) AS n)");
    let sql = letters(element, &large, &rows)
        .replace("FAILED_AT", "now()")
        .replace("FIRST_ROW", "slot = 1");
    replay_all(Deployment::MemoryAndPostgres, async |place| {
        let mut connection = PgConnection::connect(place.database_url()).await.unwrap();
        let put = raw_sql(AssertSqlSafe(sql)).execute(&mut connection);
        put.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_replay_of_large_letters_in_sqlite_takes_memory_for_a_page_of_them() {
    let large = format!("replace(hex(zeroblob({})), '0', 'x')", LETTER_BYTES / 2);
    let rows = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {LETTERS})"
    );
    let sql = letters("CAST(TEXT AS BLOB)", &large, &rows)
        .replace("FAILED_AT", "0")
        .replace("FIRST_ROW", "id = 1");
    replay_all(Deployment::MemoryAndSqlite, async |place| {
        let mut connection = SqliteConnection::connect(place.database_url())
            .await
            .unwrap();
        let put = raw_sql(AssertSqlSafe(sql)).execute(&mut connection);
        put.await.unwrap();
    })
    .await;
}
