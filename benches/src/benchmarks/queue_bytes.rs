//! How many bytes an event takes while it waits: in the memory of Redis and in its log. The events are log lines of eight systems,
//! of about 250 bytes each, published by 100 a request. `EVENTS_FILE` may name a file of real ones.

use anyhow::{Context, Result, ensure};
use redis::InfoDict;
use tests::events::Logs;

use super::accept::start_publisher;
use crate::{
    generator::Connection,
    lab::{Lab, QUEUE},
    report::{Figure, Goal, Report},
    stats::{Samples, float},
};

/// How many events a request has.
const EVENTS: usize = 100;
/// The goal, in bytes.
const GOAL: f64 = 150.0;
/// The seed of log lines that are generated.
const SEED: u64 = 1;

pub(super) async fn run(lab: &Lab, report: &mut Report) -> Result<()> {
    let logs = Logs::of_a_day(SEED);
    let mut publisher = start_publisher(lab);
    publisher.ready().await?;
    lab.empty_queue().await?;
    let before = Taken::of(lab).await?;
    let mut connection = Connection::open(publisher.address).await?;
    let mut sent = 0;
    for events in logs.events.chunks(EVENTS) {
        let body = serde_json::to_vec(events)?;
        sent += body.len();
        let head = format!(
            "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), &body].concat();
        let status = connection.exchange(&request).await?;
        ensure!(status == 202, "a request was answered {status}");
    }
    let after = Taken::of(lab).await?;
    publisher.stop().await?;
    let depth = lab.depth(QUEUE).await?;
    let events = logs.events.len() as u64;
    ensure!(
        depth.pending == events,
        "{} events wait instead of {events}",
        depth.pending
    );
    let note = format!(
        "{:.0} bytes each in the requests",
        float(sent as u64) / float(events)
    );
    for (case, bytes) in [
        ("waiting, in memory", after.memory - before.memory),
        ("waiting, in the log", after.log - before.log),
    ] {
        let samples: Samples = [float(bytes) / float(events)].into_iter().collect();
        let figure = Figure::alone("queue-bytes", case, "bytes an event", &samples);
        report.add(figure.goal(Goal::AtMost(GOAL)).note(note.clone()));
    }
    Ok(())
}

/// Bytes that Redis takes.
struct Taken {
    memory: u64,
    log: u64,
}

impl Taken {
    async fn of(lab: &Lab) -> Result<Self> {
        let info: InfoDict = lab.info().await?;
        let number = |name: &str| info.get(name).with_context(|| format!("{name} in INFO"));
        Ok(Self {
            memory: number("used_memory_dataset")?,
            log: number("aof_current_size")?,
        })
    }
}
