//! Drains into a database that already has rows, beside the floor with the same rows. Also, how much of the disk a row takes.

use anyhow::{Context, Result};
use sqlx::AssertSqlSafe;

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
const GOAL: f64 = 0.8;
/// The size at which the curve begins: the first that is not empty.
const FROM: usize = 1;
/// How much of the disk a row takes at most, with its indexes and its part of the log.
const BYTES_A_ROW: u64 = 1000;
/// The number of the first event that is measured; the rows that are there before have smaller numbers.
const FIRST: u64 = 1 << 40;

const INDEX: &str = "processed_events_topic_event_id_key";
/// Without this index, the rows are stored many times faster.
const DROP_INDEX: &str =
    "ALTER TABLE processed_events DROP CONSTRAINT processed_events_topic_event_id_key";
/// The pages of the new index are as full as they would be if the keys had arrived in random order. If they were full, every
/// page would split at its first insertion.
const ADD_INDEX: &str = "ALTER TABLE processed_events
    ADD CONSTRAINT processed_events_topic_event_id_key UNIQUE (topic, event_id) WITH (fillfactor = 70)";

/// A database with rows, and what was measured on it.
struct Grown {
    rows: u64,
    database: Database,
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
            let drained = drain::all(lab, &grown.database, stream, &[]).await?;
            stream.first += stream.count;
            let inserted = floor.insert(&grown.database, stream, method).await?;
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
        report.add(figure.shares(grown.shares).note(grown.size));
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
        lab.remove(grown.database).await?;
    }
    Ok(())
}

/// A database of each size, as far as the disk allows.
async fn grow(lab: &Lab, report: &mut Report) -> Result<Vec<Grown>> {
    let mut all: Vec<Grown> = Vec::new();
    for &rows in lab.budget.growth_rows {
        let free = machine::free_disk(lab.data())?;
        if rows.saturating_mul(BYTES_A_ROW) > free {
            report.skip(format!(
                "growth with {rows} rows, because that takes up to {} GB and {} has only {} GB free",
                rows * BYTES_A_ROW / 1_000_000_000,
                lab.data().display(),
                free / 1_000_000_000,
            ));
            break;
        }
        let (present, database) = match all.last() {
            Some(grown) => (grown.rows, lab.copy(grown.database.name()).await?),
            None => (0, lab.database().await?),
        };
        let size = insert_rows(&database, present, rows).await?;
        lab.checkpoint().await?;
        eprintln!("  {rows} rows are in the database");
        all.push(Grown {
            rows,
            database,
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

/// Adds rows until there are `rows` of them; returns how much of the disk a row takes.
async fn insert_rows(database: &Database, present: u64, rows: u64) -> Result<String> {
    if rows == present {
        return Ok(String::new());
    }
    let mut connection = database.connect().await?;
    // The ids are as long and as scattered as those of the workload, and the payloads are as long.
    let text = PAYLOAD_BYTES - 30;
    let insert = format!(
        "INSERT INTO processed_events
            (topic, event_id, source, payload, event_timestamp, received_at, receipt_id)
         SELECT 'bench/' || lpad((n % 16)::text, 2, '0'), md5(n::text), 'benches',
                jsonb_build_object('n', lpad(n::text, 12, '0'), 'text', left(repeat(md5('t' || n), 10), {text})),
                now(), now(), md5('r' || n)::uuid
         FROM generate_series({present} + 1, {rows}::bigint) AS n"
    );
    let tune = "SET maintenance_work_mem = '1GB'; SET synchronous_commit = off";
    for statement in [
        tune,
        DROP_INDEX,
        &insert,
        ADD_INDEX,
        "VACUUM ANALYZE processed_events",
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
            .with_context(|| statement.to_owned())?;
    }
    let (table, key): (i64, i64) = sqlx::query_as(
        "SELECT pg_table_size('processed_events'), pg_relation_size($1::text::regclass)",
    )
    .bind(INDEX)
    .fetch_one(&mut connection)
    .await?;
    let each = |bytes: i64| Ok::<_, anyhow::Error>(float(bytes.try_into()?) / float(rows));
    Ok(format!(
        "{:.0} bytes per row, {:.0} bytes per key in its index",
        each(table)?,
        each(key)?
    ))
}
