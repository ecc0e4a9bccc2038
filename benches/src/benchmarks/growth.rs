//! Drains into a ledger that already has rows: in buckets, as the aggregator keeps it, and beside the floor with the same rows in
//! one table. Also, how much of the disk a row takes.

use anyhow::{Context, Result};
use sqlx::AssertSqlSafe;
use store::{Rules, Step, Store, postgres::Postgres};

use crate::{
    drain,
    floor::Floor,
    lab::{Database, Lab},
    machine,
    processes::Share,
    report::{Figure, Goal, Report},
    stats::{Pairs, Samples, float},
    workload::{Mix, PAYLOAD_BYTES, Stream},
};

/// The goal: the rate with the most rows, as a share of the rate at the beginning of the curve.
const GOAL: f64 = 0.9;
/// The goal: the rate with the most rows, as a multiple of the floor's with as many rows in one table.
const GOAL_BESIDE_FLOOR: f64 = 1.5;
/// The goal: bits of memory that the filters take for an identity in a closed bucket.
const GOAL_FILTER_BITS: f64 = 20.0;
/// The size at which the curve begins: the first that is not empty.
const FROM: usize = 1;
/// How much of the disk a row takes at most, with its indexes and its part of the log.
const BYTES_A_ROW: u64 = 1000;
/// The number of the first event that is measured; the rows that are there before have smaller numbers.
const FIRST: u64 = 1 << 40;

/// Databases with as many rows, and what was measured on them.
struct Grown {
    rows: u64,
    /// All rows are in one table.
    bare: Database,
    /// The rows are in buckets.
    ledger: Database,
    /// Bits that the filters take for an identity in a closed bucket, if there is one.
    filter_bits: Option<f64>,
    drains: Samples,
    /// Drains, beside the floor.
    beside_floor: Pairs,
    /// Drains, beside the drain of the same round at the beginning of the curve.
    beside_first: Pairs,
    /// The same for the floor.
    floor_beside_first: Pairs,
    shares: Vec<Share>,
    size: String,
}

pub(super) async fn run(lab: &Lab, floor: &Floor<'_>, report: &mut Report) -> Result<()> {
    let mut all = grow(lab, report).await?;
    let bucket = lab.budget.growth_bucket.to_string();
    let settings = [("BUCKET_EVENTS", bucket.as_str())];
    let first = FROM.min(all.len() - 1);
    let method = floor.fastest(Mix::UNIQUE).await?;
    let mut stream = Stream {
        mix: Mix::UNIQUE,
        first: FIRST,
        count: lab.budget.drain_events,
    };
    for _ in 0..lab.budget.growth_rounds {
        let mut rates = Vec::new();
        for grown in &mut all {
            let drained = drain::all(lab, &grown.ledger, stream, &settings).await?;
            stream.first += stream.count;
            let inserted = floor.insert(&grown.bare, stream, method).await?;
            stream.first += stream.count;
            grown.shares = drained.shares;
            rates.push((drained.rate, inserted.rate));
        }
        let (first_drain, first_floor) = rates[first];
        for (grown, (drained, inserted)) in all.iter_mut().zip(rates) {
            grown.drains.push(drained);
            grown.beside_floor.push(drained, inserted);
            grown.beside_first.push(drained, first_drain);
            grown.floor_beside_first.push(inserted, first_floor);
        }
    }
    let (from, most) = (all[first].rows, all[all.len() - 1].rows);
    for grown in all {
        let rows = grown.rows;
        let case = format!("{rows} rows, drain beside floor");
        let figure = Figure::beside("growth", case, "events/s", &grown.beside_floor);
        let figure = figure.shares(grown.shares).note(grown.size);
        report.add(if rows == most {
            figure.goal(Goal::AtLeast(GOAL_BESIDE_FLOOR))
        } else {
            figure
        });
        if let Some(bits) = grown.filter_bits {
            let case = format!("{rows} rows, filters");
            let bits: Samples = [bits].into_iter().collect();
            let figure = Figure::alone("growth", case, "bits an identity", &bits);
            report.add(figure.goal(Goal::AtMost(GOAL_FILTER_BITS)));
        }
        let case = format!("{rows} rows, drain beside {from} rows");
        let figure = Figure::beside("growth", case, "events/s", &grown.beside_first);
        report.add(if rows == most {
            figure.goal(Goal::AtLeast(GOAL))
        } else {
            figure
        });
        let case = format!("{rows} rows, floor beside {from} rows");
        report.add(Figure::beside(
            "growth",
            case,
            "rows/s",
            &grown.floor_beside_first,
        ));
        lab.remove(grown.bare).await?;
        lab.remove(grown.ledger).await?;
    }
    Ok(())
}

/// Databases of each size, as far as the disk allows.
async fn grow(lab: &Lab, report: &mut Report) -> Result<Vec<Grown>> {
    let mut all: Vec<Grown> = Vec::new();
    for &rows in lab.budget.growth_rows {
        let free = machine::free_disk(lab.data())?;
        if rows.saturating_mul(2 * BYTES_A_ROW) > free {
            report.skip(format!(
                "growth with {rows} rows, because that takes up to {} GB and {} has only {} GB free",
                2 * rows * BYTES_A_ROW / 1_000_000_000,
                lab.data().display(),
                free / 1_000_000_000,
            ));
            break;
        }
        let (present, bare, ledger) = match all.last() {
            Some(grown) => (
                grown.rows,
                lab.copy(grown.bare.name()).await?,
                lab.copy(grown.ledger.name()).await?,
            ),
            None => (0, lab.database().await?, lab.database().await?),
        };
        let size = insert_rows(&bare, 0, present, rows).await?;
        let filter_bits = fill_buckets(&ledger, lab.budget.growth_bucket, present, rows).await?;
        lab.checkpoint().await?;
        eprintln!("  {rows} rows are in each database");
        all.push(Grown {
            rows,
            bare,
            ledger,
            filter_bits,
            drains: Samples::default(),
            beside_floor: Pairs::default(),
            beside_first: Pairs::default(),
            floor_beside_first: Pairs::default(),
            shares: Vec::new(),
            size,
        });
    }
    Ok(all)
}

/// Adds rows to the buckets of a ledger until there are `rows` of them, and closes each bucket that is full. What is left is in the
/// open one.
pub(super) async fn fill_buckets(
    database: &Database,
    bucket_events: u64,
    mut present: u64,
    rows: u64,
) -> Result<Option<f64>> {
    let store = Postgres::from_url(database.url(), 1)?;
    let rules = Rules {
        bucket_events,
        bucket_age: None,
        retention: None,
    };
    let mut open = i32::try_from(present / bucket_events)?;
    while present < rows {
        let full = bucket_events * (u64::try_from(open)? + 1);
        let until = rows.min(full);
        insert_rows(database, open, present, until).await?;
        let counted = format!(
            "UPDATE agg_stats SET received = {until}, unique_processed = {until} WHERE slot = 1"
        );
        let mut connection = database.connect().await?;
        sqlx::raw_sql(AssertSqlSafe(counted))
            .execute(&mut connection)
            .await?;
        while let Some(step) = store.keep(&rules).await? {
            if matches!(step, Step::Closed { .. }) {
                open += 1;
            }
        }
        present = until;
    }
    let filters = store.filters().filter(|filters| filters.filters > 0);
    let bits = filters.map(|filters| {
        let identities = filters.filters as u64 * bucket_events;
        8.0 * float(filters.bytes as u64) / float(identities)
    });
    store.close().await;
    Ok(bits)
}

/// Adds rows to a bucket until there are `rows` of them in all; returns how much of the disk a row of it takes.
async fn insert_rows(database: &Database, bucket: i32, present: u64, rows: u64) -> Result<String> {
    if rows == present {
        return Ok(String::new());
    }
    let mut connection = database.connect().await?;
    let table = format!("processed_events_{bucket}");
    let index = format!("{table}_topic_event_id_key");
    // Without this index, the rows are stored many times faster.
    let drop_index = format!("ALTER TABLE {table} DROP CONSTRAINT {index}");
    // The pages of the new index are as full as they would be if the keys had arrived in random order. If they were full, every
    // page would split at its first insertion.
    let add_index = format!(
        "ALTER TABLE {table} ADD CONSTRAINT {index} UNIQUE (topic, event_id) WITH (fillfactor = 70)"
    );
    // The ids are as long and as scattered as those of the workload, and the payloads are as long.
    let text = PAYLOAD_BYTES - 30;
    let insert = format!(
        "INSERT INTO {table}
            (topic, event_id, source, payload, event_timestamp, received_at, receipt_id)
         SELECT 'bench/' || lpad((n % 16)::text, 2, '0'), md5(n::text), 'benches',
                jsonb_build_object('n', lpad(n::text, 12, '0'), 'text', left(repeat(md5('t' || n), 10), {text})),
                now(), now(), md5('r' || n)::uuid
         FROM generate_series({present} + 1, {rows}::bigint) AS n"
    );
    let tune = "SET maintenance_work_mem = '1GB'; SET synchronous_commit = off";
    let vacuum = format!("VACUUM ANALYZE {table}");
    for statement in [tune, &drop_index, &insert, &add_index, &vacuum] {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
            .with_context(|| statement.to_owned())?;
    }
    let sizes = format!(
        "SELECT pg_table_size('{table}'), pg_relation_size('{index}'), (SELECT count(*) FROM {table})"
    );
    let (table, key, rows): (i64, i64, i64) = sqlx::query_as(AssertSqlSafe(sizes))
        .fetch_one(&mut connection)
        .await?;
    let each =
        |bytes: i64| Ok::<_, anyhow::Error>(float(bytes.try_into()?) / float(rows.try_into()?));
    Ok(format!(
        "{:.0} bytes per row, {:.0} bytes per key in its index",
        each(table)?,
        each(key)?
    ))
}
