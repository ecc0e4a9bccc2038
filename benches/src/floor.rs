//! What PostgreSQL can do alone: it stores the same rows in the table of the first bucket, by multi-row
//! `INSERT … ON CONFLICT DO NOTHING` statements, each of which is a transaction. There is no queue and there are no counters, and
//! the rows are prepared before the clock starts.

use std::{
    cell::RefCell,
    collections::HashMap,
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
    processes::{Meter, ProcessGroup, Share},
    stats::float,
    workload::{Factory, Mix, Stream},
};

/// The largest number of rows in a statement with `VALUES`: a statement has at most 65535 parameters, and a row has seven.
const MAX_VALUES_ROWS: usize = 9000;

/// How many columns a row has.
const COLUMNS: usize = 7;
/// Which of them is JSON, from 1.
const PAYLOAD: usize = 4;
const INTO: &str = "INSERT INTO processed_events_0 \
    (topic, event_id, source, payload, event_timestamp, received_at, receipt_id) ";
const FROM_ARRAYS: &str = "SELECT t, e, s, p::jsonb, at, r, id FROM unnest($1::text[], $2::text[], $3::text[], \
    $4::text[], $5::timestamptz[], $6::timestamptz[], $7::uuid[]) AS rows (t, e, s, p, at, r, id) ";
const UNLESS_THERE: &str = "ON CONFLICT (topic, event_id) DO NOTHING";

/// The floor: it inserts rows, and it knows which method is the fastest for each mix.
pub(crate) struct Floor<'a> {
    lab: &'a Lab,
    /// The fastest method for each mix for which the methods were tried.
    fastest: RefCell<HashMap<Mix, Method>>,
}

/// A method to insert rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Method {
    shape: Shape,
    /// How many rows a statement has.
    batch: usize,
    connections: usize,
}

/// How a statement gets its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `VALUES ($1, …), ($8, …)`
    Values,
    /// One array for each column.
    Unnest,
}

impl fmt::Display for Method {
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

/// The result of an insertion.
pub(crate) struct Inserted {
    /// Deliveries per second.
    pub(crate) rate: f64,
    pub(crate) shares: Vec<Share>,
}

/// Rows by column, as a statement takes them.
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

impl<'a> Floor<'a> {
    /// The floor of the PostgreSQL in this lab.
    pub(crate) fn of(lab: &'a Lab) -> Self {
        Self {
            lab,
            fastest: RefCell::default(),
        }
    }

    /// The fastest method for this mix. The methods are tried once for each mix.
    pub(crate) async fn fastest(&self, mix: Mix) -> Result<Method> {
        let known = self.fastest.borrow().get(&mix).copied();
        if let Some(method) = known {
            return Ok(method);
        }
        let tried = self.try_methods(mix).await?;
        let method = fastest(&tried)?;
        let (percent, bytes) = (mix.duplicate_percent, mix.payload_bytes);
        eprintln!("  floor with {percent} % duplicates and payloads of {bytes} bytes:");
        for (method, rate) in tried {
            eprintln!("    {rate:.0} rows/s: {method}");
        }
        self.fastest.borrow_mut().insert(mix, method);
        Ok(method)
    }

    /// The rate of each method that is tried: arrays with every batch size and every number of connections, and `VALUES` with
    /// every batch size and the best number of connections.
    async fn try_methods(&self, mix: Mix) -> Result<Vec<(Method, f64)>> {
        let budget = &self.lab.budget;
        let method = |shape, batch, connections| Method {
            shape,
            batch,
            connections,
        };
        let mut tried = Vec::new();
        for &batch in budget.trial_batches {
            for &connections in budget.trial_connections {
                let method = method(Shape::Unnest, batch, connections);
                tried.push((method, self.try_method(mix, method).await?));
            }
        }
        let connections = fastest(&tried)?.connections;
        for &batch in budget.trial_batches {
            let method = method(Shape::Values, batch, connections);
            tried.push((method, self.try_method(mix, method).await?));
        }
        Ok(tried)
    }

    async fn try_method(&self, mix: Mix, method: Method) -> Result<f64> {
        let budget = &self.lab.budget;
        let most = budget.trial_bytes / mix.payload_bytes as u64;
        let stream = Stream {
            mix,
            first: 0,
            count: budget.trial_events.min(most),
        };
        let database = self.lab.database().await?;
        let inserted = self.insert(&database, stream, method).await?;
        self.lab.remove(database).await?;
        Ok(inserted.rate)
    }

    /// Inserts a stream. The rate counts duplicates, too, because it is compared with a rate of deliveries.
    pub(crate) async fn insert(
        &self,
        database: &Database,
        stream: Stream,
        method: Method,
    ) -> Result<Inserted> {
        let batches = Arc::new(batches(stream, method.batch));
        let statement: Arc<str> = statement(method).into();
        let mut connections = Vec::new();
        for _ in 0..method.connections {
            connections.push(database.connect().await?);
        }
        self.lab.checkpoint().await?;
        let [_, postgres] = self.lab.groups();
        let meter = Meter::start(&[ProcessGroup::generator(), postgres])?;
        let (started, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
        let mut inserting = JoinSet::new();
        for connection in connections {
            let (batches, statement, next) = (batches.clone(), statement.clone(), next.clone());
            inserting.spawn(insert_some(connection, batches, statement, method, next));
        }
        let mut rows = 0;
        // The connections stay open until the clock has stopped.
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
}

fn fastest(tried: &[(Method, f64)]) -> Result<Method> {
    let fastest = tried.iter().max_by(|(_, a), (_, b)| a.total_cmp(b));
    Ok(fastest.context("no method was tried")?.0)
}

fn batches(stream: Stream, size: usize) -> Vec<Batch> {
    let factory = Factory::new();
    let numbers: Vec<u64> = stream.numbers().collect();
    let batch = |numbers: &[u64]| {
        let mut events: Vec<_> = numbers
            .iter()
            .map(|&number| factory.event(number, stream.mix.payload_bytes))
            .collect();
        // All batches are in key order, because two connections with the same keys would deadlock otherwise.
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

fn statement(method: Method) -> String {
    match method.shape {
        Shape::Unnest => format!("{INTO}{FROM_ARRAYS}{UNLESS_THERE}"),
        Shape::Values => values_statement(method.batch),
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
    method: Method,
    next: Arc<AtomicUsize>,
) -> Result<(PgConnection, u64)> {
    let mut inserted = 0;
    while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
        inserted += match method.shape {
            Shape::Unnest => arrays(&mut connection, batch, &statement).await?,
            Shape::Values => values(&mut connection, batch, method, &statement).await?,
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

/// The last batch may be shorter than the others, and then it needs a statement of its own.
async fn values(
    connection: &mut PgConnection,
    batch: &Batch,
    method: Method,
    statement: &Arc<str>,
) -> sqlx::Result<u64> {
    let statement = if batch.ids.len() == method.batch {
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
    fn batches_hold_every_delivery_in_key_order() {
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

    /// One of the streams is shorter than one statement.
    #[tokio::test]
    async fn every_shape_inserts_streams_that_do_not_fill_their_statements() {
        let lab = Lab::start(Budget::QUICK).await.unwrap();
        let floor = Floor::of(&lab);
        for shape in [Shape::Unnest, Shape::Values] {
            for count in [30, 250] {
                let stream = Stream {
                    mix: Mix::with_duplicates(30),
                    first: 0,
                    count,
                };
                let method = Method {
                    shape,
                    batch: 100,
                    connections: 2,
                };
                let database = lab.database().await.unwrap();
                // This fails unless all rows are there.
                floor.insert(&database, stream, method).await.unwrap();
                lab.remove(database).await.unwrap();
            }
        }
    }
}
