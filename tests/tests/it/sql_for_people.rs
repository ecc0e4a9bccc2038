//! The queries of docs/SQL.md do what it says.

use std::fs;

use event::{Claim, ClaimId, WorkerId, clock::Ids};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use store::{Rules, Store, postgres::Postgres, sqlite::Sqlite};
use tests::{events::events, servers};

const QUERIES: usize = 10;

/// The blocks of code in the document, without their indentation.
fn blocks(document: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut in_block = false;
    for line in document.lines() {
        match line.strip_prefix("    ") {
            Some(code) if in_block => {
                if let Some(block) = blocks.last_mut() {
                    block.push('\n');
                    block.push_str(code);
                }
            }
            Some(code) => {
                blocks.push(code.to_owned());
                in_block = true;
            }
            None => in_block = false,
        }
    }
    blocks
}

fn document() -> String {
    fs::read_to_string("../docs/SQL.md").unwrap()
}

async fn fill(store: &dyn Store) {
    let full = Rules {
        bucket_events: 1,
        bucket_age: None,
        retention: None,
    };
    for topic in ["orders", "logs"] {
        let worker = WorkerId(Ids::default().next(chrono::Utc::now()));
        store.register(worker).await.unwrap();
        let claim = Claim {
            id: ClaimId::first(worker),
            events: events(topic, 20).into(),
            malformed: Vec::new(),
            judged: false,
        };
        store.record(&claim).await.unwrap();
        store.keep(&full).await.unwrap();
    }
    store.take_sample(chrono::Utc::now()).await.unwrap();
}

#[tokio::test]
async fn every_query_for_postgres_runs_and_finds_something() {
    let database = servers::database().await;
    let store = Postgres::from_url(database.url(), 2).unwrap();
    store.migrate().await.unwrap();
    fill(&store).await;
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let document = document();
    let (_, queries) = document.split_once("## Ten queries").unwrap();
    let (queries, _) = queries.split_once("\n## ").unwrap();
    let queries = blocks(queries);
    assert_eq!(queries.len(), QUERIES);
    for (at, query) in queries.into_iter().enumerate() {
        let rows = sqlx::query(AssertSqlSafe(query.trim_end_matches(';').to_owned()))
            .fetch_all(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{query}: {error}"));
        // No topic was silent for minutes.
        assert_eq!(rows.is_empty(), at + 1 == 7, "query {}", at + 1);
    }
    store.close().await;
}

#[tokio::test]
async fn the_query_for_sqlite_runs_and_finds_something() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("events.db").display());
    let store = Sqlite::open(&url).unwrap();
    store.migrate().await.unwrap();
    fill(&store).await;
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let last = blocks(&document()).pop().unwrap();
    let query = last.split('"').nth(1).unwrap().to_owned();
    let rows = sqlx::query(AssertSqlSafe(query))
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(rows.len(), 2);
    for view in ["agg_stats_total", "topic_stats_total", "retired_events"] {
        let all = format!("SELECT * FROM {view}");
        sqlx::query(AssertSqlSafe(all))
            .fetch_all(&mut connection)
            .await
            .unwrap();
    }
    store.close().await;
}
