//! What PostgreSQL may answer when something is wrong with it: the claim is kept and tried again, no event becomes a dead
//! letter because of it, and all is counted once when it is mended.

mod connections;
mod errors;
mod messages;

use reqwest::StatusCode;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};
use tests::{
    app::{App, Place},
    servers::OwnPostgres,
};

/// Publisher and aggregator over a database.
struct System {
    publisher: App,
    aggregator: App,
    sent: i64,
}

impl System {
    async fn start(database_url: &str) -> Self {
        let place = Place::with_database(database_url).await;
        Self {
            publisher: place.publisher(&[]),
            aggregator: place.aggregator(&["--workers=1", "--lease-seconds=2"]),
            sent: 0,
        }
    }

    async fn publish(&mut self) {
        let event = json!({"topic": "t", "event_id": self.sent.to_string()});
        let (status, answer) = self.publisher.post("/publish", event.to_string()).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        self.sent += 1;
    }

    /// All that was sent is stored and counted, once.
    async fn assert_exact(&self) {
        let counters = self.aggregator.drained(self.sent).await;
        let counted = ["received", "unique_processed", "dead_lettered"].map(|name| &counters[name]);
        assert_eq!(counted, [&json!(self.sent), &json!(self.sent), &json!(0)]);
    }

    async fn stop(self) {
        self.publisher.stop().await;
        self.aggregator.stop().await;
    }
}

async fn execute(pool: &PgPool, statement: &str) {
    let run = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(pool);
    run.await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// A server with a role that is no superuser, and a database of that role's.
async fn own_server() -> (OwnPostgres, PgPool, String) {
    let server = OwnPostgres::start().await;
    let admin = PgPool::connect(&server.url()).await.unwrap();
    execute(&admin, "CREATE ROLE app LOGIN").await;
    execute(&admin, "CREATE DATABASE app OWNER app").await;
    let url = format!("postgres://app@127.0.0.1:{}/app", server.port());
    (server, admin, url)
}
