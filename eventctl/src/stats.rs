//! `eventctl stats`: the counters, once or again and again.

use std::time::{Duration, Instant};

use console::{Term, style};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    cli::StatsArgs,
    client::{Client, Stats},
    error::Error,
    exit::Outcome,
    meter::Meter,
    output::{self, clock, count, number, rate, table},
    screen::Screen,
};

/// How many topics are shown to people; scripts get them all.
const MAX_TOPICS_SHOWN: usize = 50;
/// Watching faster than this would only load the server.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(200);

/// Shows the counters.
///
/// # Errors
/// If the server is away or refuses.
pub async fn run(client: &Client, args: &StatsArgs, json: bool) -> Result<Outcome, Error> {
    if args.watch {
        return watch(client, args, json).await;
    }
    let stats = client.stats().await?;
    if json {
        output::json(&stats)?;
    } else {
        for line in block(&stats, None) {
            output::line(line)?;
        }
    }
    Ok(Outcome::Well)
}

/// Shows them until a signal comes; a server that is away is waited for.
async fn watch(client: &Client, args: &StatsArgs, json: bool) -> Result<Outcome, Error> {
    let term = Term::buffered_stdout();
    let mut screen = (term.is_term() && !json).then(|| Screen::on(term));
    let (mut rates, start) = (Rates::default(), Instant::now());
    let mut ticks = interval(Duration::from(args.interval).max(SHORTEST_INTERVAL));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => (),
            () = client.stop().cancelled() => return Ok(Outcome::Well),
        }
        let lines = match client.stats_once().await {
            Ok(stats) if json => {
                output::json(&stats)?;
                continue;
            }
            Ok(stats) => {
                rates.enter(start.elapsed(), &stats);
                block(&stats, Some(&rates))
            }
            Err(error @ Error::Away { .. }) => vec![style(error).red().to_string()],
            Err(error) => return Err(error),
        };
        match &mut screen {
            Some(screen) => screen.draw(&lines)?,
            None => output::line(lines.join("\n") + "\n")?,
        }
    }
}

#[derive(Default)]
struct Rates {
    received: Meter,
    unique: Meter,
    duplicates: Meter,
    dead: Meter,
}

impl Rates {
    fn enter(&mut self, at: Duration, stats: &Stats) {
        self.received.enter(at, stats.received);
        self.unique.enter(at, stats.unique_processed);
        self.duplicates.enter(at, stats.duplicate_dropped);
        self.dead.enter(at, stats.dead_lettered);
    }
}

fn block(stats: &Stats, rates: Option<&Rates>) -> Vec<String> {
    let row = |name: &str, value, meter: fn(&Rates) -> &Meter| {
        let rate = rates.map_or_else(String::new, |rates| rate(meter(rates).rate()));
        vec![name.to_owned(), number(value), rate]
    };
    let mut lines = table(&[
        row("received", stats.received, |rates| &rates.received),
        row("unique", stats.unique_processed, |rates| &rates.unique),
        row("duplicates", stats.duplicate_dropped, |rates| {
            &rates.duplicates
        }),
        row("dead letters", stats.dead_lettered, |rates| &rates.dead),
    ]);
    if let Some(rates) = rates {
        let meters = [
            &rates.received,
            &rates.unique,
            &rates.duplicates,
            &rates.dead,
        ];
        for (line, meter) in lines.iter_mut().zip(meters) {
            *line = format!("{line}  {}", style(meter.sparkline()).green());
        }
    }
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
    let mut rows = vec![vec!["topic".to_owned(), "unique".to_owned()]];
    let shown = stats.topics.iter().take(MAX_TOPICS_SHOWN);
    rows.extend(shown.map(|(topic, unique)| vec![output::plain(topic), number(*unique)]));
    let mut lines = table(&rows);
    lines[0] = style(&lines[0]).bold().to_string();
    let hidden = stats.topics.len().saturating_sub(MAX_TOPICS_SHOWN);
    if hidden > 0 {
        lines.push(format!("and {hidden} more (--json has them all)"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Queue;

    fn stats(topics: usize) -> Stats {
        Stats {
            received: 1300,
            unique_processed: 1000,
            duplicate_dropped: 299,
            dead_lettered: 1,
            topics: (0..topics).map(|n| (format!("t{n:03}"), 1000)).collect(),
            queue: Queue {
                pending: 2,
                processing: 0,
            },
            uptime: 61.5,
            uptime_start: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    #[test]
    fn the_counters_are_one_below_the_other() {
        let expected = [
            "received      1,300",
            "unique        1,000",
            "duplicates      299",
            "dead letters      1",
            "queue: 2 pending, 0 processing",
            "up 00:01:01, counting since 2026-01-01T00:00:00Z",
            "",
            "topic  unique",
            "t000    1,000",
        ];
        assert_eq!(block(&stats(1), None), expected);
    }

    #[test]
    fn many_topics_are_cut_short() {
        let lines = block(&stats(60), None);
        assert_eq!(lines.last().unwrap(), "and 10 more (--json has them all)");
    }

    #[test]
    fn watching_shows_rates() {
        let mut rates = Rates::default();
        rates.enter(Duration::from_secs(1), &stats(0));
        let later = Stats {
            received: 1320,
            ..stats(0)
        };
        rates.enter(Duration::from_secs(2), &later);
        let lines = block(&later, Some(&rates));
        assert!(
            lines[0].starts_with("received      1,320  20/s  "),
            "{}",
            lines[0]
        );
        assert!(lines[0].contains('█'), "{}", lines[0]);
    }
}
