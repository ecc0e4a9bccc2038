//! Several shards on the primaries of a cluster, beside one Redis: the processor time that an event takes of each part. On one
//! machine more shards cannot be faster, but what each part costs an event can be extrapolated to several machines.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use queue::redis::Address;
use redis::InfoDict;
use tests::servers::{RedisCluster, Replicated};
use tokio::time::sleep;

use crate::{
    drain,
    generator::{self, Load, Pace, Template},
    lab::{self, Lab, QUEUE, QUEUE_MAX_LEN},
    processes::{Meter, ProcessGroup, processors},
    report::{Figure, Goal, Report},
    services::Service,
    stats::{Pairs, float},
    workload::{Mix, PAYLOAD_BYTES, Stream},
};

/// Events a request.
const BATCH_EVENTS: u64 = 100;
/// Primaries of the cluster.
const PRIMARIES: usize = 3;
/// Programs of a kind, and shards. The first case is what the others are compared with, and is one Redis.
const CASES: [(usize, u16); 4] = [(1, 1), (1, 3), (3, 3), (3, 6)];
/// The case with a goal: three shards, and one publisher.
const WITH_GOAL: (usize, u16) = (1, 3);
const PARTS_WITH_GOAL: [&str; 2] = ["publisher", "redis, accepting"];
/// What an event may cost publisher and Redis there, beside one Redis.
const GOAL: f64 = 1.1;
/// Connections to all publishers.
const CONNECTIONS: usize = 48;
/// The pause between two looks at the counters.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(10);
const MICROS: f64 = 1e6;

/// Where the queue is.
struct Place {
    url: String,
    shards: String,
    redis: Vec<ProcessGroup>,
}

/// What an event takes, in microseconds of processor time.
#[derive(Clone, Copy)]
struct Cost {
    publisher: f64,
    redis: f64,
    aggregator: f64,
    postgres: f64,
}

impl Cost {
    fn parts(self) -> [(&'static str, f64); 4] {
        [
            (PARTS_WITH_GOAL[0], self.publisher),
            (PARTS_WITH_GOAL[1], self.redis),
            ("aggregator", self.aggregator),
            ("postgres", self.postgres),
        ]
    }
}

pub(super) async fn run(lab: &Lab, report: &mut Report) -> Result<()> {
    let cluster = RedisCluster::start(PRIMARIES, 0).await;
    let nodes = redis_processes(&cluster).await?;
    let place = |shards: u16| {
        if shards == 1 {
            Place {
                url: lab.redis_url(),
                shards: shards.to_string(),
                redis: vec![lab.groups()[0]],
            }
        } else {
            Place {
                url: cluster.url(),
                shards: shards.to_string(),
                redis: nodes.clone(),
            }
        }
    };
    let mut costs: Vec<Vec<Cost>> = Vec::new();
    for _ in 0..lab.budget.rounds {
        let mut round = Vec::new();
        for (programs, shards) in CASES {
            empty(lab, &cluster).await?;
            round.push(one_case(lab, &place(shards), programs, shards).await?);
        }
        costs.push(round);
    }
    for (at, (programs, shards)) in CASES.into_iter().enumerate().skip(1) {
        for number in 0..costs[0][at].parts().len() {
            let mut pairs = Pairs::default();
            for round in &costs {
                pairs.push(round[at].parts()[number].1, round[0].parts()[number].1);
            }
            let (part, _) = costs[0][at].parts()[number];
            let case =
                format!("{part}: {programs} of each program, {shards} shards, beside 1 and 1");
            let figure = Figure::beside("shards", case, "µs/event", &pairs);
            let has_goal = (programs, shards) == WITH_GOAL && PARTS_WITH_GOAL.contains(&part);
            report.add(if has_goal {
                figure.goal(Goal::AtMost(GOAL))
            } else {
                figure
            });
        }
    }
    Ok(())
}

async fn one_case(lab: &Lab, place: &Place, programs: usize, shards: u16) -> Result<Cost> {
    let [publisher, redis] = accept(lab, place, programs).await?;
    let [aggregator, postgres] = store(lab, place, programs, shards).await?;
    Ok(Cost {
        publisher,
        redis,
        aggregator,
        postgres,
    })
}

/// What publishers and Redis take for an event.
async fn accept(lab: &Lab, place: &Place, programs: usize) -> Result<[f64; 2]> {
    let settings = [
        ("REDIS_URL", &*place.url),
        ("QUEUE_NAME", QUEUE),
        ("QUEUE_SHARDS", &place.shards),
        ("QUEUE_MAX_LEN", QUEUE_MAX_LEN),
    ];
    let mut publishers: Vec<Service> = (0..programs)
        .map(|_| Service::start("publisher", &settings))
        .collect();
    for publisher in &mut publishers {
        publisher.ready().await?;
    }
    let template = Template::events("/publish", BATCH_EVENTS, PAYLOAD_BYTES);
    let groups = publishers.iter().map(|publisher| publisher.group);
    let groups: Vec<ProcessGroup> = groups.chain(place.redis.iter().copied()).collect();
    let (meter, begun) = (Meter::start(&groups)?, Instant::now());
    let loads: Vec<Load> = publishers
        .iter()
        .map(|publisher| Load {
            server: publisher.address,
            template: &template,
            expected: 202,
            connections: CONNECTIONS / programs,
            pace: Pace::SaturateFor(lab.budget.load),
        })
        .collect();
    let served = try_join_all(loads.iter().map(generator::send)).await?;
    let costs = costs(
        &meter,
        begun,
        served.iter().map(|served| served.requests).sum::<u64>() * BATCH_EVENTS,
    )?;
    for publisher in publishers {
        publisher.stop().await?;
    }
    Ok([costs("publisher"), costs("redis")])
}

/// What aggregators and PostgreSQL take for an event.
async fn store(lab: &Lab, place: &Place, programs: usize, shards: u16) -> Result<[f64; 2]> {
    let stream = Stream {
        mix: Mix::UNIQUE,
        first: 0,
        count: lab.budget.drain_events,
    };
    let database = lab.database().await?;
    let mut connection = database.connect().await?;
    let before = drain::Counters::read(&mut connection).await?;
    // What the publishers have left there is not part of it.
    let queue = format!("{QUEUE}-stored");
    let address = Address::new(&place.url, queue.parse()?)?.in_shards(shards);
    lab::push(&address, stream).await?;
    lab.checkpoint().await?;
    let settings = [
        ("DATABASE_URL", database.url()),
        ("REDIS_URL", &*place.url),
        ("QUEUE_NAME", &*queue),
        ("QUEUE_SHARDS", &place.shards),
    ];
    let begun = Instant::now();
    let aggregators: Vec<Service> = (0..programs)
        .map(|_| Service::start("aggregator", &settings))
        .collect();
    let [_, postgres] = lab.groups();
    let groups = aggregators.iter().map(|aggregator| aggregator.group);
    let groups: Vec<ProcessGroup> = groups.chain([postgres]).collect();
    let meter = Meter::start(&groups)?;
    while drain::received(&mut connection).await? < before.received + stream.count {
        ensure!(
            begun.elapsed() < drain::PROGRESS_WITHIN,
            "not all events were stored in time"
        );
        sleep(LOOK_EVERY).await;
    }
    let costs = costs(&meter, begun, stream.count)?;
    for aggregator in aggregators {
        aggregator.stop().await?;
    }
    before.check(&mut connection, stream).await?;
    drop(connection);
    lab.remove(database).await?;
    Ok([costs("aggregator"), costs("postgres")])
}

/// What all processes of a name have taken for each of so many events, in microseconds.
fn costs(meter: &Meter, begun: Instant, events: u64) -> Result<impl Fn(&str) -> f64> {
    let shares = meter.shares()?;
    let available = begun.elapsed().as_secs_f64() * processors();
    Ok(move |name: &str| {
        let shares = shares.iter().filter(|share| share.name == name);
        let share: f64 = shares.map(|share| share.share).sum();
        share * available * MICROS / float(events)
    })
}

async fn empty(lab: &Lab, cluster: &RedisCluster) -> Result<()> {
    lab.empty_queue().await?;
    for node in 0..cluster.nodes().len() {
        let connection = cluster.connection(node).await;
        let mut connection = connection.context("a node of the cluster does not answer")?;
        redis::cmd("FLUSHALL").exec_async(&mut connection).await?;
        redis::cmd("BGREWRITEAOF")
            .exec_async(&mut connection)
            .await?;
    }
    Ok(())
}

async fn redis_processes(cluster: &RedisCluster) -> Result<Vec<ProcessGroup>> {
    let mut processes = Vec::new();
    for node in 0..cluster.nodes().len() {
        let connection = cluster.connection(node).await;
        let mut connection = connection.context("a node of the cluster does not answer")?;
        let info: InfoDict = redis::cmd("INFO")
            .arg("server")
            .query_async(&mut connection)
            .await?;
        let id = info.get("process_id").context("Redis's process id")?;
        processes.push(ProcessGroup::one("redis", id));
    }
    Ok(processes)
}
