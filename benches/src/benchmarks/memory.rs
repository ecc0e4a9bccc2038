//! The memory of each program: what is resident when it is idle, and the largest amount under full load.
//!
//! The system itself records the largest amount (`VmHWM`), so no short peak is missed.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::{
    accept::{CONNECTIONS, start_publisher},
    standalone,
};
use crate::{
    drain,
    generator::{self, Load, Pace, Template},
    lab::{Lab, QUEUE},
    processes::Memory,
    report::{Figure, Goal, Report},
    services::Service,
    sqlite,
    stats::Samples,
    workload::{Mix, PAYLOAD_BYTES, Stream},
};

/// The goal of the publisher under load, in MiB.
const PUBLISHER: f64 = 40.0;
/// The goal of the aggregator under load, in MiB.
const AGGREGATOR: f64 = 60.0;
/// The goal of the standalone program under load, in MiB.
const STANDALONE: f64 = 40.0;
/// The part of SQLite's page cache that is not counted, in MiB: the connection that writes fills it
/// (`store::sqlite::WRITER_PRAGMAS`).
const PAGE_CACHE: f64 = 16.0;
/// How long a program is left alone before it counts as idle.
const IDLE_FOR: Duration = Duration::from_secs(1);
/// How many events a request has.
const EVENTS: u64 = 100;
/// How many events a large request has.
const LARGE_REQUEST: u64 = 1000;

pub(super) async fn run(lab: &Lab, report: &mut Report) -> Result<()> {
    publisher(lab, report).await?;
    aggregator(lab, report).await?;
    standalone(lab, report).await
}

async fn publisher(lab: &Lab, report: &mut Report) -> Result<()> {
    for events in [EVENTS, LARGE_REQUEST] {
        lab.empty_queue().await?;
        let mut service = start_publisher(lab);
        let idle = idle(&mut service).await?;
        let template = Template::events("/publish", events, PAYLOAD_BYTES);
        let load = Load {
            server: service.address,
            template: &template,
            expected: 202,
            connections: CONNECTIONS,
            pace: Pace::SaturateFor(lab.budget.load),
        };
        generator::send(&load).await?;
        let loaded = Memory::of(service.id())?;
        service.stop().await?;
        let case = format!("publisher, {events} a request, {CONNECTIONS} connections");
        add(report, case, idle, loaded, PUBLISHER, "");
    }
    Ok(())
}

async fn aggregator(lab: &Lab, report: &mut Report) -> Result<()> {
    lab.empty_queue().await?;
    let database = lab.database().await?;
    let settings = [
        ("DATABASE_URL", database.url()),
        ("REDIS_URL", &*lab.redis_url()),
        ("QUEUE_NAME", QUEUE),
    ];
    let mut service = Service::start("aggregator", &settings);
    let idle = idle(&mut service).await?;
    service.stop().await?;
    let stream = Stream {
        mix: Mix::UNIQUE,
        first: 0,
        count: lab.budget.drain_events,
    };
    let drained = drain::all(lab, &database, stream, &[]).await?;
    lab.remove(database).await?;
    let case = "aggregator, draining".to_owned();
    add(report, case, idle, drained.memory, AGGREGATOR, "");
    Ok(())
}

async fn standalone(lab: &Lab, report: &mut Report) -> Result<()> {
    let folder = standalone::folder()?;
    let url = sqlite::url(&folder.path().join("events.db"));
    let mut service = Service::start("event-aggregator", &[("DATABASE_URL", &url)]);
    let idle = idle(&mut service).await?;
    service.stop().await?;
    let published = standalone::publish(lab, standalone::folder()?.path(), EVENTS).await?;
    let mut loaded = published.memory;
    loaded.peak -= PAGE_CACHE;
    let case = format!("standalone, {EVENTS} a request, {CONNECTIONS} connections");
    let note = format!("SQLite's page cache of {PAGE_CACHE} MiB is not counted");
    add(report, case, idle, loaded, STANDALONE, &note);
    Ok(())
}

async fn idle(service: &mut Service) -> Result<Memory> {
    service.ready().await?;
    sleep(IDLE_FOR).await;
    Memory::of(service.id())
}

fn add(report: &mut Report, case: String, idle: Memory, loaded: Memory, goal: f64, note: &str) {
    let one = |value: f64| [value].into_iter().collect::<Samples>();
    let figure = Figure::alone("memory", case.clone(), "MiB", &one(idle.resident));
    report.add(figure.note("idle"));
    let figure = Figure::alone("memory", case, "MiB", &one(loaded.peak));
    let resident = format!(
        "largest under load; {:.0} at its end. {note}",
        loaded.resident
    );
    let figure = figure.note(resident.trim_end());
    report.add(figure.goal(Goal::AtMost(goal)));
}
