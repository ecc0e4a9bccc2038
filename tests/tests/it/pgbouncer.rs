//! `PgBouncer` between the programs and PostgreSQL, in session mode, as docs/OPERATIONS.md describes it.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};
use tests::{
    app::App,
    eventually,
    servers::{OwnPostgres, PgBouncer},
};

const SOON: Duration = Duration::from_secs(30);

async fn publish(app: &App, id: &str) {
    let event = json!({"topic": "t", "event_id": id});
    // Standalone over PostgreSQL: the answer follows the commit, unless a connection was lost meanwhile.
    eventually("it is published", SOON, async || {
        let (status, _) = app.post("/publish", event.to_string()).await;
        status == StatusCode::ACCEPTED
    })
    .await;
}

#[tokio::test]
async fn in_session_mode_it_works_without_any_setting_for_it_and_after_the_server_has_ended_its_sessions()
 {
    let server = OwnPostgres::start().await;
    let bouncer = PgBouncer::start("postgres", server.port()).await;
    let url = format!(
        "--database-url=postgres://postgres@127.0.0.1:{}/postgres",
        bouncer.port()
    );
    let app = App::standalone(&["--redis-url=", &url]);
    app.ready().await;
    publish(&app, "1").await;
    publish(&app, "1").await;

    let admin = PgPool::connect(&server.url()).await.unwrap();
    let ours = "FROM pg_stat_activity WHERE application_name = 'event-aggregator'";
    let end = format!("SELECT pg_terminate_backend(pid) {ours}");
    let ended: Vec<bool> = sqlx::query_scalar(AssertSqlSafe(end))
        .fetch_all(&admin)
        .await
        .unwrap();
    assert!(!ended.is_empty(), "it is connected through PgBouncer");
    publish(&app, "2").await;
    app.ready().await;
    let counters = app.stats().await;
    assert_eq!(counters["unique_processed"], 2, "{counters}");
    let (status, page) = app.get("/events").await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert_eq!(page["events"].as_array().unwrap().len(), 2, "{page}");
    app.stop().await;
}
