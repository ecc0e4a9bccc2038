//! The live view: a block that is redrawn on a terminal, or a line from time to time if there is no terminal.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use console::{Term, style};
use event_aggregator_client::{Client, ListedTopics, Stats};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{heading::Heading, sending::Progress};
use crate::{
    error::Error,
    format::{clock, count, number, rate},
    output::tell,
    rates::RateHistory,
    screen::Screen,
    table::{Left, Right, table},
};

/// How often a terminal is redrawn.
const REDRAWN_EVERY: Duration = Duration::from_millis(500);
/// How often a line is written if there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How long reading the counters may hold up the view.
const COUNTERS_WITHIN: Duration = Duration::from_secs(1);
/// What is shown instead of the counters.
const NO_ANSWER: &str = "the server does not answer";

/// Shows the progress on standard error until `done`.
pub(super) async fn show(
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
        let is_last = tokio::select! {
            _ = ticks.tick() => false,
            () = done.cancelled() => true,
        };
        let stats =
            tokio::time::timeout(COUNTERS_WITHIN, client.stats_once(ListedTopics::Top)).await;
        view.update(progress, stats.ok().and_then(Result::ok));
        match &mut screen {
            Some(screen) => screen.draw(&view.block(progress))?,
            None => tell(view.line(progress)),
        }
        if is_last {
            return Ok(());
        }
    }
}

struct View<'a> {
    heading: &'a Heading,
    start: Instant,
    sent: RateHistory,
    acknowledged: RateHistory,
    /// The counters; `None` if the server did not answer.
    stats: Option<Stats>,
}

impl<'a> View<'a> {
    fn new(heading: &'a Heading) -> Self {
        let mut view = Self {
            heading,
            start: Instant::now(),
            sent: RateHistory::default(),
            acknowledged: RateHistory::default(),
            stats: None,
        };
        view.sent.record(Duration::ZERO, 0);
        view.acknowledged.record(Duration::ZERO, 0);
        view
    }

    fn update(&mut self, progress: &Progress, stats: Option<Stats>) {
        self.stats = stats;
        let now = self.start.elapsed();
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.sent.record(now, signed(progress.sent.load(Relaxed)));
        let acknowledged = progress.acknowledged.load(Relaxed);
        self.acknowledged.record(now, signed(acknowledged));
    }

    /// The view for a terminal.
    fn block(&self, progress: &Progress) -> Vec<String> {
        let elapsed = self.start.elapsed();
        let acknowledged = progress.acknowledged.load(Relaxed);
        let row = |name: &str, value: String, rate: String, sparkline: String| {
            [name.to_owned(), value, rate, sparkline]
        };
        let plain = |name: &str, value: String| row(name, value, String::new(), String::new());
        let sparkline = style(self.acknowledged.sparkline()).for_stderr().green();
        let mut rows = vec![
            row(
                "sent",
                count(progress.sent.load(Relaxed)),
                rate(self.sent.latest()),
                String::new(),
            ),
            row(
                "acknowledged",
                count(acknowledged),
                rate(self.acknowledged.latest()),
                sparkline.to_string(),
            ),
            plain("retried", count(progress.retried.load(Relaxed))),
        ];
        if let Some(stats) = &self.stats {
            let queued = stats.queue.pending + stats.queue.processing;
            rows.extend([
                plain("server received", number(stats.received)),
                plain("server unique", number(stats.unique_processed)),
                plain("server duplicates", number(stats.duplicate_dropped)),
                plain("server queue", count(queued)),
            ]);
        }
        let mut lines = vec![
            style(&self.heading.title).for_stderr().bold().to_string(),
            style(&self.heading.cost).for_stderr().dim().to_string(),
        ];
        lines.extend(table([Left, Right, Right, Left], rows));
        if self.stats.is_none() {
            lines.push(style(NO_ANSWER).for_stderr().red().to_string());
        }
        let state = if progress.is_draining.load(Relaxed) {
            "waiting until the server has counted everything".to_owned()
        } else {
            self.state(acknowledged, elapsed)
        };
        lines.push(format!("{}  {state}", clock(elapsed)));
        lines
    }

    /// The view as one line.
    fn line(&self, progress: &Progress) -> String {
        let acknowledged = progress.acknowledged.load(Relaxed);
        let server = self.stats.as_ref().map_or_else(
            || NO_ANSWER.to_owned(),
            |stats| {
                format!(
                    "server: {} received, {} unique, {} duplicates, {} dead letters, {} queued",
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
            rate(self.acknowledged.latest()),
            count(progress.retried.load(Relaxed)),
        )
    }

    /// What is left to do: the deliveries that are left, or the time that is left, whichever ends first.
    fn state(&self, acknowledged: u64, elapsed: Duration) -> String {
        let Heading {
            deliveries,
            duration,
            ..
        } = self.heading;
        let by_time = duration.map(|duration| duration.saturating_sub(elapsed));
        let by_number = deliveries.and_then(|all| remaining(all, acknowledged, elapsed));
        let left = by_time.into_iter().chain(by_number).min();
        let left = left.map(|left| format!("{} left", clock(left)));
        let all = deliveries.map(|all| format!("of {}", count(all)));
        let parts: Vec<_> = all.into_iter().chain(left).collect();
        if parts.is_empty() {
            return "until Ctrl-C".to_owned();
        }
        parts.join(", ")
    }
}

/// How long the rest takes at the speed so far, if that is known.
fn remaining(all: u64, done: u64, elapsed: Duration) -> Option<Duration> {
    let left = all.checked_sub(done).filter(|&left| left > 0 && done > 0)?;
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let (done, left) = (done as f64, left as f64);
    Duration::try_from_secs_f64(elapsed.as_secs_f64() / done * left).ok()
}

#[cfg(test)]
mod tests {
    use event_aggregator_client::QueueDepth;

    use super::*;

    fn heading(deliveries: Option<u64>, seconds: Option<u64>) -> Heading {
        Heading {
            title: "run 0123abcd, seed 7: 30% duplicates, 8 topics, at most 100/s".to_owned(),
            cost: "stores about 700 events (140.00 kB of JSON) for good".to_owned(),
            deliveries,
            duration: seconds.map(Duration::from_secs),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_view_shows_what_is_sent_and_what_the_server_has_counted() {
        console::set_colors_enabled_stderr(false);
        let (heading, progress) = (heading(Some(1000), None), Progress::default());
        let mut view = View::new(&heading);
        for acknowledged in [100, 400, 600] {
            tokio::time::advance(Duration::from_secs(2)).await;
            progress.sent.store(acknowledged + 20, Relaxed);
            progress.acknowledged.store(acknowledged, Relaxed);
            let stats = Stats {
                received: 5600,
                unique_processed: 5000,
                duplicate_dropped: 599,
                dead_lettered: 1,
                topics: [].into(),
                topics_total: None,
                queue: QueueDepth {
                    pending: 12,
                    processing: 8,
                    ..QueueDepth::default()
                },
                uptime: 61.5,
                uptime_start: "2026-01-01T00:00:00Z".to_owned(),
            };
            view.update(&progress, Some(stats));
        }
        let block = view.block(&progress).join("\n");
        insta::assert_snapshot!("block", format!("{block}\n\n{}", view.line(&progress)));

        progress.retried.store(3, Relaxed);
        progress.is_draining.store(true, Relaxed);
        view.update(&progress, None);
        let block = view.block(&progress).join("\n");
        insta::assert_snapshot!("without_an_answer", block);
    }

    #[test]
    fn the_time_left_is_that_of_the_number_or_of_the_duration_whichever_ends_first() {
        let state = |deliveries, seconds| {
            let heading = heading(deliveries, seconds);
            View::new(&heading).state(100, Duration::from_secs(10))
        };
        assert_eq!(state(None, None), "until Ctrl-C");
        assert_eq!(state(None, Some(90)), "00:01:20 left");
        assert_eq!(state(Some(300), None), "of 300, 00:00:20 left");
        assert_eq!(state(Some(300), Some(15)), "of 300, 00:00:05 left");
        assert_eq!(state(Some(100), None), "of 100");
    }
}
