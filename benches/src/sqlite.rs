//! What SQLite can do alone: bare multi-row `INSERT … ON CONFLICT DO NOTHING` into the same table, as durable as standalone has
//! it, each statement a transaction.

use std::{fmt::Write, path::Path, sync::Arc, time::Instant};

use anyhow::{Result, ensure};
use event::Event;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use store::{
    Store,
    sqlite::{Sqlite, WRITER_PRAGMAS},
};

use crate::{
    stats::float,
    workload::{Factory, Stream},
};

/// Rows in a statement that are tried. Most parameters are 32766, and a row has eight.
pub(crate) const BATCHES: [usize; 5] = [50, 100, 250, 1000, 4000];

const INTO: &str = "INSERT INTO processed_events \
    (topic, event_id, source, payload, event_timestamp, received_at, processed_at, receipt_id) VALUES ";
const UNLESS_THERE: &str = " ON CONFLICT (topic, event_id) DO NOTHING";

/// A database's address.
pub(crate) fn url(file: &Path) -> String {
    format!("sqlite://{}", file.display())
}

/// Inserts a stream into a new database in this folder, so many rows a statement. Rows a second.
pub(crate) async fn insert(folder: &Path, stream: Stream, batch: usize) -> Result<f64> {
    let file = folder.join("bare.db");
    let store = Sqlite::open(&url(&file))?;
    store.migrate().await?;
    store.close().await;
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let set = |options: SqliteConnectOptions, (name, value)| options.pragma(name, value);
    let options = WRITER_PRAGMAS.into_iter().fold(options, set);
    let mut connection = options.connect().await?;
    let factory = Factory::new();
    let events: Vec<Event> = stream
        .numbers()
        .map(|number| factory.event(number, stream.mix.payload_bytes))
        .collect();
    let started = Instant::now();
    let mut rows = 0;
    for batch in events.chunks(batch) {
        rows += insert_batch(&mut connection, batch).await?;
    }
    let rate = float(stream.count) / started.elapsed().as_secs_f64();
    connection.close().await?;
    ensure!(
        rows == stream.unique(),
        "SQLite inserted {rows} rows instead of {}",
        stream.unique()
    );
    Ok(rate)
}

async fn insert_batch(connection: &mut SqliteConnection, batch: &[Event]) -> sqlx::Result<u64> {
    let statement: Arc<str> = statement(batch.len()).into();
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for event in batch {
        let received = event.receipt_id.received_at().timestamp_micros();
        query = query
            .bind(event.topic.as_str())
            .bind(event.event_id.as_str())
            .bind(event.source.as_str())
            .bind(event.payload.as_str())
            .bind(event.timestamp.as_datetime().timestamp_micros())
            .bind(received)
            .bind(received)
            .bind(event.receipt_id.0);
    }
    Ok(query.execute(connection).await?.rows_affected())
}

fn statement(rows: usize) -> String {
    let mut text = INTO.to_owned();
    for row in 0..rows {
        let comma = if row == 0 { "" } else { ", " };
        write!(text, "{comma}(?, ?, ?, ?, ?, ?, ?, ?)").expect("a text takes all");
    }
    text + UNLESS_THERE
}
