//! `eventctl simulate`: at-least-once delivery as it happens, and whether the servers count it right.

pub mod check;
pub mod content;
pub mod ledger;
pub mod load;
pub mod plan;
pub mod view;

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use console::style;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::{
    check::{Check, compare},
    content::Content,
    ledger::Ledger,
    load::{Pace, Progress},
    plan::Plan,
    view::Heading,
};
use crate::{
    cli::SimulateArgs,
    client::{Client, Stats},
    error::Error,
    exit::Outcome,
    output,
};

/// Pause between two looks at the counters.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long the queue may take to be empty before the start.
const QUIET_WITHIN: Duration = Duration::from_secs(10);
/// How long the servers may take after a signal.
const DRAINED_AFTER_SIGNAL: Duration = Duration::from_secs(3);
/// Deliveries a second where neither a rate nor an end was asked for.
const GENTLE_RATE: f64 = 100.0;
/// Between two events where there is no rate.
const SPACING: TimeDelta = TimeDelta::milliseconds(1);

/// Events whose size is looked at before the start.
const SAMPLED_EVENTS: u64 = 64;

/// What a run takes from outside: the same seed sends the same events.
#[derive(Debug, Clone)]
pub struct Chance {
    /// Decides the events and their order.
    pub seed: u64,
    /// Prefix of the ids.
    pub run: String,
    /// When the first event happened.
    pub now: DateTime<Utc>,
}

impl Chance {
    /// A new run; the seed is random unless it is given.
    #[must_use]
    pub fn new(seed: Option<u64>) -> Self {
        Self {
            seed: seed.unwrap_or_else(|| u64::from(rand::random::<u32>())),
            run: format!("{:08x}", rand::random::<u32>()),
            now: Utc::now(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    run: String,
    seed: u64,
    sent: u64,
    acknowledged: u64,
    retried: u64,
    lost_answers: u64,
    seconds: f64,
    exact: bool,
    checks: Vec<Check>,
    notes: Vec<String>,
}

/// Sends, waits until the servers are done, and compares.
///
/// # Errors
/// If the servers are away or refuse.
pub async fn run(
    client: &Client,
    args: &SimulateArgs,
    chance: Chance,
    json: bool,
) -> Result<Outcome, Error> {
    let before = quiet(client).await?;
    let mut notes = Vec::new();
    if !before.is_drained() {
        notes.push(
            "events of others were in the queue at the start: they show as differences".into(),
        );
    }
    let deliveries = (args.events > 0).then_some(args.events);
    let pace = pace(args);
    let content = content(args, &chance, pace);
    let heading = heading(args, &chance, &content, pace);
    let plan = Plan::new(chance.seed, deliveries, args.duplicates);
    let (progress, start) = (Progress::default(), Instant::now());
    let (stop, done) = (client.stop().child_token(), CancellationToken::new());
    let work = async {
        let _done = done.clone().drop_guard();
        let ledger = tokio::select! {
            ledger = load::run(client, plan, &content, pace, &progress, &stop) => ledger,
            never = end(args.duration.map(Duration::from), &stop) => match never {},
        }?;
        let seconds = start.elapsed().as_secs_f64();
        progress.draining.store(true, Relaxed);
        let after = drained(client, &before, &ledger, args.settle.into()).await?;
        Ok::<_, Error>((ledger, after, seconds))
    };
    let view = view::show(client, &heading, &progress, &done);
    let (worked, shown) = tokio::join!(work, view);
    let ((ledger, after, seconds), ()) = (worked?, shown?);

    if after.uptime_start != before.uptime_start {
        notes.push(format!("the counters began anew at {}", after.uptime_start));
    }
    if !after.is_drained() {
        notes.push(
            "the queue was not empty in time: the counters are not final (see --settle)".into(),
        );
    }
    let sent = progress.sent.load(Relaxed);
    if client.stop().is_cancelled()
        && let Some(all) = deliveries
    {
        notes.push(format!(
            "interrupted after {} of {} deliveries: the counters are compared with what was sent until then; \
             the same command begins a new run",
            output::count(sent),
            output::count(all),
        ));
    }
    let unanswered = sent - progress.acknowledged.load(Relaxed);
    if unanswered > 0 {
        notes.push(format!(
            "{} sent without an answer: each may be counted or not",
            output::counted(unanswered, "event"),
        ));
    }
    let checks = compare(&before, &after, &ledger, |number| content.topic(number));
    let report = Report {
        run: chance.run,
        seed: chance.seed,
        sent,
        acknowledged: progress.acknowledged.load(Relaxed),
        retried: progress.retried.load(Relaxed),
        lost_answers: progress.lost.load(Relaxed),
        seconds: (seconds * 1000.0).round() / 1000.0,
        exact: after.is_drained() && checks.iter().all(Check::is_right),
        checks,
        notes,
    };
    print(&report, json)?;
    Ok(match (client.stop().is_cancelled(), deliveries) {
        (true, Some(_)) => Outcome::Interrupted,
        // A signal is how a run without end ends.
        (true, None) => Outcome::Well,
        (false, _) => Outcome::well_if(report.exact),
    })
}

fn pace(args: &SimulateArgs) -> Pace {
    let gentle = (args.events == 0).then_some(GENTLE_RATE);
    Pace {
        batch: args.batch.into(),
        connections: args.connections.into(),
        rate: args.rate.or(gentle).filter(|rate| *rate > 0.0),
    }
}

fn content(args: &SimulateArgs, chance: &Chance, pace: Pace) -> Content {
    let spacing = pace.rate.map(|rate| {
        let seconds = 1.0 / (rate * (1.0 - args.duplicates));
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    });
    let spacing = spacing.and_then(|spacing| TimeDelta::from_std(spacing).ok());
    Content {
        run: chance.run.clone(),
        seed: chance.seed,
        topics: args.topics,
        start: chance.now,
        spacing: spacing.unwrap_or(SPACING),
        payload_bytes: args.payload_bytes,
    }
}

fn heading(args: &SimulateArgs, chance: &Chance, content: &Content, pace: Pace) -> Heading {
    let rate = pace.rate.map_or_else(
        || "as fast as it goes".to_owned(),
        |rate| format!("at most {}", output::rate(rate)),
    );
    Heading {
        title: format!(
            "run {}, seed {}: {:.0}% duplicates, {}, {rate}",
            chance.run,
            chance.seed,
            args.duplicates * 100.0,
            output::counted(args.topics.into(), "topic"),
        ),
        cost: cost(args, content, pace),
        deliveries: (args.events > 0).then_some(args.events),
        duration: args.duration.map(Duration::from),
    }
}

/// What stays on the server, as far as that is known before: events are stored for good.
fn cost(args: &SimulateArgs, content: &Content, pace: Pace) -> String {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let all = args.events as f64;
    let rate = pace.rate.unwrap_or(f64::INFINITY);
    let deliveries = match args.duration.map(Duration::from) {
        Some(duration) if args.events == 0 => rate * duration.as_secs_f64(),
        Some(duration) => all.min(rate * duration.as_secs_f64()),
        None if args.events == 0 => f64::INFINITY,
        None => all,
    };
    let unique = 1.0 - args.duplicates;
    let sample = (0..SAMPLED_EVENTS).map(|event| content.event(event).to_string().len());
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let bytes = sample.sum::<usize>() as f64 / SAMPLED_EVENTS as f64;
    let amount = |deliveries: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate of what is stored"
        )]
        let events = (deliveries * unique).round() as u64;
        let size = output::bytes(deliveries * unique * bytes);
        format!("{} ({size} of JSON)", output::counted(events, "event"))
    };
    if deliveries.is_finite() {
        format!("stores about {} for good", amount(deliveries))
    } else if rate.is_finite() {
        format!(
            "stores about {} for good each hour, until Ctrl-C; --duration ends it by itself",
            amount(rate * 3600.0)
        )
    } else {
        "stores as many events for good as the server takes, until it ends".to_owned()
    }
}

/// Ends the sending after this time.
async fn end(duration: Option<Duration>, stop: &CancellationToken) -> std::convert::Infallible {
    if let Some(duration) = duration {
        tokio::time::sleep(duration).await;
        stop.cancel();
    }
    std::future::pending().await
}

/// The counters before the start, with an empty queue if it gets empty in time.
async fn quiet(client: &Client) -> Result<Stats, Error> {
    let deadline = Instant::now() + QUIET_WITHIN;
    loop {
        let stats = client.stats().await?;
        if stats.is_drained() || Instant::now() >= deadline {
            return Ok(stats);
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => (),
            () = client.stop().cancelled() => return Err(Error::Interrupted),
        }
    }
}

/// The counters once nothing waits and all that was acknowledged is counted, or when the time is
/// over.
async fn drained(
    client: &Client,
    before: &Stats,
    ledger: &Ledger,
    within: Duration,
) -> Result<Stats, Error> {
    let wanted = before.received + ledger.received.range().start();
    let start = Instant::now();
    loop {
        let stats = client.stats_once().await;
        let done = stats
            .as_ref()
            .is_ok_and(|stats| stats.is_drained() && stats.received >= wanted);
        let signalled = client.stop().is_cancelled();
        let within = if signalled {
            within.min(DRAINED_AFTER_SIGNAL)
        } else {
            within
        };
        if done || start.elapsed() >= within {
            return stats;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn print(report: &Report, json: bool) -> Result<(), Error> {
    if json {
        return Ok(output::json(report)?);
    }
    let mut rows = vec![["", "expected", "found"].map(str::to_owned).to_vec()];
    rows.extend(report.checks.iter().map(|check| {
        let mark = if check.is_right() {
            style("ok").green()
        } else {
            style("wrong").red().bold()
        };
        vec![
            check.what.clone(),
            check.expected(),
            output::number(check.found),
            mark.to_string(),
        ]
    }));
    output::line("")?;
    for line in output::table(&rows) {
        output::line(line)?;
    }
    output::line("")?;
    for note in &report.notes {
        output::line(format!("note: {note}"))?;
    }
    output::line(verdict(report))?;
    Ok(())
}

fn verdict(report: &Report) -> String {
    let wrong = report
        .checks
        .iter()
        .filter(|check| !check.is_right())
        .count();
    let run = format!(
        "{} acknowledged in {:.1} s, {} retried",
        output::counted(report.acknowledged, "event"),
        report.seconds,
        output::count(report.retried),
    );
    if report.exact {
        let lost = match report.lost_answers {
            0 => String::new(),
            lost => format!(
                "; {} lost, so some numbers are ranges",
                output::counted(lost, "answer")
            ),
        };
        return format!("{} {run}{lost}", style("exact:").green().bold());
    }
    format!(
        "{} {} of {} counters are not as expected ({run}).\nWhat another client publishes meanwhile counts too: \
         if `received` is too high, run it again alone.",
        style("not exact:").red().bold(),
        wrong,
        report.checks.len(),
    )
}
