//! A role that may use the tables, and owns nothing; and one that may only connect.

use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tests::{
    SOON,
    app::{App, Place, answer},
    eventually, programs,
    servers::OwnPostgres,
};

async fn execute(pool: &PgPool, statement: &str) {
    let run = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(pool);
    run.await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// A server with a database that the role `owner` owns, and a role `app`.
struct Fixture {
    server: OwnPostgres,
    admin: PgPool,
    owner: PgPool,
}

impl Fixture {
    async fn start() -> Self {
        let server = OwnPostgres::start().await;
        let admin = PgPool::connect(&server.url()).await.unwrap();
        execute(&admin, "CREATE ROLE owner LOGIN").await;
        execute(&admin, "CREATE ROLE app LOGIN").await;
        execute(&admin, "CREATE DATABASE events OWNER owner").await;
        let inside = PgPool::connect(&url(&server, "postgres")).await.unwrap();
        // As it is from PostgreSQL 15 on.
        execute(&inside, "ALTER SCHEMA public OWNER TO owner").await;
        execute(&inside, "REVOKE CREATE ON SCHEMA public FROM public").await;
        let owner = PgPool::connect(&url(&server, "owner")).await.unwrap();
        Self {
            server,
            admin,
            owner,
        }
    }

    fn url(&self, role: &str) -> String {
        url(&self.server, role)
    }

    /// Runs `aggregator` with these arguments as the owner, until it ends.
    async fn as_owner(&self, arguments: &[&str]) -> String {
        let url = self.url("owner");
        let ended = programs::run("aggregator", arguments, &[("DATABASE_URL", &url)]).await;
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        ended.out
    }

    async fn app(&self) -> App {
        self.app_with(&[]).await
    }

    async fn app_with(&self, settings: &[&str]) -> App {
        let place = Place::with_database(&self.url("app")).await;
        place.standalone(&[&["--lease-seconds=1"], settings].concat())
    }
}

fn url(server: &OwnPostgres, role: &str) -> String {
    format!("postgres://{role}@127.0.0.1:{}/events", server.port())
}

async fn publish(app: &App, id: &str) {
    let event = json!({"topic": "t", "event_id": id});
    let (status, answer) = app.post("/publish", event.to_string()).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
}

#[tokio::test]
async fn a_role_with_the_rights_that_grants_prints_runs_everything() {
    let fixture = Fixture::start().await;
    let app = fixture.app().await;
    // It does not give up: the owner may be about to do it.
    app.not_ready("run `aggregator migrate` as their owner")
        .await;
    fixture.as_owner(&["migrate"]).await;
    app.not_ready("its role lacks rights: SELECT on _sqlx_migrations")
        .await;
    let grants = fixture.as_owner(&["grants", "app"]).await;
    execute(&fixture.owner, &grants).await;
    app.ready().await;

    publish(&app, "1").await;
    publish(&app, "1").await;
    let (status, ingested) = app.post("/ingest", r#"{"topic":"t","event_id":"2"}"#).await;
    assert_eq!(status, StatusCode::OK, "{ingested}");
    let refuse = "ALTER TABLE processed_events ADD CONSTRAINT refuse CHECK (event_id <> '3')";
    execute(&fixture.owner, refuse).await;
    for _ in 0..2 {
        publish(&app, "3").await;
    }
    let counters = app.drained(5).await;
    assert_eq!(counters["dead_lettered"], 2, "{counters}");
    let (_, letters) = app.get("/dead-letters").await;
    let id = letters["dead_letters"][0]["id"].to_string();
    let discarded = app.request(Method::DELETE, &format!("/dead-letters/{id}"));
    let (status, problem) = answer(discarded).await;
    assert!(status.is_success(), "{status} {problem}");
    execute(
        &fixture.owner,
        "ALTER TABLE processed_events DROP CONSTRAINT refuse",
    )
    .await;
    let (status, replayed) = app.post("/dead-letters/replay", r#"{"all":true}"#).await;
    assert_eq!((status, &replayed["accepted"]), (StatusCode::OK, &json!(1)));
    for path in ["/events", "/events/t/1"] {
        assert_eq!(app.get(path).await.0, StatusCode::OK, "{path}");
    }
    app.ready().await;
    let url = fixture.url("app");
    let verified = programs::run("aggregator", &["verify"], &[("DATABASE_URL", &url)]).await;
    assert_eq!(verified.code, Some(0), "{}{}", verified.out, verified.err);
    app.stop().await;
}

#[tokio::test]
async fn workers_long_gone_are_forgotten_with_the_same_rights() {
    let fixture = Fixture::start().await;
    fixture.as_owner(&["migrate", "--grant-to", "app"]).await;
    let gone = "INSERT INTO worker_claims (worker_id, updated_at)
        VALUES ('00000000-0000-7000-8000-000000000001', now() - interval '2 days')";
    execute(&fixture.owner, gone).await;
    let app = fixture.app().await;
    app.ready().await;
    eventually("it is forgotten", SOON, async || {
        let old = "SELECT count(*) FROM worker_claims WHERE updated_at < now() - interval '1 day'";
        let old = sqlx::query_scalar::<_, i64>(old).fetch_one(&fixture.owner);
        old.await.unwrap() == 0
    })
    .await;
    app.stop().await;
}

#[tokio::test]
async fn buckets_are_closed_filtered_and_dropped_with_the_same_rights() {
    let fixture = Fixture::start().await;
    fixture.as_owner(&["migrate", "--grant-to", "app"]).await;
    let app = fixture
        .app_with(&["--bucket-events=2", "--retention-days=3s"])
        .await;
    app.ready().await;
    for id in ["1", "2", "3"] {
        publish(&app, id).await;
    }
    app.drained(3).await;
    let buckets = async |what: &str| {
        let count = format!("SELECT count(*) FROM ledger_buckets WHERE {what}");
        let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(count));
        count.fetch_one(&fixture.owner).await.unwrap()
    };
    eventually("a bucket is dropped", SOON, async || {
        buckets("dropped_at IS NOT NULL").await > 0
    })
    .await;
    publish(&app, "4").await;
    app.drained(4).await;
    // Nobody else may.
    for call in [
        "SELECT open_next_bucket(1)",
        "SELECT seal_bucket(0)",
        "SELECT drop_oldest_bucket('0', '1s', 1)",
        "SELECT grant_on_bucket(1)",
    ] {
        execute(&fixture.admin, "DROP ROLE IF EXISTS stranger").await;
        execute(&fixture.admin, "CREATE ROLE stranger LOGIN").await;
        let mut stranger = PgConnection::connect(&fixture.url("stranger"))
            .await
            .unwrap();
        let called = sqlx::query(call).execute(&mut stranger).await;
        assert!(
            called.is_err_and(|error| error.to_string().contains("permission denied")),
            "{call}"
        );
        stranger.close().await.unwrap();
    }
    app.ready().await;
    app.stop().await;
}

#[tokio::test]
async fn ready_names_the_right_that_is_missing() {
    let fixture = Fixture::start().await;
    fixture.as_owner(&["migrate", "--grant-to", "app"]).await;
    execute(&fixture.owner, "REVOKE UPDATE ON agg_stats FROM app").await;
    let app = fixture.app().await;
    app.not_ready("its role lacks rights: UPDATE on agg_stats")
        .await;
    execute(&fixture.owner, "GRANT UPDATE ON agg_stats TO app").await;
    app.ready().await;

    // While it runs, the worker meets it.
    execute(
        &fixture.owner,
        "REVOKE INSERT ON processed_events, processed_events_0 FROM app",
    )
    .await;
    publish(&app, "1").await;
    app.not_ready(
        "its role lacks rights: INSERT on processed_events; INSERT on processed_events_0",
    )
    .await;
    execute(
        &fixture.owner,
        "GRANT INSERT ON processed_events, processed_events_0 TO app",
    )
    .await;
    let counters = app.drained(1).await;
    assert_eq!(counters["unique_processed"], 1, "{counters}");
    app.ready().await;
    app.stop().await;
}

#[tokio::test]
async fn a_role_that_may_only_connect_stops_neither_pages_nor_workers_with_our_locks() {
    let fixture = Fixture::start().await;
    fixture.as_owner(&["migrate", "--grant-to", "app"]).await;
    execute(&fixture.admin, "CREATE ROLE stranger LOGIN").await;
    let app = fixture.app().await;
    app.ready().await;
    publish(&app, "1").await;
    app.drained(1).await;

    let mut stranger = PgConnection::connect(&fixture.url("stranger"))
        .await
        .unwrap();
    let rows: Result<i64, _> = sqlx::query_scalar("SELECT count(*) FROM processed_events")
        .fetch_one(&mut stranger)
        .await;
    assert!(rows.is_err(), "it may only connect");
    let drawn: i64 = sqlx::query_scalar("SELECT last_value FROM processed_events_id_seq")
        .fetch_one(&fixture.owner)
        .await
        .unwrap();
    // Keys that are as far away from ours as can be.
    sqlx::query("SELECT pg_advisory_lock(key) FROM (VALUES (9223372036854775807), (-9223372036854775808)) AS keys (key)")
        .execute(&mut stranger)
        .await
        .unwrap();
    // The keys that a transaction would take next, and some below.
    let take = "SELECT pg_advisory_lock((17729::bigint << 48) + key)
        FROM generate_series($1 - 20, $1 + 20) AS key";
    let taking = sqlx::query(take).bind(drawn).execute(&mut stranger);
    taking.await.unwrap();
    for id in ["2", "3"] {
        publish(&app, id).await;
    }
    app.drained(3).await;
    let (_, page) = app.get("/events").await;
    assert_eq!(page["events"].as_array().unwrap().len(), 3, "{page}");
    stranger.close().await.unwrap();
    app.stop().await;
}
