//! `eventctl verify`: checks whether what the server says over HTTP agrees with itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use console::style;
use event_aggregator_client::{Client, Error as CallError, EventQuery, ListedTopics, Stats};
use serde::Serialize;

use crate::{
    cli::VerifyArgs,
    error::Error,
    exit_code::Outcome,
    format::{number, plain},
    output,
    table::{Left, Right, table},
};

/// How many events are read at once, which is as many as the server gives.
const PAGE: u64 = 1000;
/// How often the events are listed again because others arrived meanwhile.
const TRIES: u32 = 3;
/// The pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);
/// How many topics that differ are named.
const MAX_TOPICS_NAMED: usize = 20;
/// What cannot be seen over HTTP.
const LIMITS: &str = "This compares what the server says with itself. It does not prove that every accepted event is stored, \
nor that the\ncounters agree with the rows of the database in one snapshot. `aggregator verify` (standalone: \
`event-aggregator verify`)\ncompares those; run it where the database is.";

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

/// Checks.
///
/// # Errors
/// If the server is away or refuses the request.
pub(crate) async fn run(client: &Client, args: &VerifyArgs, json: bool) -> Result<Outcome, Error> {
    let mut checks = counters(&client.stats(ListedTopics::All).await?);
    let mut listed = false;
    if !args.counters_only
        && let Some(found) = list_while_quiet(client).await?
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

/// Checks what holds in every single answer.
fn counters(stats: &Stats) -> Vec<Check> {
    let sum = stats.unique_processed + stats.duplicate_dropped + stats.dead_lettered;
    vec![
        Check::new(
            "received = unique + duplicates + dead letters",
            stats.received,
            sum,
        ),
        Check::new(
            "sum of the topics = unique",
            stats.topics.values().sum(),
            stats.unique_processed,
        ),
    ]
}

/// Checks what holds while nothing arrives; `None` if events kept arriving.
async fn list_while_quiet(client: &Client) -> Result<Option<Vec<Check>>, Error> {
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let before = client.stats(ListedTopics::All).await?;
        let listed = count(client, before.unique_processed).await?;
        let after = client.stats(ListedTopics::All).await?;
        if before.is_drained() && after.is_drained() && before.received == after.received {
            return Ok(Some(compare(&after, &listed)));
        }
    }
    Ok(None)
}

/// Counts the listed events of each topic; it ends at the first page that goes beyond `expected`.
async fn count(client: &Client, expected: i64) -> Result<BTreeMap<String, i64>, Error> {
    let (mut topics, mut total) = (BTreeMap::new(), 0);
    let mut query = EventQuery {
        limit: Some(PAGE),
        ..EventQuery::default()
    };
    while total <= expected {
        if client.stop().is_cancelled() {
            return Err(CallError::Interrupted.into());
        }
        let page = client.events(&query).await?;
        for event in page.events {
            *topics.entry(event.into_value().topic).or_default() += 1;
            total += 1;
        }
        match page.next_cursor {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    Ok(topics)
}

fn compare(stats: &Stats, listed: &BTreeMap<String, i64>) -> Vec<Check> {
    let mut checks = vec![Check::new(
        "events listed = unique",
        listed.values().sum(),
        stats.unique_processed,
    )];
    let names: BTreeSet<_> = stats.topics.keys().chain(listed.keys()).collect();
    let of = |counts: &BTreeMap<String, i64>, name| counts.get(name).copied().unwrap_or(0);
    let wrong = names.into_iter().filter_map(|name| {
        let (listed, counted) = (of(listed, name), of(&stats.topics, name));
        let what = format!("events listed = unique, in topic {}", plain(name));
        (listed != counted).then(|| Check::new(what, listed, counted))
    });
    checks.extend(wrong.take(MAX_TOPICS_NAMED));
    checks
}

fn print(report: &Report, args: &VerifyArgs) -> Result<(), Error> {
    let rows = report.checks.iter().map(|check| {
        let (sign, mark) = if check.ok {
            ("=", style("ok").green())
        } else {
            ("≠", style("wrong").red().bold())
        };
        let sides = format!("{} {sign} {}", number(check.left), number(check.right));
        [check.what.clone(), sides, mark.to_string()]
    });
    output::lines(&table([Left, Right, Left], rows))?;
    if !report.listed && !args.counters_only {
        output::line(format!(
            "{} events kept arriving, so they were not counted one by one (--counters-only leaves that out)",
            style("not verified:").red().bold(),
        ))?;
    }
    output::line(format!("\n{LIMITS}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use event_aggregator_client::QueueDepth;

    use super::*;

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
            topics_total: None,
            queue: QueueDepth {
                pending: 0,
                processing: 0,
                ..QueueDepth::default()
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
        let listed = [("a".to_owned(), 3), ("c".to_owned(), 2)].into();
        let checks = compare(&stats, &listed);
        assert_eq!(verdicts(&checks), [true, false, false]);
        assert!(checks[1].what.ends_with("topic b") && checks[2].what.ends_with("topic c"));
    }
}
