//! Servers to compare with, as processes of their own: this program again, with the same HTTP server and settings as
//! the services, and as little behind it as can be.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use actix_web::{
    App, HttpResponse, HttpServer,
    error::ErrorServiceUnavailable,
    web::{Bytes, Data, PayloadConfig, get, post},
};
use anyhow::Result;
use chrono::{DateTime, Utc};
use clap::Subcommand;
use event::clock::{Clock, Ids, SystemClock};
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::{PgPool, postgres::PgPoolOptions};

/// As the services have them.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(75);
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

const INSERT: &str = "INSERT INTO processed_events \
    (topic, event_id, source, payload, event_timestamp, received_at, receipt_id) \
    VALUES ($1, $2, $3, $4::jsonb, $5, $6, $7) ON CONFLICT (topic, event_id) DO NOTHING";

/// What to serve.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Baseline {
    /// `POST /publish` reads the body and answers as the publisher does
    Empty,
    /// `POST /ingest` stores one event in one statement, which commits
    Insert {
        /// The database
        database_url: String,
        /// Connections to it
        connections: u32,
    },
}

#[derive(Deserialize)]
struct Row<'a> {
    topic: &'a str,
    event_id: &'a str,
    source: &'a str,
    timestamp: DateTime<Utc>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// Serves until killed.
pub(crate) async fn serve(address: SocketAddr, what: Baseline) -> Result<()> {
    let pool = match &what {
        Baseline::Empty => None,
        Baseline::Insert {
            database_url,
            connections,
        } => {
            let options = PgPoolOptions::new()
                .min_connections(*connections)
                .max_connections(*connections);
            Some(options.connect(database_url).await?)
        }
    };
    let ids = Data::new(Ids::default());
    let counts = Data::new(Read::default());
    let server = HttpServer::new(move || {
        let app = App::new()
            .app_data(PayloadConfig::new(MAX_BODY_BYTES))
            .app_data(ids.clone())
            .route("/ready", get().to(HttpResponse::Ok));
        match &pool {
            None => app
                .app_data(counts.clone())
                .route("/read", get().to(read))
                .route("/publish", post().to(empty)),
            Some(pool) => app
                .app_data(Data::new(pool.clone()))
                .route("/ingest", post().to(insert)),
        }
    });
    server
        .client_request_timeout(HEAD_WITHIN)
        .keep_alive(KEEP_ALIVE)
        .bind(address)?
        .run()
        .await?;
    Ok(())
}

/// What was read, for whoever compares it with what was sent.
#[derive(Default)]
struct Read {
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// `GET /read`: requests and bytes of their bodies.
async fn read(read: Data<Read>) -> String {
    let Read { requests, bytes } = &**read;
    format!(
        "{} {}",
        requests.load(Ordering::Relaxed),
        bytes.load(Ordering::Relaxed)
    )
}

async fn empty(body: Bytes, read: Data<Read>) -> HttpResponse {
    read.requests.fetch_add(1, Ordering::Relaxed);
    read.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
    let answer = r#"{"status":"accepted","count":1,"accepted":1,"rejected":0}"#;
    HttpResponse::Accepted()
        .content_type("application/json")
        .body(answer)
}

async fn insert(
    body: Bytes,
    pool: Data<PgPool>,
    ids: Data<Ids>,
) -> actix_web::Result<HttpResponse> {
    let row: Row = serde_json::from_slice(&body)?;
    let now = SystemClock.now();
    let done = sqlx::query(INSERT)
        .bind(row.topic)
        .bind(row.event_id)
        .bind(row.source)
        .bind(row.payload.get())
        .bind(row.timestamp)
        .bind(now)
        .bind(ids.next(now))
        .execute(&**pool)
        .await
        .map_err(ErrorServiceUnavailable)?;
    let status = match done.rows_affected() {
        0 => "duplicate",
        _ => "accepted",
    };
    let (topic, id) = (row.topic, row.event_id);
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(format!(
            r#"{{"status":"{status}","event_id":"{id}","topic":"{topic}"}}"#
        )))
}
