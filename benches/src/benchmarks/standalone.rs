//! The program that needs no servers: accepted and committed, beside the bare insertion into SQLite.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::accept::CONNECTIONS;
use crate::{
    generator::{self, Connection, Load, Pace, Template, get},
    lab::Lab,
    processes::{Memory, Meter, Party, Share},
    report::{Figure, Goal, Report},
    services::Service,
    sqlite,
    stats::{Pairs, float},
    workload::{Mix, PAYLOAD_BYTES, Stream},
};

/// Events in a request, and the goal.
const CASES: [(u64, Option<f64>); 2] = [(1, None), (100, Some(0.8))];

pub(super) async fn run(lab: &Lab, report: &mut Report) -> Result<()> {
    let stream = Stream {
        mix: Mix::UNIQUE,
        first: 0,
        count: lab.budget.drain_events,
    };
    let mut tried = Vec::new();
    for batch in sqlite::BATCHES {
        let rate = sqlite::insert(folder()?.path(), stream, batch).await?;
        eprintln!("  bare SQLite, {batch} rows a statement: {rate:.0} rows/s");
        tried.push((rate, batch));
    }
    tried.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let (_, batch) = tried.pop().context("sizes to try")?;

    for (events, goal) in CASES {
        let (mut pairs, mut shares) = (Pairs::default(), Vec::new());
        for _ in 0..lab.budget.pairs {
            let committed = publish(lab, folder()?.path(), events).await?;
            // As many rows: the more there are, the more pages a transaction changes.
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
        let figure = figure.note(format!("bare: {batch} rows a statement"));
        report.add(match goal {
            Some(goal) => figure.goal(Goal::AtLeast(goal)),
            None => figure,
        });
    }
    Ok(())
}

/// What a load came to.
pub(super) struct Committed {
    events: u64,
    /// Of them, a second.
    rate: f64,
    shares: Vec<Share>,
    pub(super) memory: Memory,
}

/// Publishes to a new database in this folder. Each answer came after the commit, so the counters must be right by then.
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
    let meter = Meter::start(&[Party::generator(), standalone.party])?;
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

/// For a database; removed when dropped.
pub(super) fn folder() -> Result<TempDir> {
    tempfile::tempdir().context("a temporary folder")
}
