//! How long requests wait while a large bucket is dropped, beside the same load without it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sqlx::PgConnection;
use tokio::time::sleep;

use super::growth;
use crate::{
    drain::Counters,
    generator::{self, Connection, Load, Pace, Template, get, histogram, millis, record},
    lab::{Lab, QUEUE},
    report::{Figure, Goal, Report},
    services::Service,
    stats::Pairs,
    workload::PAYLOAD_BYTES,
};

/// How much longer than without it any request may wait, in milliseconds.
const GOAL_MS: f64 = 100.0;
/// Requests to `/ingest` a second, with one event each, and connections for them.
const INGESTS: f64 = 300.0;
const CONNECTIONS: usize = 16;
/// The pause between two pages of events.
const PAGE_EVERY: Duration = Duration::from_millis(20);
/// A bucket that is older is dropped. Those of the measurement are young, until it is said that one is not.
const RETENTION: &str = "1h";
/// When the bucket is due, from the beginning of a load.
const DUE_AFTER: Duration = Duration::from_secs(1);
/// How long the load may go on until the bucket is dropped.
const DROPPED_WITHIN: Duration = Duration::from_mins(1);

pub(super) async fn run(lab: &Lab, report: &mut Report) -> Result<()> {
    let events = lab.budget.growth_bucket;
    let (mut ingests, mut pages) = (Pairs::default(), Pairs::default());
    let (mut ingests_more, mut pages_more) = (f64::MIN, f64::MIN);
    for _ in 0..lab.budget.growth_rounds.min(2) {
        let database = lab.database().await?;
        growth::fill_buckets(&database, events, 0, events).await?;
        lab.checkpoint().await?;
        lab.empty_queue().await?;
        let settings = [
            ("DATABASE_URL", database.url()),
            ("REDIS_URL", &*lab.redis_url()),
            ("QUEUE_NAME", QUEUE),
            ("RETENTION_DAYS", RETENTION),
        ];
        let mut aggregator = Service::start("aggregator", &settings);
        aggregator.ready().await?;
        let mut connection = database.connect().await?;
        let before = Counters::read(&mut connection).await?;
        let quiet = longest(&aggregator, &mut connection, false).await?;
        let dropping = longest(&aggregator, &mut connection, true).await?;
        let after = Counters::read(&mut connection).await?;
        let stored = before.unique + quiet.requests + dropping.requests;
        let kept = before.rows_since(&mut connection).await?;
        ensure!(
            after.unique == stored
                && after.received == stored
                && kept == quiet.requests + dropping.requests,
            "the counters are wrong after a bucket was dropped: {before:?} before, {after:?} after"
        );
        ingests.push(dropping.ingest_ms, quiet.ingest_ms);
        pages.push(dropping.page_ms, quiet.page_ms);
        ingests_more = ingests_more.max(dropping.ingest_ms - quiet.ingest_ms);
        pages_more = pages_more.max(dropping.page_ms - quiet.page_ms);
        aggregator.stop().await?;
        drop(connection);
        lab.remove(database).await?;
    }
    for (what, pairs, more) in [
        ("/ingest", ingests, ingests_more),
        ("a page of events", pages, pages_more),
    ] {
        let case = format!("a bucket of {events} events, longest wait for {what}");
        let figure = Figure::beside("forgetting", case, "ms", &pairs);
        let verdict = if more <= GOAL_MS { "met" } else { "not met" };
        let goal = Goal::AtMost(GOAL_MS);
        report.add(figure.note(format!(
            "{more:.0} ms more at most; the goal of {goal} is {verdict}"
        )));
    }
    Ok(())
}

struct Longest {
    requests: u64,
    ingest_ms: f64,
    page_ms: f64,
}

/// The longest waits of a load, in which the oldest bucket is dropped or not.
async fn longest(
    aggregator: &Service,
    connection: &mut PgConnection,
    is_due: bool,
) -> Result<Longest> {
    let template = Template::events("/ingest", 1, PAYLOAD_BYTES);
    let lasting = Duration::from_secs(if is_due { 12 } else { 6 });
    let load = Load {
        server: aggregator.address,
        template: &template,
        expected: 200,
        connections: CONNECTIONS,
        pace: Pace::Schedule {
            rate: INGESTS,
            lasting,
        },
    };
    let started = Instant::now();
    let reading = async {
        let mut reader = Connection::open(aggregator.address).await?;
        let mut waits = histogram();
        while started.elapsed() < lasting {
            let since = Instant::now();
            let (status, _) = get(&mut reader, "/events?limit=10&order=newest").await?;
            ensure!(status == 200, "a page was answered with {status}");
            record(&mut waits, since)?;
            sleep(PAGE_EVERY).await;
        }
        Ok(millis(&waits, 1.0))
    };
    let dropping = async {
        if is_due {
            sleep(DUE_AFTER).await;
            drop_oldest(connection).await?;
        }
        Ok(())
    };
    let (served, page_ms, ()) = tokio::try_join!(generator::send(&load), reading, dropping)?;
    Ok(Longest {
        requests: served.requests,
        ingest_ms: served.latency_ms(1.0),
        page_ms,
    })
}

/// Makes the oldest bucket old enough, and waits until it is dropped.
async fn drop_oldest(connection: &mut PgConnection) -> Result<()> {
    let due =
        "UPDATE ledger_buckets SET closed_at = closed_at - interval '2 hours' WHERE bucket = 0";
    sqlx::query(due).execute(&mut *connection).await?;
    let deadline = Instant::now() + DROPPED_WITHIN;
    loop {
        let dropped = "SELECT dropped_at IS NOT NULL FROM ledger_buckets WHERE bucket = 0";
        let dropped: bool = sqlx::query_scalar(dropped)
            .fetch_one(&mut *connection)
            .await?;
        if dropped {
            return Ok(());
        }
        (Instant::now() < deadline)
            .then_some(())
            .context("the bucket was not dropped")?;
        sleep(Duration::from_millis(100)).await;
    }
}
