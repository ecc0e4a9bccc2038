//! One run: start, strike again and again, mend, drain, compare.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};

use clap::ValueEnum;
use futures_util::future::join_all;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde_json::Value;
use sqlx::PgPool;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Blow, Report, load};
use crate::{
    chaos::{program::Program, verify},
    servers::{OwnPostgres, RedisCluster, RedisSentinel, Replicated},
};

/// Settings of an aggregator: the shortest lease and small batches, so that there are many claims to hit.
const AGGREGATOR: [(&str, &str); 4] = [
    ("LEASE_SECONDS", "1"),
    ("WORKERS", "2"),
    ("BATCH_SIZE", "20"),
    ("SHUTDOWN_GRACE_SECONDS", "5"),
];
/// Clients that send at the same time.
const CLIENTS: usize = 6;
/// How long the programs may take to be ready.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// How long draining may take once nothing is broken any more and nothing is sent.
const DRAINED_WITHIN: Duration = Duration::from_mins(2);
/// Between two looks at something that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A blow is struck at a random moment within this time after everything has settled.
const MOMENT_MS: u64 = 400;

/// Who decides which server is the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// A cluster of three primaries with a replica each, and as many shards.
    Cluster,
    /// Three Sentinels, over a primary with a replica.
    Sentinel,
}

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Over what.
    pub way: Way,
    /// Where the random numbers begin.
    pub seed: u64,
    /// When so many replicas have taken over, it ends.
    pub failovers: usize,
    /// `REDIS_WAIT_REPLICAS` of publishers.
    pub wait_on_accept: u8,
    /// `REDIS_WAIT_REPLICAS` of aggregators.
    pub wait_on_claim: u8,
    /// Only these blows, if there are any.
    pub only: Vec<Blow>,
}

impl Options {
    /// With a replica that is waited for everywhere, as it should be.
    #[must_use]
    pub const fn new(way: Way, seed: u64, failovers: usize) -> Self {
        Self {
            way,
            seed,
            failovers,
            wait_on_accept: 1,
            wait_on_claim: 1,
            only: Vec::new(),
        }
    }

    fn title(&self) -> String {
        let way = match self.way {
            Way::Cluster => "cluster of six, three shards",
            Way::Sentinel => "Sentinel, one shard",
        };
        format!(
            "{way}, seed {}, replicas waited for on accept {} and on claim {}",
            self.seed, self.wait_on_accept, self.wait_on_claim
        )
    }
}

struct Cast {
    publishers: Vec<Program>,
    aggregators: Vec<Program>,
}

/// Runs once. Needs a runtime of several threads. What was found, good or bad, is in the report.
///
/// # Errors
/// If the run itself could not be carried out, which says nothing about the promise.
///
/// # Panics
/// If a server or a program cannot be started, or a replica does not take over.
pub async fn run(options: &Options) -> anyhow::Result<Report> {
    let begun = Instant::now();
    let mut redis: Box<dyn Replicated> = match options.way {
        Way::Cluster => Box::new(RedisCluster::start(3, 1).await),
        Way::Sentinel => Box::new(RedisSentinel::start(1).await),
    };
    let postgres = OwnPostgres::start().await;
    let mut report = Report {
        title: options.title(),
        blows: BTreeMap::new(),
        failovers: 0,
        acknowledged: 0,
        unacknowledged: 0,
        stored: 0,
        lost: 0,
        twice: 0,
        problems: Vec::new(),
        verified: 0,
        took: Duration::ZERO,
    };
    let mut cast = Cast::start(options, &*redis, &postgres.url());
    if !cast.is_ready().await {
        report.problems.push(format!(
            "the programs were not ready within {READY_WITHIN:?}"
        ));
    }
    let stop = CancellationToken::new();
    let verifying = tokio::spawn(verify::all_along(postgres.url(), stop.clone()));
    let urls = cast.publisher_urls();
    let clients =
        (0..CLIENTS).map(|number| tokio::spawn(load::send(number, urls.clone(), stop.clone())));
    let clients: Vec<_> = clients.collect();

    let mut rng = SmallRng::seed_from_u64(options.seed);
    while report.failovers < options.failovers {
        sleep(Duration::from_millis(rng.random_range(0..MOMENT_MS))).await;
        let blow = match &options.only[..] {
            [] => Blow::random(&mut rng),
            some => some[rng.random_range(0..some.len())],
        };
        let part = rng.random_range(0..redis.primaries());
        blow.strike(&mut *redis, part, &mut rng).await;
        report.struck(blow);
        redis.settled().await;
    }

    stop.cancel();
    let mut acknowledged = Vec::new();
    for client in clients {
        let sent = client.await?;
        acknowledged.extend(sent.acknowledged);
        report.unacknowledged += sent.unacknowledged;
        report.problems.extend(sent.wrong_answers);
    }
    let verified = verifying.await?;
    report.verified = verified.times;
    report.problems.extend(verified.drift);
    // What publishers might still push would come after the end.
    join_all(cast.publishers.iter_mut().map(Program::kill)).await;
    if !cast.is_drained().await {
        report
            .problems
            .push(format!("not drained within {DRAINED_WITHIN:?}"));
    }
    join_all(cast.aggregators.iter_mut().map(Program::kill)).await;
    for program in cast.publishers.iter().chain(&cast.aggregators) {
        report.problems.extend(program.surprises().iter().cloned());
    }
    compare(&mut report, &acknowledged, &postgres.url()).await?;
    report.took = begun.elapsed();
    Ok(report)
}

async fn compare(
    report: &mut Report,
    acknowledged: &[String],
    database: &str,
) -> anyhow::Result<()> {
    report.problems.extend(verify::at_last(database).await?);
    let pool = PgPool::connect(database).await?;
    let stored: Vec<String> = sqlx::query_scalar("SELECT event_id FROM processed_events")
        .fetch_all(&pool)
        .await?;
    let (twice, letters): (i64, i64) = sqlx::query_as(
        "SELECT sum(duplicate_dropped)::bigint, sum(dead_lettered)::bigint FROM agg_stats",
    )
    .fetch_one(&pool)
    .await?;
    pool.close().await;
    let stored: HashSet<String> = stored.into_iter().collect();
    report.acknowledged = acknowledged.len();
    report.stored = stored.len();
    report.lost = acknowledged
        .iter()
        .filter(|id| !stored.contains(*id))
        .count();
    report.twice = twice;
    if letters != 0 {
        report.problems.push(format!("{letters} dead letters"));
    }
    Ok(())
}

impl Cast {
    fn start(options: &Options, redis: &dyn Replicated, database: &str) -> Self {
        let settings = |replicas: u8| {
            vec![
                ("REDIS_URL", redis.url()),
                ("QUEUE_SHARDS", redis.primaries().to_string()),
                ("REDIS_WAIT_REPLICAS", replicas.to_string()),
                ("DATABASE_URL", database.to_owned()),
            ]
        };
        let publisher =
            |index| Program::start("publisher", index, settings(options.wait_on_accept));
        let aggregator = |index| {
            let mut settings = settings(options.wait_on_claim);
            settings.extend(AGGREGATOR.map(|(name, value)| (name, value.to_owned())));
            Program::start("aggregator", index, settings)
        };
        Self {
            publishers: (0..2).map(publisher).collect(),
            aggregators: (0..2).map(aggregator).collect(),
        }
    }

    fn publisher_urls(&self) -> Vec<String> {
        let publishers = self.publishers.iter();
        publishers.map(|program| program.url.clone()).collect()
    }

    async fn is_ready(&self) -> bool {
        let begun = Instant::now();
        let all = || self.publishers.iter().chain(&self.aggregators);
        while begun.elapsed() < READY_WITHIN {
            let asking = all().map(|program| get(&program.url, "/ready"));
            if join_all(asking).await.iter().all(Option::is_some) {
                return true;
            }
            sleep(LOOK_EVERY).await;
        }
        false
    }

    async fn is_drained(&self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < DRAINED_WITHIN {
            if let Some(stats) = get(&self.aggregators[0].url, "/stats").await
                && stats["queue"]["pending"] == 0
                && stats["queue"]["processing"] == 0
            {
                return true;
            }
            sleep(LOOK_EVERY).await;
        }
        false
    }
}

/// What is answered, if it is well.
async fn get(url: &str, path: &str) -> Option<Value> {
    let client = crate::http::builder().timeout(READY_WITHIN).build().ok()?;
    let answer = client.get(format!("{url}{path}")).send().await.ok()?;
    if answer.status().is_success() {
        answer.json().await.ok()
    } else {
        None
    }
}
