//! The servers that the programs are compared with. Each is a process of its own: this program again, with the same HTTP server
//! and the same settings as the programs, and with as little behind it as possible.

use std::{
    hint::black_box,
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

/// How long the head of a request may take, as with the programs.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long a connection is kept without a request, as with the programs.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// The largest body, as with the programs.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

const INSERT: &str = "INSERT INTO processed_events_0 \
    (topic, event_id, source, payload, event_timestamp, received_at, receipt_id) \
    VALUES ($1, $2, $3, $4::jsonb, $5, $6, $7) ON CONFLICT (topic, event_id) DO NOTHING";

/// What to serve.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Baseline {
    /// POST /publish reads the body and answers as the publisher does
    Empty,
    /// POST /publish parses the body into events that own their text, drops them, and answers as the publisher does
    Parse,
    /// POST /ingest stores one event in one statement, which is a transaction
    Insert {
        /// The address of the database
        database_url: String,
        /// The number of connections to the database
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

/// Serves until the process is killed.
pub(crate) async fn serve(address: SocketAddr, what: Baseline) -> Result<()> {
    let pool = match &what {
        Baseline::Empty | Baseline::Parse => None,
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
    let parses = matches!(what, Baseline::Parse);
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
                .route(
                    "/publish",
                    if parses {
                        post().to(parse)
                    } else {
                        post().to(empty)
                    },
                ),
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

/// What was read. The benchmark compares it with what was sent.
#[derive(Default)]
struct Read {
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// `GET /read`: the number of requests and the number of bytes in their bodies.
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

/// An event as a handler of a few lines would have it.
#[derive(Deserialize)]
#[expect(dead_code, reason = "the handler reads them and drops them")]
struct Owned {
    topic: String,
    event_id: String,
    source: String,
    timestamp: DateTime<Utc>,
    payload: serde_json::Value,
}

async fn parse(body: Bytes, read: Data<Read>) -> actix_web::Result<HttpResponse> {
    let events: Vec<Owned> = match body.first() {
        Some(b'[') => serde_json::from_slice(&body)?,
        _ => vec![serde_json::from_slice(&body)?],
    };
    drop(black_box(events));
    Ok(empty(body, read).await)
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
