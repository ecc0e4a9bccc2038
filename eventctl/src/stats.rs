//! `eventctl stats`: shows the counters, once or again and again.

use std::time::{Duration, Instant};

use console::{Term, style};
use event_aggregator_client::{Client, ListedTopics, Stats};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    cli::StatsArgs,
    error::Error,
    exit_code::Outcome,
    format::{clock, count, number, plain, rate},
    output,
    rates::RateHistory,
    screen::Screen,
    table::{Left, Right, table},
};

/// How many topics people see; `--json` has them all.
const MAX_TOPICS_SHOWN: usize = 50;
/// A shorter interval would only load the server.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(200);

/// Shows the counters.
///
/// # Errors
/// If the server is away or refuses the request.
pub(crate) async fn run(client: &Client, args: &StatsArgs, json: bool) -> Result<Outcome, Error> {
    if args.watch {
        return watch(client, args, json).await;
    }
    let stats = client.stats(ListedTopics::Top).await?;
    if json {
        output::json(&stats)?;
    } else {
        output::lines(&block(&stats, None))?;
    }
    Ok(Outcome::Well)
}

/// Shows the counters until a signal arrives. A server that is away may come back.
async fn watch(client: &Client, args: &StatsArgs, json: bool) -> Result<Outcome, Error> {
    let term = Term::buffered_stdout();
    let mut screen = (term.is_term() && !json).then(|| Screen::on(term));
    let (mut rates, start) = (CounterRates::default(), Instant::now());
    let mut ticks = interval(Duration::from(args.interval).max(SHORTEST_INTERVAL));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => (),
            () = client.stop().cancelled() => return Ok(Outcome::Well),
        }
        let lines = match client
            .stats_once(ListedTopics::Top)
            .await
            .map_err(Error::from)
        {
            Ok(stats) if json => {
                output::json(&stats)?;
                continue;
            }
            Ok(stats) => {
                rates.record(start.elapsed(), &stats);
                block(&stats, Some(&rates))
            }
            Err(error) if error.is_away() => vec![style(error).red().to_string()],
            Err(error) => return Err(error),
        };
        match &mut screen {
            Some(screen) => screen.draw(&lines)?,
            None => output::line(lines.join("\n") + "\n")?,
        }
    }
}

/// How fast each counter grows.
#[derive(Default)]
struct CounterRates {
    received: RateHistory,
    unique: RateHistory,
    duplicates: RateHistory,
    dead_letters: RateHistory,
}

impl CounterRates {
    fn record(&mut self, at: Duration, stats: &Stats) {
        self.received.record(at, stats.received);
        self.unique.record(at, stats.unique_processed);
        self.duplicates.record(at, stats.duplicate_dropped);
        self.dead_letters.record(at, stats.dead_lettered);
    }
}

fn block(stats: &Stats, rates: Option<&CounterRates>) -> Vec<String> {
    let row = |name: &str, value, history: fn(&CounterRates) -> &RateHistory| {
        let (rate, sparkline) = match rates.map(history) {
            Some(history) => (
                rate(history.latest()),
                style(history.sparkline()).green().to_string(),
            ),
            None => Default::default(),
        };
        [name.to_owned(), number(value), rate, sparkline]
    };
    let rows = [
        row("received", stats.received, |rates| &rates.received),
        row("unique", stats.unique_processed, |rates| &rates.unique),
        row("duplicates", stats.duplicate_dropped, |rates| {
            &rates.duplicates
        }),
        row("dead letters", stats.dead_lettered, |rates| {
            &rates.dead_letters
        }),
    ];
    let mut lines = table([Left, Right, Right, Left], rows);
    lines.push(format!(
        "queue: {} pending, {} processing",
        count(stats.queue.pending),
        count(stats.queue.processing),
    ));
    let uptime = Duration::try_from_secs_f64(stats.uptime).unwrap_or_default();
    lines.push(format!(
        "up {}, counting since {}",
        clock(uptime),
        stats.uptime_start
    ));
    if !stats.topics.is_empty() {
        lines.push(String::new());
        lines.extend(topics(stats));
    }
    lines
}

fn topics(stats: &Stats) -> Vec<String> {
    let shown = stats.topics.iter().take(MAX_TOPICS_SHOWN);
    let shown = shown.map(|(topic, unique)| [plain(topic), number(*unique)]);
    let head = ["topic", "unique"].map(str::to_owned);
    let mut lines = table([Left, Right], [head].into_iter().chain(shown));
    lines[0] = style(&lines[0]).bold().to_string();
    let hidden = stats.topics.len().saturating_sub(MAX_TOPICS_SHOWN);
    if hidden > 0 {
        lines.push(format!("and {hidden} more (--json has them all)"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use event_aggregator_client::QueueDepth;

    use super::*;

    fn stats(topics: usize) -> Stats {
        Stats {
            received: 1300,
            unique_processed: 1000,
            duplicate_dropped: 299,
            dead_lettered: 1,
            topics: (0..topics).map(|n| (format!("t{n:03}"), 1000)).collect(),
            topics_total: None,
            queue: QueueDepth {
                pending: 2,
                processing: 0,
                ..QueueDepth::default()
            },
            uptime: 61.5,
            uptime_start: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    #[test]
    fn many_topics_are_cut_short() {
        let lines = block(&stats(60), None);
        assert_eq!(lines.last().unwrap(), "and 10 more (--json has them all)");
        assert_eq!(lines.len(), 4 + 2 + 2 + MAX_TOPICS_SHOWN + 1);
    }

    #[test]
    fn watching_shows_rates() {
        console::set_colors_enabled(false);
        let mut rates = CounterRates::default();
        rates.record(Duration::from_secs(1), &stats(0));
        let later = Stats {
            received: 1320,
            unique_processed: 1008,
            duplicate_dropped: 311,
            ..stats(0)
        };
        rates.record(Duration::from_secs(2), &later);
        rates.record(Duration::from_secs(4), &later);
        insta::assert_snapshot!(block(&later, Some(&rates)).join("\n"));
    }
}
