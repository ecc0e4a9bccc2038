//! The publisher accepts requests, beside a handler that only reads the same bodies, and beside one that parses them. Also,
//! latencies at half of that load.

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
/// How many events a request has, and the goal beside what it was before.
const CASES: [(u64, f64); 4] = [(1, 1.3), (10, 1.8), (100, 2.5), (1000, 3.0)];
/// The goal beside the handler that parses, and the case that has it.
const GOAL_PARSING: (u64, f64) = (100, 0.6);
/// The quantiles of the latency that are shown.
const QUANTILES: [(f64, &str); 3] = [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")];
/// The load with which latencies are measured, as a share of the load that saturates the server.
const HALF: f64 = 0.5;

pub(super) async fn run(lab: &Lab, report: &mut Report) -> Result<()> {
    let mut publisher = start_publisher(lab);
    let mut empty = Service::baseline(&["empty"]);
    let mut parsing = Service::baseline(&["parse"]);
    for service in [&mut publisher, &mut empty, &mut parsing] {
        service.ready().await?;
    }
    for (events, goal) in CASES {
        one_case(lab, report, [&publisher, &empty, &parsing], events, goal).await?;
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
    [publisher, empty, parsing]: [&Service; 3],
    events: u64,
    goal: f64,
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
    let (mut beside_parsing, mut parsing_shares) = (Pairs::default(), Vec::new());
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
        let meter = Meter::start(&[ProcessGroup::generator(), parsing.group])?;
        let parsed = generator::send(&load(parsing, saturate)).await?;
        parsing_shares = meter.shares()?;
        beside_parsing.push(published.rate(), parsed.rate());
    }
    let case = format!("{events} a request");
    let figure = Figure::beside("accept", &case, "requests/s", &pairs);
    let figure = figure.shares(shares).reference_shares(reference_shares);
    report.add(figure.goal_beside_before(Goal::AtLeast(goal)));
    let parsing = format!("{case}, beside a handler that parses");
    let figure = Figure::beside("accept", parsing, "requests/s", &beside_parsing);
    let figure = figure.reference_shares(parsing_shares);
    report.add(match GOAL_PARSING {
        (case, goal) if case == events => figure.goal(Goal::AtLeast(goal)),
        _ => figure,
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
