//! The live view: a block that is redrawn on a terminal, a line now and then elsewhere.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use console::{Term, style};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::load::Progress;
use crate::{
    client::{Client, Stats},
    error::Error,
    meter::Meter,
    output::{clock, count, number, rate, table, tell},
    screen::Screen,
};

/// How often a terminal is redrawn.
const REDRAWN_EVERY: Duration = Duration::from_millis(500);
/// How often a line is written where no terminal is.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How long a look at the counters may hold up the view.
const LOOK_WITHIN: Duration = Duration::from_secs(1);

/// What is known before the first event is sent.
#[derive(Debug)]
pub struct Heading {
    /// What this run is: its id, its seed, and so on.
    pub title: String,
    /// What the run leaves behind.
    pub cost: String,
    /// How many deliveries there will be, if that is known.
    pub deliveries: Option<u64>,
    /// How long it sends at most.
    pub duration: Option<Duration>,
}

/// Shows how it goes on standard error until `done`.
pub async fn show(
    client: &Client,
    heading: &Heading,
    progress: &Progress,
    done: &CancellationToken,
) -> Result<(), Error> {
    let term = Term::buffered_stderr();
    let mut view = View::new(heading);
    let every = if term.is_term() {
        REDRAWN_EVERY
    } else {
        LINE_EVERY
    };
    let mut screen = term.is_term().then(|| Screen::on(term));
    if screen.is_none() {
        tell(format!("{}\n{}", heading.title, heading.cost));
    }
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        let last = tokio::select! {
            _ = ticks.tick() => false,
            () = done.cancelled() => true,
        };
        view.look(client, progress).await;
        match &mut screen {
            Some(screen) => screen.draw(&view.block(progress))?,
            None => tell(view.line(progress)),
        }
        if last {
            return Ok(());
        }
    }
}

struct View<'a> {
    heading: &'a Heading,
    start: Instant,
    sent: Meter,
    acknowledged: Meter,
    stats: Option<Stats>,
}

/// How long the rest takes at the speed so far, once that is known.
fn remaining(all: u64, done: u64, elapsed: Duration) -> Option<Duration> {
    let left = all.checked_sub(done).filter(|&left| left > 0 && done > 0)?;
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let (done, left) = (done as f64, left as f64);
    Duration::try_from_secs_f64(elapsed.as_secs_f64() / done * left).ok()
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl<'a> View<'a> {
    fn new(heading: &'a Heading) -> Self {
        let mut view = Self {
            heading,
            start: Instant::now(),
            sent: Meter::default(),
            acknowledged: Meter::default(),
            stats: None,
        };
        view.sent.enter(Duration::ZERO, 0);
        view.acknowledged.enter(Duration::ZERO, 0);
        view
    }

    async fn look(&mut self, client: &Client, progress: &Progress) {
        let stats = tokio::time::timeout(LOOK_WITHIN, client.stats_once()).await;
        self.stats = stats.ok().and_then(Result::ok);
        let now = self.start.elapsed();
        self.sent.enter(now, signed(progress.sent.load(Relaxed)));
        self.acknowledged
            .enter(now, signed(progress.acknowledged.load(Relaxed)));
    }

    fn block(&self, progress: &Progress) -> Vec<String> {
        let elapsed = self.start.elapsed();
        let (sent, acknowledged) = (
            progress.sent.load(Relaxed),
            progress.acknowledged.load(Relaxed),
        );
        let row = |name: &str, cells: [String; 2]| {
            let [value, rate] = cells;
            vec![name.to_owned(), value, rate]
        };
        let mut rows = vec![
            row("sent", [count(sent), rate(self.sent.rate())]),
            row(
                "acknowledged",
                [count(acknowledged), rate(self.acknowledged.rate())],
            ),
            row(
                "retried",
                [count(progress.retried.load(Relaxed)), String::new()],
            ),
        ];
        if let Some(stats) = &self.stats {
            rows.push(row(
                "server received",
                [number(stats.received), String::new()],
            ));
            rows.push(row(
                "server unique",
                [number(stats.unique_processed), String::new()],
            ));
            rows.push(row(
                "server duplicates",
                [number(stats.duplicate_dropped), String::new()],
            ));
            rows.push(row(
                "server queue",
                [
                    count(stats.queue.pending + stats.queue.processing),
                    String::new(),
                ],
            ));
        }
        let mut lines = vec![
            style(&self.heading.title).for_stderr().bold().to_string(),
            style(&self.heading.cost).for_stderr().dim().to_string(),
        ];
        let mut table = table(&rows);
        let sparkline = style(self.acknowledged.sparkline()).for_stderr().green();
        table[1] = format!("{}  {sparkline}", table[1]);
        lines.extend(table);
        if self.stats.is_none() {
            lines.push(
                style("server does not answer")
                    .for_stderr()
                    .red()
                    .to_string(),
            );
        }
        let state = if progress.draining.load(Relaxed) {
            "waiting until the server is done".to_owned()
        } else {
            self.state(acknowledged, elapsed)
        };
        lines.push(format!("{}  {state}", clock(elapsed)));
        lines
    }

    /// What is left to do: by the number of deliveries, by the time, whichever ends first.
    fn state(&self, acknowledged: u64, elapsed: Duration) -> String {
        let by_time = self
            .heading
            .duration
            .map(|duration| duration.saturating_sub(elapsed));
        let by_number = self
            .heading
            .deliveries
            .and_then(|all| remaining(all, acknowledged, elapsed));
        let left = by_time.into_iter().chain(by_number).min();
        let left = left.map(|left| format!("{} left", clock(left)));
        let all = self
            .heading
            .deliveries
            .map(|all| format!("of {}", count(all)));
        let parts: Vec<_> = all.into_iter().chain(left).collect();
        if parts.is_empty() {
            return "until Ctrl-C".to_owned();
        }
        parts.join(", ")
    }

    fn line(&self, progress: &Progress) -> String {
        let acknowledged = progress.acknowledged.load(Relaxed);
        let server = self.stats.as_ref().map_or_else(
            || "server does not answer".to_owned(),
            |stats| {
                format!(
                    "server: {} received, {} unique, {} duplicates, {} dead, {} queued",
                    number(stats.received),
                    number(stats.unique_processed),
                    number(stats.duplicate_dropped),
                    number(stats.dead_lettered),
                    count(stats.queue.pending + stats.queue.processing),
                )
            },
        );
        let elapsed = self.start.elapsed();
        format!(
            "{}  {}: {} sent, {} acknowledged ({}), {} retried | {server}",
            clock(elapsed),
            self.state(acknowledged, elapsed),
            count(progress.sent.load(Relaxed)),
            count(acknowledged),
            rate(self.acknowledged.rate()),
            count(progress.retried.load(Relaxed)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_by_number_or_by_time_whichever_ends_first() {
        let state = |deliveries, seconds: Option<u64>| {
            let heading = Heading {
                title: String::new(),
                cost: String::new(),
                deliveries,
                duration: seconds.map(Duration::from_secs),
            };
            View::new(&heading).state(100, Duration::from_secs(10))
        };
        assert_eq!(state(None, None), "until Ctrl-C");
        assert_eq!(state(None, Some(90)), "00:01:20 left");
        assert_eq!(state(Some(300), None), "of 300, 00:00:20 left");
        assert_eq!(state(Some(300), Some(15)), "of 300, 00:00:05 left");
        assert_eq!(state(Some(100), None), "of 100");
    }
}
