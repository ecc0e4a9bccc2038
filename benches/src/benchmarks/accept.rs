//! The publisher accepts requests, beside a handler that only reads the same bodies. Also, latencies at half of that load.

use anyhow::{Context, Result, ensure};

use crate::{
    generator::{self, Connection, Load, Pace, Template, get},
    lab::{Lab, QUEUE, QUEUE_MAX_LEN},
    processes::{Meter, ProcessGroup},
    report::{Figure, Goal, Report},
    services::Service,
    stats::{Pairs, Samples},
    workload::PAYLOAD_BYTES,
};

/// The connections are so many that the server always finds a request to read.
pub(super) const CONNECTIONS: usize = 64;
/// How many events a request has, and the goal.
const CASES: [(u64, Option<f64>); 4] = [
    (1, Some(0.6)),
    (10, Some(0.6)),
    (100, Some(0.5)),
    (1000, None),
];
/// The quantiles of the latency that are shown.
const QUANTILES: [(f64, &str); 3] = [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")];
/// The load with which latencies are measured, as a share of the load that saturates the server.
const HALF: f64 = 0.5;

pub(super) async fn run(lab: &Lab, report: &mut Report) -> Result<()> {
    let mut publisher = start_publisher(lab);
    let mut empty = Service::baseline(&["empty"]);
    publisher.ready().await?;
    empty.ready().await?;
    for (events, goal) in CASES {
        one_case(lab, report, [&publisher, &empty], events, goal).await?;
    }
    publisher.stop().await
}

/// A publisher whose queue is never full.
pub(super) fn start_publisher(lab: &Lab) -> Service {
    let settings = [
        ("REDIS_URL", &*lab.redis_url()),
        ("QUEUE_NAME", QUEUE),
        ("QUEUE_MAX_LEN", QUEUE_MAX_LEN),
    ];
    Service::start("publisher", &settings)
}

async fn one_case(
    lab: &Lab,
    report: &mut Report,
    [publisher, empty]: [&Service; 2],
    events: u64,
    goal: Option<f64>,
) -> Result<()> {
    let template = Template::events("/publish", events, PAYLOAD_BYTES);
    let load = |service: &Service, pace| Load {
        server: service.address,
        template: &template,
        expected: 202,
        connections: CONNECTIONS,
        pace,
    };
    let saturate = Pace::SaturateFor(lab.budget.load);
    let [redis, _] = lab.groups();
    let (mut pairs, mut shares, mut reference_shares) = (Pairs::default(), Vec::new(), Vec::new());
    for _ in 0..lab.budget.pairs {
        lab.empty_queue().await?;
        let meter = Meter::start(&[ProcessGroup::generator(), publisher.group, redis])?;
        let published = generator::send(&load(publisher, saturate)).await?;
        shares = meter.shares()?;
        // Every event that was accepted must be in the queue.
        let depth = lab.depth(QUEUE).await?;
        ensure!(
            depth.pending == published.requests * events,
            "{} events are queued, but {} were accepted",
            depth.pending,
            published.requests * events
        );
        let before = read_by(empty).await?;
        let meter = Meter::start(&[ProcessGroup::generator(), empty.group])?;
        let read = generator::send(&load(empty, saturate)).await?;
        reference_shares = meter.shares()?;
        let [requests, bytes] = read_by(empty).await?;
        ensure!(
            requests - before[0] == read.requests
                && bytes - before[1] == read.requests * template.body_bytes(),
            "{} requests were answered, but the handler read {} and {} bytes",
            read.requests,
            requests - before[0],
            bytes - before[1]
        );
        pairs.push(published.rate(), read.rate());
    }
    let case = format!("{events} a request");
    let figure = Figure::beside("accept", &case, "requests/s", &pairs);
    let figure = figure.shares(shares).reference_shares(reference_shares);
    report.add(match goal {
        Some(goal) => figure.goal(Goal::AtLeast(goal)),
        None => figure,
    });

    lab.empty_queue().await?;
    let rate = pairs.measured().median * HALF;
    let schedule = Pace::Schedule {
        rate,
        lasting: lab.budget.latency,
    };
    let meter = Meter::start(&[ProcessGroup::generator(), publisher.group, redis])?;
    let served = generator::send(&load(publisher, schedule)).await?;
    let shares = meter.shares()?;
    for (quantile, name) in QUANTILES {
        let samples: Samples = [served.latency_ms(quantile)].into_iter().collect();
        let case = format!("{case}, {name} at half load");
        let figure = Figure::alone("accept", case, "ms", &samples);
        report.add(
            figure
                .shares(shares.clone())
                .note(format!("{rate:.0} requests/s")),
        );
    }
    Ok(())
}

/// How many requests and bytes the handler has read. The rate of the generator is not believed without them.
async fn read_by(empty: &Service) -> Result<[u64; 2]> {
    let (_, body) = get(&mut Connection::open(empty.address).await?, "/read").await?;
    let text = String::from_utf8(body)?;
    let (requests, bytes) = text
        .split_once(' ')
        .context("/read must answer two numbers")?;
    Ok([requests.parse()?, bytes.parse()?])
}
