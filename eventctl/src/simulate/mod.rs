//! `eventctl simulate`: delivers events as unreliable clients do, and checks that the servers count them exactly.
//!
//! - `plan` decides which event is delivered when, `generator` makes the events
//! - `sending` sends them, `heading` and `view` show the progress
//! - `expected` knows what must be counted, `check` compares, `report` tells

mod check;
mod expected;
mod generator;
mod heading;
mod plan;
mod report;
mod run_id;
mod sending;
mod view;

use std::{
    convert::Infallible,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use event_aggregator_client::{self as client, Client, ListedTopics, Stats};
use tokio_util::sync::CancellationToken;

pub(crate) use self::run_id::RunId;
use self::{
    check::{Check, compare},
    expected::Expected,
    generator::EventGenerator,
    heading::Heading,
    plan::Plan,
    report::Report,
    sending::{Pace, Progress},
};
use crate::{
    cli::SimulateArgs,
    error::Error,
    exit_code::Outcome,
    format::{count, counted},
    output,
};

/// The pause between two readings of the counters.
const READ_EVERY: Duration = Duration::from_millis(200);
/// How long to wait for an empty queue before the start.
const QUIET_WITHIN: Duration = Duration::from_secs(10);
/// How long the servers may still count after a signal.
const DRAINED_AFTER_SIGNAL: Duration = Duration::from_secs(3);
/// Deliveries per second if neither a rate nor a number of events is given.
const DEFAULT_RATE: f64 = 100.0;
/// The time between the timestamps of two events if there is no rate.
const SPACING: TimeDelta = TimeDelta::milliseconds(1);

/// Sends the events, waits until the servers have counted them, and compares.
///
/// # Errors
/// If the servers are away or refuse a request.
pub(crate) async fn run(
    client: &Client,
    args: &SimulateArgs,
    id: RunId,
    json: bool,
) -> Result<Outcome, Error> {
    let before = read_when_quiet(client).await?;
    let deliveries = (args.events > 0).then_some(args.events);
    let pace = pace(args);
    let generator = generator(args, &id, pace);
    let heading = Heading::new(args, &id, &generator, pace);
    let plan = Plan::new(id.seed, deliveries, args.duplicates);
    let (progress, start) = (Progress::default(), Instant::now());
    let (stop, done) = (client.stop().child_token(), CancellationToken::new());
    let work = async {
        let _done = done.clone().drop_guard();
        let expected = tokio::select! {
            expected = sending::run(client, plan, &generator, pace, &progress, &stop) => expected,
            never = stop_after(args.duration.map(Duration::from), &stop) => match never {},
        }?;
        let seconds = start.elapsed().as_secs_f64();
        progress.is_draining.store(true, Relaxed);
        let after = read_when_drained(client, &before, &expected, args.settle.into()).await?;
        Ok::<_, Error>((expected, after, seconds))
    };
    let view = view::show(client, &heading, &progress, &done);
    let (worked, shown) = tokio::join!(work, view);
    let ((expected, after, seconds), ()) = (worked?, shown?);

    let checks = compare(&before, &after, &expected, generator::topic);
    let is_interrupted = client.stop().is_cancelled();
    let interrupted_of = deliveries.filter(|_| is_interrupted);
    let report = Report {
        run: id.run,
        seed: id.seed,
        sent: progress.sent.load(Relaxed),
        acknowledged: progress.acknowledged.load(Relaxed),
        retried: progress.retried.load(Relaxed),
        lost_answers: progress.lost.load(Relaxed),
        seconds: (seconds * 1000.0).round() / 1000.0,
        exact: after.is_drained() && checks.iter().all(Check::is_right),
        checks,
        notes: notes(&before, &after, &progress, interrupted_of),
    };
    if json {
        output::json(&report)?;
    } else {
        output::lines(&report.lines())?;
    }
    Ok(match (is_interrupted, deliveries) {
        (true, Some(_)) => Outcome::Interrupted,
        // A signal is the normal end of a run without an end of its own.
        (true, None) => Outcome::Well,
        (false, _) => Outcome::well_if(report.exact),
    })
}

fn pace(args: &SimulateArgs) -> Pace {
    let default = (args.events == 0).then_some(DEFAULT_RATE);
    Pace {
        batch: args.batch.into(),
        connections: args.connections.into(),
        rate: args.rate.or(default).filter(|rate| *rate > 0.0),
    }
}

fn generator(args: &SimulateArgs, id: &RunId, pace: Pace) -> EventGenerator {
    let spacing = pace.rate.map(|rate| {
        let seconds = 1.0 / (rate * (1.0 - args.duplicates));
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    });
    let spacing = spacing.and_then(|spacing| TimeDelta::from_std(spacing).ok());
    EventGenerator {
        run: id.run.clone(),
        seed: id.seed,
        topics: args.topics,
        start: id.start,
        spacing: spacing.unwrap_or(SPACING),
        payload_bytes: args.payload_bytes,
    }
}

/// Stops the sending after this time.
async fn stop_after(duration: Option<Duration>, stop: &CancellationToken) -> Infallible {
    if let Some(duration) = duration {
        tokio::time::sleep(duration).await;
        stop.cancel();
    }
    std::future::pending().await
}

/// Reads the counters before the start. It waits for an empty queue, but not for long.
async fn read_when_quiet(client: &Client) -> Result<Stats, Error> {
    let deadline = Instant::now() + QUIET_WITHIN;
    loop {
        let stats = client.stats(ListedTopics::All).await?;
        if stats.is_drained() || Instant::now() >= deadline {
            return Ok(stats);
        }
        tokio::select! {
            () = tokio::time::sleep(READ_EVERY) => (),
            () = client.stop().cancelled() => return Err(client::Error::Interrupted.into()),
        }
    }
}

/// Reads the counters once the queue is empty and everything that was acknowledged is counted, or when the time is over.
async fn read_when_drained(
    client: &Client,
    before: &Stats,
    expected: &Expected,
    within: Duration,
) -> Result<Stats, Error> {
    let wanted = before.received + expected.received.range().start();
    let start = Instant::now();
    loop {
        let stats = client.stats_once(ListedTopics::All).await;
        let is_done = stats
            .as_ref()
            .is_ok_and(|stats| stats.is_drained() && stats.received >= wanted);
        let within = if client.stop().is_cancelled() {
            within.min(DRAINED_AFTER_SIGNAL)
        } else {
            within
        };
        if is_done || start.elapsed() >= within {
            return Ok(stats?);
        }
        tokio::time::sleep(READ_EVERY).await;
    }
}

/// What a person should know about the comparison. `interrupted_of`: how many deliveries an interrupted run should have had.
fn notes(
    before: &Stats,
    after: &Stats,
    progress: &Progress,
    interrupted_of: Option<u64>,
) -> Vec<String> {
    let sent = progress.sent.load(Relaxed);
    let unanswered = sent - progress.acknowledged.load(Relaxed);
    let mut notes = Vec::new();
    if !before.is_drained() {
        notes.push(
            "events of other clients were in the queue at the start; they show as differences"
                .to_owned(),
        );
    }
    if after.uptime_start != before.uptime_start {
        notes.push(format!(
            "the counters began again at {}",
            after.uptime_start
        ));
    }
    if !after.is_drained() {
        notes.push(
            "the queue was not empty in time, so the counters are not final (see --settle)"
                .to_owned(),
        );
    }
    if let Some(all) = interrupted_of {
        notes.push(format!(
            "interrupted after {} of {} deliveries; the counters are compared with what was sent until then, \
             and the same command begins a new run",
            count(sent),
            count(all),
        ));
    }
    if unanswered > 0 {
        notes.push(format!(
            "{} had no answer; each may be counted or not",
            counted(unanswered, "event"),
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn heading(options: &[&str]) -> String {
        let cli = Cli::parse_from([&["eventctl", "simulate"], options].concat());
        let Command::Simulate(args) = cli.command else {
            panic!("another command");
        };
        let id = RunId {
            seed: 7,
            run: "0123abcd".to_owned(),
            start: chrono::DateTime::UNIX_EPOCH,
        };
        let pace = pace(&args);
        let Heading { title, cost, .. } =
            Heading::new(&args, &id, &generator(&args, &id, pace), pace);
        format!("{}\n  {title}\n  {cost}", options.join(" "))
    }

    #[test]
    fn the_heading_says_what_the_run_will_store() {
        let all = [
            &[][..],
            &["--rate=0"],
            &["--events=1000"],
            &["--events=1", "--duplicates=0", "--topics=1"],
            &["--events=1000", "--rate=50"],
            &["--duration=2s", "--rate=50", "--duplicates=0.5"],
            &["--duration=1h", "--payload-bytes=10000"],
        ];
        insta::assert_snapshot!(all.map(heading).join("\n"));
    }
}
