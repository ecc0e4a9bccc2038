//! `PgBouncer` between the programs and PostgreSQL, in session mode, as docs/OPERATIONS.md describes it.

use reqwest::StatusCode;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};
use tests::{
    SOON,
    app::{App, Place},
    eventually,
    servers::{OwnPostgres, PgBouncer},
};

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
async fn session_mode_needs_no_setting_and_survives_that_the_server_ends_its_sessions() {
    let server = OwnPostgres::start().await;
    let bouncer = PgBouncer::start("postgres", server.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", bouncer.port());
    let app = Place::at("", &url).standalone(&[]);
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
