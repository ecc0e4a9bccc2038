//! Drains into a database that has rows already, beside the floor's own curve; and what a row takes on the disk.

use anyhow::{Context, Result};
use sqlx::AssertSqlSafe;

use crate::{
    drain, floor,
    lab::{Database, Lab},
    machine,
    processes::Share,
    report::{Figure, Goal, Report},
    stats::{Pairs, Samples, float},
    workload::{Mix, PAYLOAD_BYTES, Stream},
};

/// With the most rows, of the rate with those that the curve begins with.
const GOAL: f64 = 0.8;
/// Which of the sizes that is: the first that is not empty.
const FROM: usize = 1;
/// What a row takes of the disk, with indexes, log, and room to spare.
const BYTES_A_ROW: u64 = 1000;
/// Numbers of the events that are measured with begin here, above those of rows that are there.
const FIRST: u64 = 1 << 40;

const INDEX: &str = "processed_events_topic_event_id_key";
/// Without its index, rows are stored many times faster.
const DROP_INDEX: &str =
    "ALTER TABLE processed_events DROP CONSTRAINT processed_events_topic_event_id_key";
/// As full as pages are once keys have come in any order: sorted and packed, every page would split at the first insertion.
const ADD_INDEX: &str = "ALTER TABLE processed_events
    ADD CONSTRAINT processed_events_topic_event_id_key UNIQUE (topic, event_id) WITH (fillfactor = 70)";

/// A database with rows, and what was measured with it.
struct Grown {
    rows: u64,
    database: Database,
    drains: Samples,
    /// Drains beside the floor.
    beside_floor: Pairs,
    /// Beside the size that the curve begins with, in the same round.
    beside_first: Pairs,
    floor_beside_first: Pairs,
    shares: Vec<Share>,
    size: String,
}

pub(super) async fn run(lab: &Lab, report: &mut Report) -> Result<()> {
    let mut all = grow(lab, report).await?;
    let first = FROM.min(all.len() - 1);
    let way = floor::best(lab, Mix::UNIQUE).await?;
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
            let inserted = floor::insert(lab, &grown.database, stream, way).await?;
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
                "growth with {rows} rows: that takes up to {} GB, and {} GB are free in {}",
                rows * BYTES_A_ROW / 1_000_000_000,
                free / 1_000_000_000,
                lab.data().display()
            ));
            break;
        }
        let (present, database) = match all.last() {
            Some(grown) => (grown.rows, lab.copy(grown.database.name()).await?),
            None => (0, lab.database().await?),
        };
        let size = insert_rows(&database, present, rows).await?;
        lab.checkpoint().await?;
        eprintln!("  {rows} rows are there");
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

/// Brings the rows from so many to so many; tells what one takes.
async fn insert_rows(database: &Database, present: u64, rows: u64) -> Result<String> {
    if rows == present {
        return Ok(String::new());
    }
    let mut connection = database.connect().await?;
    // Ids as long and as scattered as those of the workload, payloads as long.
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
        "{:.0} bytes a row, {:.0} bytes a key in its index",
        each(table)?,
        each(key)?
    ))
}
