//! `/ingest` with one event per request, beside a handler that runs one `INSERT` per request.

use anyhow::{Context, Result, ensure};

use super::accept::CONNECTIONS;
use crate::{
    drain::Counters,
    generator::{self, Load, Pace, Template},
    lab::{Database, Lab, QUEUE},
    processes::{Meter, ProcessGroup},
    report::{Figure, Goal, Report},
    services::Service,
    stats::Pairs,
    workload::PAYLOAD_BYTES,
};

/// The numbers of connections, and the goal of the ratio.
const CASES: [(usize, f64); 2] = [(CONNECTIONS, 5.0), (512, 10.0)];
/// The numbers of connections to the database that are tried for the handler.
const POOLS: [u32; 3] = [4, 10, 32];

pub(super) async fn run(lab: &Lab, report: &mut Report) -> Result<()> {
    for (connections, goal) in CASES {
        one_case(lab, report, connections, goal).await?;
    }
    Ok(())
}

async fn one_case(lab: &Lab, report: &mut Report, connections: usize, goal: f64) -> Result<()> {
    lab.empty_queue().await?;
    let template = Template::events("/ingest", 1, PAYLOAD_BYTES);
    let load = |service: &Service| Load {
        server: service.address,
        template: &template,
        expected: 200,
        connections,
        pace: Pace::SaturateFor(lab.budget.load),
    };
    let theirs = lab.database().await?;
    let mut tried = Vec::new();
    for pool in POOLS {
        let inserting = start_inserting(&theirs, pool).await?;
        let served = generator::send(&load(&inserting)).await?;
        eprintln!(
            "  one insert per request, {pool} connections: {:.0} requests/s",
            served.rate()
        );
        tried.push((served.rate(), pool));
    }
    tried.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let (_, pool) = tried.pop().context("no number of connections was tried")?;

    let ours = lab.database().await?;
    let settings = [
        ("DATABASE_URL", ours.url()),
        ("REDIS_URL", &*lab.redis_url()),
        ("QUEUE_NAME", QUEUE),
    ];
    let mut aggregator = Service::start("aggregator", &settings);
    aggregator.ready().await?;
    let inserting = start_inserting(&theirs, pool).await?;
    let mut connection = ours.connect().await?;
    let before = Counters::read(&mut connection).await?;
    let mut their_connection = theirs.connect().await?;
    let their_before = Counters::read(&mut their_connection).await?;
    let [_, postgres] = lab.groups();
    let (mut pairs, mut shares) = (Pairs::default(), Vec::new());
    let (mut requests, mut inserts) = (0, 0);
    for _ in 0..lab.budget.pairs {
        let meter = Meter::start(&[ProcessGroup::generator(), aggregator.group, postgres])?;
        let ingested = generator::send(&load(&aggregator)).await?;
        shares = meter.shares()?;
        let inserted = generator::send(&load(&inserting)).await?;
        pairs.push(ingested.rate(), inserted.rate());
        requests += ingested.requests;
        inserts += inserted.requests;
    }
    let rows = before.rows_since(&mut connection).await?;
    let after = Counters::read(&mut connection).await?;
    ensure!(
        rows == requests && after.unique == requests && after.received == requests,
        "{requests} events were ingested, but {rows} rows stored: {after:?}"
    );
    let rows = their_before.rows_since(&mut their_connection).await?;
    ensure!(
        rows == inserts,
        "{inserts} inserts were answered, but {rows} rows stored"
    );
    aggregator.stop().await?;
    drop(inserting);
    for database in [ours, theirs] {
        lab.remove(database).await?;
    }
    let case = format!("1 a request, {connections} connections");
    let figure = Figure::beside("ingest", case, "requests/s", &pairs).goal(Goal::AtLeast(goal));
    report.add(
        figure
            .shares(shares)
            .note(format!("one insert per request over {pool} connections")),
    );
    Ok(())
}

async fn start_inserting(database: &Database, connections: u32) -> Result<Service> {
    let mut service = Service::baseline(&["insert", database.url(), &connections.to_string()]);
    service.ready().await?;
    Ok(service)
}
