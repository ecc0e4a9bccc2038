//! `eventctl verify`: whether what the server says over HTTP agrees with itself.

use std::{collections::BTreeMap, time::Duration};

use console::style;
use serde::{Deserialize, Serialize};

use crate::{
    cli::VerifyArgs,
    client::{Client, Stats},
    error::Error,
    events::Page,
    exit::Outcome,
    output::{self, number},
};

/// Events in one answer; as many as the server gives.
const PAGE: u64 = 1000;
/// How often listing is tried again because events arrived meanwhile.
const TRIES: u32 = 3;
/// Pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);
/// How many topics that differ are named.
const MAX_TOPICS_NAMED: usize = 20;
/// What a look over HTTP cannot show.
const LIMITS: &str = "This compares what the server says with itself. It proves neither that every accepted event is \
stored nor that\nthe counters agree with the database's rows in one snapshot: for that, run `aggregator verify` \
(standalone:\n`event-aggregator verify`) where the database is.";

/// Two numbers that should be the same.
#[derive(Debug, Serialize)]
struct Check {
    what: String,
    left: i64,
    right: i64,
    ok: bool,
}

impl Check {
    fn new(what: impl Into<String>, left: i64, right: i64) -> Self {
        Self {
            what: what.into(),
            left,
            right,
            ok: left == right,
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    consistent: bool,
    /// Whether the events were listed while nothing arrived.
    listed: bool,
    checks: Vec<Check>,
}

/// Compares.
///
/// # Errors
/// If the server is away or refuses.
pub async fn run(client: &Client, args: &VerifyArgs, json: bool) -> Result<Outcome, Error> {
    let mut checks = counters(&client.stats().await?);
    let mut listed = false;
    if !args.counters_only
        && let Some(found) = listed_when_quiet(client).await?
    {
        listed = true;
        checks.extend(found);
    }
    let report = Report {
        consistent: checks.iter().all(|check| check.ok) && (listed || args.counters_only),
        listed,
        checks,
    };
    if json {
        output::json(&report)?;
    } else {
        print(&report, args)?;
    }
    Ok(Outcome::well_if(report.consistent))
}

/// What holds in every single answer.
fn counters(stats: &Stats) -> Vec<Check> {
    let settled = stats.unique_processed + stats.duplicate_dropped + stats.dead_lettered;
    vec![
        Check::new(
            "received = unique + duplicates + dead letters",
            stats.received,
            settled,
        ),
        Check::new(
            "sum of the topics = unique",
            stats.topics.values().sum(),
            stats.unique_processed,
        ),
    ]
}

/// What holds while nothing arrives; `None` if something always did.
async fn listed_when_quiet(client: &Client) -> Result<Option<Vec<Check>>, Error> {
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let before = client.stats().await?;
        let found = count(client, before.unique_processed).await?;
        let after = client.stats().await?;
        if before.is_drained() && after.is_drained() && before.received == after.received {
            return Ok(Some(compare(&after, &found)));
        }
    }
    Ok(None)
}

#[derive(Deserialize)]
struct Topic {
    topic: String,
}

/// How many events of each topic are listed; ends at the first page that goes beyond `expected`.
async fn count(client: &Client, expected: i64) -> Result<BTreeMap<String, i64>, Error> {
    let (mut topics, mut total) = (BTreeMap::new(), 0);
    let mut cursor: Option<String> = None;
    while total <= expected {
        if client.stop().is_cancelled() {
            return Err(Error::Interrupted);
        }
        let mut query = vec![("limit", PAGE.to_string())];
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let page: Page = client.get(&["events"], &query).await?;
        for event in &page.events {
            let event: Topic = serde_json::from_str(event.get()).map_err(std::io::Error::from)?;
            *topics.entry(event.topic).or_default() += 1;
            total += 1;
        }
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    Ok(topics)
}

fn compare(stats: &Stats, found: &BTreeMap<String, i64>) -> Vec<Check> {
    let mut checks = vec![Check::new(
        "events listed = unique",
        found.values().sum(),
        stats.unique_processed,
    )];
    let names = stats.topics.keys().chain(found.keys());
    let names: std::collections::BTreeSet<_> = names.collect();
    let of = |counts: &BTreeMap<String, i64>, name| counts.get(name).copied().unwrap_or(0);
    let wrong = names.into_iter().filter_map(|name| {
        let (listed, counted) = (of(found, name), of(&stats.topics, name));
        let what = format!("events listed = unique, in topic {}", output::plain(name));
        (listed != counted).then(|| Check::new(what, listed, counted))
    });
    checks.extend(wrong.take(MAX_TOPICS_NAMED));
    checks
}

fn print(report: &Report, args: &VerifyArgs) -> Result<(), Error> {
    let rows: Vec<_> = report
        .checks
        .iter()
        .map(|check| {
            let (sign, mark) = if check.ok {
                ("=", style("ok").green())
            } else {
                ("≠", style("wrong").red().bold())
            };
            let sides = format!("{} {sign} {}", number(check.left), number(check.right));
            vec![check.what.clone(), sides, mark.to_string()]
        })
        .collect();
    for line in output::table(&rows) {
        output::line(line)?;
    }
    if !report.listed && !args.counters_only {
        output::line(format!(
            "{} events arrived all the time, so they were not counted one by one (--counters-only leaves that out)",
            style("not verified:").red().bold(),
        ))?;
    }
    output::line(format!("\n{LIMITS}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Queue;

    fn stats(received: i64, topics: &[(&str, i64)]) -> Stats {
        Stats {
            received,
            unique_processed: 5,
            duplicate_dropped: 2,
            dead_lettered: 1,
            topics: topics
                .iter()
                .map(|(name, n)| ((*name).to_owned(), *n))
                .collect(),
            queue: Queue {
                pending: 0,
                processing: 0,
            },
            uptime: 1.0,
            uptime_start: String::new(),
        }
    }

    fn verdicts(checks: &[Check]) -> Vec<bool> {
        checks.iter().map(|check| check.ok).collect()
    }

    #[test]
    fn the_counters_must_add_up() {
        assert_eq!(
            verdicts(&counters(&stats(8, &[("a", 3), ("b", 2)]))),
            [true, true]
        );
        assert_eq!(verdicts(&counters(&stats(9, &[("a", 3)]))), [false, false]);
    }

    #[test]
    fn a_topic_that_differs_is_named() {
        let stats = stats(8, &[("a", 3), ("b", 2)]);
        let found = [("a".to_owned(), 3), ("c".to_owned(), 2)].into();
        let checks = compare(&stats, &found);
        assert_eq!(verdicts(&checks), [true, false, false]);
        assert!(checks[1].what.ends_with("topic b") && checks[2].what.ends_with("topic c"));
    }
}
