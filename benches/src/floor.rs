//! What PostgreSQL can do alone: the same rows into the same table by bare multi-row
//! `INSERT … ON CONFLICT DO NOTHING`, each statement a transaction. No queue, no counters, and the rows are made ready beforehand.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    lab::{Database, Lab},
    processes::{Meter, Party, Share},
    stats::float,
    workload::{Factory, Mix, Stream},
};

/// Most parameters of a statement are 65535, and a row has seven.
const MAX_VALUES_ROWS: usize = 9000;

/// Columns of a row, and which of them is JSON, from 1.
const COLUMNS: usize = 7;
const PAYLOAD: usize = 4;
const INTO: &str = "INSERT INTO processed_events \
    (topic, event_id, source, payload, event_timestamp, received_at, receipt_id) ";
const FROM_ARRAYS: &str = "SELECT t, e, s, p::jsonb, at, r, id FROM unnest($1::text[], $2::text[], $3::text[], \
    $4::text[], $5::timestamptz[], $6::timestamptz[], $7::uuid[]) AS rows (t, e, s, p, at, r, id) ";
const UNLESS_THERE: &str = "ON CONFLICT (topic, event_id) DO NOTHING";

/// A way to insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) shape: Shape,
    /// Rows in a statement.
    pub(crate) batch: usize,
    pub(crate) connections: usize,
}

/// How a statement gets its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `VALUES ($1, …), ($8, …)`
    Values,
    /// One array a column.
    Unnest,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            shape,
            batch,
            connections,
        } = self;
        let shape = match shape {
            Shape::Values => "VALUES",
            Shape::Unnest => "unnest",
        };
        write!(f, "{shape}, {batch} rows, {connections} connections")
    }
}

/// What an insertion came to.
pub(crate) struct Inserted {
    /// Deliveries a second.
    pub(crate) rate: f64,
    pub(crate) shares: Vec<Share>,
}

/// Rows by column, as they are bound.
#[derive(Default)]
struct Batch {
    topics: Vec<String>,
    ids: Vec<String>,
    sources: Vec<String>,
    payloads: Vec<String>,
    timestamps: Vec<DateTime<Utc>>,
    received: Vec<DateTime<Utc>>,
    receipts: Vec<Uuid>,
}

/// The fastest of all ways for this mix; they are tried once.
pub(crate) async fn best(lab: &Lab, mix: Mix) -> Result<Way> {
    let known = lab.floors.borrow().get(&mix).copied();
    if let Some(way) = known {
        return Ok(way);
    }
    let tried = trials(lab, mix).await?;
    let way = fastest(&tried)?;
    let (percent, bytes) = (mix.duplicate_percent, mix.payload_bytes);
    eprintln!("  floor at {percent} % duplicates, {bytes} bytes:");
    for (way, rate) in tried {
        eprintln!("    {rate:.0} rows/s: {way}");
    }
    lab.floors.borrow_mut().insert(mix, way);
    Ok(way)
}

/// The rate of each way that is tried: every size and number of connections, and the other shape in every size with the best
/// number of connections.
async fn trials(lab: &Lab, mix: Mix) -> Result<Vec<(Way, f64)>> {
    let (sizes, connections) = (lab.budget.trial_batches, lab.budget.trial_connections);
    let way = |shape, batch, connections| Way {
        shape,
        batch,
        connections,
    };
    let mut tried = Vec::new();
    for &batch in sizes {
        for &connections in connections {
            tried.push(trial(lab, mix, way(Shape::Unnest, batch, connections)).await?);
        }
    }
    let connections = fastest(&tried)?.connections;
    for &batch in sizes {
        tried.push(trial(lab, mix, way(Shape::Values, batch, connections)).await?);
    }
    Ok(tried)
}

async fn trial(lab: &Lab, mix: Mix, way: Way) -> Result<(Way, f64)> {
    let most = lab.budget.trial_bytes / mix.payload_bytes as u64;
    let stream = Stream {
        mix,
        first: 0,
        count: lab.budget.trial_events.min(most),
    };
    let database = lab.database().await?;
    let inserted = insert(lab, &database, stream, way).await?;
    lab.remove(database).await?;
    Ok((way, inserted.rate))
}

fn fastest(tried: &[(Way, f64)]) -> Result<Way> {
    let fastest = tried.iter().max_by(|(_, a), (_, b)| a.total_cmp(b));
    Ok(fastest.context("there are ways to try")?.0)
}

/// Inserts a stream. The figure counts duplicates too: it is compared with events, of which as many are duplicates.
pub(crate) async fn insert(
    lab: &Lab,
    database: &Database,
    stream: Stream,
    way: Way,
) -> Result<Inserted> {
    let batches = Arc::new(batches(stream, way.batch));
    let statement: Arc<str> = statement(way).into();
    let mut connections = Vec::new();
    for _ in 0..way.connections {
        connections.push(database.connect().await?);
    }
    lab.checkpoint().await?;
    let [_, postgres] = lab.parties();
    let meter = Meter::start(&[Party::generator(), postgres])?;
    let (started, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let mut inserting = JoinSet::new();
    for connection in connections {
        let (batches, statement, next) = (batches.clone(), statement.clone(), next.clone());
        inserting.spawn(insert_some(connection, batches, statement, way, next));
    }
    let mut rows = 0;
    let mut still_open = Vec::new();
    while let Some(ended) = inserting.join_next().await {
        let (connection, inserted) = ended??;
        rows += inserted;
        still_open.push(connection);
    }
    let rate = float(stream.count) / started.elapsed().as_secs_f64();
    let shares = meter.shares()?;
    ensure!(
        rows == stream.unique(),
        "the floor inserted {rows} rows instead of {}",
        stream.unique()
    );
    Ok(Inserted { rate, shares })
}

fn batches(stream: Stream, size: usize) -> Vec<Batch> {
    let factory = Factory::new();
    let numbers: Vec<u64> = stream.numbers().collect();
    let batch = |numbers: &[u64]| {
        let mut events: Vec<_> = numbers
            .iter()
            .map(|&number| factory.event(number, stream.mix.payload_bytes))
            .collect();
        // In key order, or two connections with the same keys would deadlock.
        events.sort_by(|a, b| a.key().cmp(&b.key()));
        let mut batch = Batch::default();
        for event in events {
            batch.topics.push(event.topic.as_str().to_owned());
            batch.ids.push(event.event_id.as_str().to_owned());
            batch.sources.push(event.source.as_str().to_owned());
            batch.payloads.push(event.payload.as_str().to_owned());
            batch.timestamps.push(event.timestamp.as_datetime());
            batch.received.push(event.receipt_id.received_at());
            batch.receipts.push(event.receipt_id.0);
        }
        batch
    };
    numbers.chunks(size).map(batch).collect()
}

fn statement(way: Way) -> String {
    match way.shape {
        Shape::Unnest => format!("{INTO}{FROM_ARRAYS}{UNLESS_THERE}"),
        Shape::Values => values_statement(way.batch),
    }
}

fn values_statement(rows: usize) -> String {
    assert!(rows <= MAX_VALUES_ROWS, "too many parameters");
    let row = |at: usize| {
        let parameters = (1..=COLUMNS).map(|column| {
            let cast = if column == PAYLOAD { "::jsonb" } else { "" };
            format!("${}{cast}", COLUMNS * at + column)
        });
        format!("({})", parameters.collect::<Vec<_>>().join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!("{INTO}VALUES {} {UNLESS_THERE}", rows.join(", "))
}

async fn insert_some(
    mut connection: PgConnection,
    batches: Arc<Vec<Batch>>,
    statement: Arc<str>,
    way: Way,
    next: Arc<AtomicUsize>,
) -> Result<(PgConnection, u64)> {
    let mut inserted = 0;
    while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
        inserted += match way.shape {
            Shape::Unnest => arrays(&mut connection, batch, &statement).await?,
            Shape::Values => values(&mut connection, batch, way, &statement).await?,
        };
    }
    Ok((connection, inserted))
}

async fn arrays(
    connection: &mut PgConnection,
    batch: &Batch,
    statement: &Arc<str>,
) -> sqlx::Result<u64> {
    let done = sqlx::query(AssertSqlSafe(statement.clone()))
        .bind(&batch.topics)
        .bind(&batch.ids)
        .bind(&batch.sources)
        .bind(&batch.payloads)
        .bind(&batch.timestamps)
        .bind(&batch.received)
        .bind(&batch.receipts)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

/// A batch may be a short one, also the only one, and then needs a statement of its own.
async fn values(
    connection: &mut PgConnection,
    batch: &Batch,
    way: Way,
    statement: &Arc<str>,
) -> sqlx::Result<u64> {
    let statement = if batch.ids.len() == way.batch {
        statement.clone()
    } else {
        values_statement(batch.ids.len()).into()
    };
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for row in 0..batch.ids.len() {
        query = query
            .bind(&batch.topics[row])
            .bind(&batch.ids[row])
            .bind(&batch.sources[row])
            .bind(&batch.payloads[row])
            .bind(batch.timestamps[row])
            .bind(batch.received[row])
            .bind(batch.receipts[row]);
    }
    Ok(query.execute(connection).await?.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;

    #[test]
    fn batches_have_every_delivery_and_are_in_key_order() {
        let stream = Stream {
            mix: Mix::with_duplicates(30),
            first: 0,
            count: 2500,
        };
        let batches = batches(stream, 1000);
        let sizes: Vec<usize> = batches.iter().map(|batch| batch.ids.len()).collect();
        assert_eq!(sizes, [1000, 1000, 500]);
        for batch in &batches {
            let keys: Vec<_> = batch.topics.iter().zip(&batch.ids).collect();
            assert!(keys.is_sorted());
        }
    }

    #[test]
    fn parameters_are_numbered_row_by_row() {
        let statement = values_statement(2);
        assert!(statement.contains("($1, $2, $3, $4::jsonb, $5, $6, $7), ($8, "));
        assert!(statement.contains("$14)"));
    }

    /// Also a stream that is shorter than one statement.
    #[tokio::test]
    async fn every_shape_inserts_streams_that_do_not_fill_their_statements() {
        let lab = Lab::start(Budget::QUICK).await.unwrap();
        for shape in [Shape::Unnest, Shape::Values] {
            for count in [30, 250] {
                let stream = Stream {
                    mix: Mix::with_duplicates(30),
                    first: 0,
                    count,
                };
                let way = Way {
                    shape,
                    batch: 100,
                    connections: 2,
                };
                let database = lab.database().await.unwrap();
                // It fails unless all rows are there.
                insert(&lab, &database, stream, way).await.unwrap();
                lab.remove(database).await.unwrap();
            }
        }
    }
}
