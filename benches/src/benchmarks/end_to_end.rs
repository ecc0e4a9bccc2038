//! All programs at once: generator, publisher, Redis, aggregator and PostgreSQL. Also, how long it takes from the `202` of an
//! event until `/topics` counts it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use serde_json::Value;
use tokio::{task::JoinSet, time::sleep};

use super::accept::start_publisher;
use crate::{
    drain::{Counters, received},
    floor::Floor,
    generator::{self, Connection, Load, Pace, Template, get, histogram, millis, record},
    lab::{Database, Lab, QUEUE},
    processes::{Meter, ProcessGroup, Share},
    report::{Figure, Goal, Report},
    services::Service,
    stats::{Pairs, Samples, float},
    workload::{Mix, PAYLOAD_BYTES, Stream},
};

/// How many events a request has.
const EVENTS: u64 = 100;
/// The connections are few, so that the generator leaves the processors to the others.
const CONNECTIONS: usize = 16;
/// The goal of the ratio.
const GOAL: f64 = 0.65;
/// The load with which latencies are measured, as a share of the rate at which everything is committed.
const HALF: f64 = 0.5;
/// The goal of the time until an event is visible, beside what it was before.
const GOAL_VISIBLE: f64 = 0.5;
/// How many events are followed at the same time until they are visible.
const PROBES: usize = 2;
/// The pause between two readings of `/topics`. A figure may be too long by this time.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// The pause between two probes. It is random, because probes at fixed intervals would keep step with the workers.
const PAUSE_MS: std::ops::Range<u64> = 0..20;
/// How long it may take until an event is visible.
const VISIBLE_WITHIN: Duration = Duration::from_secs(30);
/// How long it may take until everything that was accepted is committed.
const COMMITTED_WITHIN: Duration = Duration::from_mins(3);

pub(super) async fn run(lab: &Lab, floor: &Floor<'_>, report: &mut Report) -> Result<()> {
    let stream = Stream {
        mix: Mix::UNIQUE,
        first: 0,
        count: lab.budget.end_to_end_events,
    };
    let method = floor.fastest(stream.mix).await?;
    let (mut pairs, mut shares) = (Pairs::default(), Vec::new());
    for _ in 0..lab.budget.pairs {
        let database = lab.database().await?;
        let (rate, now) = all_the_way(lab, &database, stream).await?;
        lab.remove(database).await?;
        let database = lab.database().await?;
        let inserted = floor.insert(&database, stream, method).await?;
        lab.remove(database).await?;
        pairs.push(rate, inserted.rate);
        shares = now;
    }
    let case = format!("{EVENTS} a request, {CONNECTIONS} connections");
    let figure = Figure::beside("end-to-end", case, "events/s", &pairs);
    report.add(figure.goal(Goal::AtLeast(GOAL)).shares(shares));
    visible(lab, report, pairs.measured().median * HALF).await
}

/// A publisher and an aggregator with an empty queue.
struct System {
    publisher: Service,
    aggregator: Service,
}

impl System {
    async fn start(lab: &Lab, database: &Database) -> Result<Self> {
        lab.empty_queue().await?;
        let settings = [
            ("DATABASE_URL", database.url()),
            ("REDIS_URL", &*lab.redis_url()),
            ("QUEUE_NAME", QUEUE),
        ];
        let mut system = Self {
            publisher: start_publisher(lab),
            aggregator: Service::start("aggregator", &settings),
        };
        system.publisher.ready().await?;
        system.aggregator.ready().await?;
        Ok(system)
    }

    fn meter(&self, lab: &Lab) -> Result<Meter> {
        let [redis, postgres] = lab.groups();
        let (publisher, aggregator) = (self.publisher.group, self.aggregator.group);
        Meter::start(&[
            ProcessGroup::generator(),
            publisher,
            aggregator,
            redis,
            postgres,
        ])
    }

    async fn stop(self) -> Result<()> {
        self.publisher.stop().await?;
        self.aggregator.stop().await
    }
}

/// Events per second from the first request to the last commit.
async fn all_the_way(lab: &Lab, database: &Database, stream: Stream) -> Result<(f64, Vec<Share>)> {
    let system = System::start(lab, database).await?;
    let mut connection = database.connect().await?;
    let before = Counters::read(&mut connection).await?;
    let template = Template::events("/publish", EVENTS, PAYLOAD_BYTES);
    let load = Load {
        server: system.publisher.address,
        template: &template,
        expected: 202,
        connections: CONNECTIONS,
        pace: Pace::SaturateWith(stream.count / EVENTS),
    };
    let meter = system.meter(lab)?;
    let started = Instant::now();
    generator::send(&load).await?;
    while received(&mut connection).await? < stream.count {
        ensure!(
            started.elapsed() < COMMITTED_WITHIN,
            "not everything was committed within {COMMITTED_WITHIN:?}; the aggregator says:\n{}",
            system.aggregator.output()
        );
        sleep(LOOK_EVERY).await;
    }
    let rate = float(stream.count) / started.elapsed().as_secs_f64();
    let shares = meter.shares()?;
    system.stop().await?;
    before.check(&mut connection, stream).await?;
    Ok((rate, shares))
}

/// Follows single events while this many other events per second go the same way.
async fn visible(lab: &Lab, report: &mut Report, events_per_second: f64) -> Result<()> {
    let database = lab.database().await?;
    let system = System::start(lab, &database).await?;
    let template = Template::events("/publish", EVENTS, PAYLOAD_BYTES);
    let load = Load {
        server: system.publisher.address,
        template: &template,
        expected: 202,
        connections: CONNECTIONS,
        pace: Pace::Schedule {
            rate: events_per_second / float(EVENTS),
            lasting: lab.budget.latency,
        },
    };
    let until = Instant::now() + lab.budget.latency;
    let mut probes = JoinSet::new();
    for number in 0..PROBES {
        let (publisher, aggregator) = (&system.publisher, &system.aggregator);
        let publisher = Connection::open(publisher.address).await?;
        let aggregator = Connection::open(aggregator.address).await?;
        probes.spawn(probe(
            publisher,
            aggregator,
            format!("probe/{number}"),
            until,
        ));
    }
    let meter = system.meter(lab)?;
    generator::send(&load).await?;
    let shares = meter.shares()?;
    let mut seen = histogram();
    while let Some(ended) = probes.join_next().await {
        seen.add(ended??)
            .context("the histograms differ in their resolution")?;
    }
    system.stop().await?;
    lab.remove(database).await?;
    for (quantile, name, goal) in [
        (0.5, "p50", None),
        (0.99, "p99", Some(Goal::AtMost(GOAL_VISIBLE))),
    ] {
        let samples: Samples = [millis(&seen, quantile)].into_iter().collect();
        let case = format!("202 to visible in /topics, {name} at half load");
        let figure = Figure::alone("end-to-end", case, "ms", &samples);
        let note = format!("{events_per_second:.0} events/s; {} probes", seen.len());
        let figure = figure.shares(shares.clone()).note(note);
        report.add(match goal {
            Some(goal) => figure.goal_beside_before(goal),
            None => figure,
        });
    }
    Ok(())
}

/// Publishes one event after the other in a topic of its own, and reads the counters each time until the event is counted.
async fn probe(
    mut publisher: Connection,
    mut aggregator: Connection,
    topic: String,
    until: Instant,
) -> Result<Histogram<u64>> {
    let mut template = Template::probe("/publish", &topic);
    let (mut seen, mut published) = (histogram(), 0);
    while Instant::now() < until {
        let status = publisher.exchange(template.next()).await?;
        ensure!(status == 202, "a probe was answered {status}");
        published += 1;
        let accepted = Instant::now();
        while counted(&mut aggregator, &topic).await? < published {
            ensure!(
                accepted.elapsed() < VISIBLE_WITHIN,
                "an event was not visible within {VISIBLE_WITHIN:?}"
            );
            sleep(LOOK_EVERY).await;
        }
        record(&mut seen, accepted)?;
        sleep(Duration::from_millis(rand::random_range(PAUSE_MS))).await;
    }
    Ok(seen)
}

async fn counted(aggregator: &mut Connection, topic: &str) -> Result<u64> {
    // Unlike /stats, it is read anew for each request.
    let (status, body) = get(aggregator, &format!("/topics?prefix={topic}")).await?;
    ensure!(status == 200, "/topics answered {status}");
    let listed: Value = serde_json::from_slice(&body)?;
    Ok(listed["topics"][0]["unique_processed"]
        .as_u64()
        .unwrap_or(0))
}
