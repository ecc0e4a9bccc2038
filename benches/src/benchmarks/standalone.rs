//! The standalone program accepts and commits events, beside a bare insertion into SQLite.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::accept::CONNECTIONS;
use crate::{
    generator::{self, Connection, Load, Pace, Template, get},
    lab::Lab,
    processes::{Memory, Meter, ProcessGroup, Share},
    report::{Figure, Goal, Report},
    services::Service,
    sqlite,
    stats::{Pairs, float},
    workload::{Mix, PAYLOAD_BYTES, Stream},
};

/// How many events a request has, and the goal.
const CASES: [(u64, Option<f64>); 2] = [(1, None), (100, Some(0.95))];

pub(super) async fn run(lab: &Lab, report: &mut Report) -> Result<()> {
    let stream = Stream {
        mix: Mix::UNIQUE,
        first: 0,
        count: lab.budget.drain_events,
    };
    let mut tried = Vec::new();
    for batch in sqlite::BATCHES {
        let rate = sqlite::insert(folder()?.path(), stream, batch).await?;
        eprintln!("  bare SQLite, {batch} rows per statement: {rate:.0} rows/s");
        tried.push((rate, batch));
    }
    tried.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let (_, batch) = tried.pop().context("no size was tried")?;

    for (events, goal) in CASES {
        let (mut pairs, mut shares) = (Pairs::default(), Vec::new());
        for _ in 0..lab.budget.pairs {
            let committed = publish(lab, folder()?.path(), events).await?;
            // Both insert the same number of rows, because a transaction changes more pages when there are more rows.
            let as_many = Stream {
                count: committed.events,
                ..stream
            };
            let bare = sqlite::insert(folder()?.path(), as_many, batch).await?;
            pairs.push(committed.rate, bare);
            shares = committed.shares;
        }
        let case = format!("{events} a request, {CONNECTIONS} connections");
        let figure = Figure::beside("standalone", case, "events/s", &pairs).shares(shares);
        let figure = figure.note(format!("bare: {batch} rows per statement"));
        report.add(match goal {
            Some(goal) => figure.goal(Goal::AtLeast(goal)),
            None => figure,
        });
    }
    Ok(())
}

/// The result of a load.
pub(super) struct Committed {
    events: u64,
    /// Events per second.
    rate: f64,
    shares: Vec<Share>,
    pub(super) memory: Memory,
}

/// Publishes to a new database in this folder. Each answer follows the commit, so the counters must be right after the last.
pub(super) async fn publish(lab: &Lab, folder: &Path, events: u64) -> Result<Committed> {
    let url = sqlite::url(&folder.join("events.db"));
    let mut standalone = Service::start("event-aggregator", &[("DATABASE_URL", &url)]);
    standalone.ready().await?;
    let template = Template::events("/publish", events, PAYLOAD_BYTES);
    let load = Load {
        server: standalone.address,
        template: &template,
        expected: 202,
        connections: CONNECTIONS,
        pace: Pace::SaturateFor(lab.budget.load),
    };
    let meter = Meter::start(&[ProcessGroup::generator(), standalone.group])?;
    let served = generator::send(&load).await?;
    let (shares, memory) = (meter.shares()?, Memory::of(standalone.id())?);
    let (_, body) = get(&mut Connection::open(standalone.address).await?, "/stats").await?;
    let stats: Value = serde_json::from_slice(&body)?;
    let accepted = served.requests * events;
    ensure!(
        stats["unique_processed"].as_u64() == Some(accepted),
        "{accepted} events were accepted, but the counters are {stats}"
    );
    standalone.stop().await?;
    Ok(Committed {
        events: accepted,
        rate: served.rate() * float(events),
        shares,
        memory,
    })
}

/// A folder for a database. It is removed when it is dropped.
pub(super) fn folder() -> Result<TempDir> {
    tempfile::tempdir().context("a temporary folder cannot be made")
}
