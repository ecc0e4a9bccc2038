//! Drains of a queue in which many events wait, beside drains of a queue in which few wait, in turn.

use anyhow::{Result, ensure};

use crate::{
    drain::{self, received},
    lab::{Lab, QUEUE},
    machine,
    report::{Figure, Report},
    stats::Pairs,
    workload::{Mix, Stream},
};

/// The name of the queue in which few events wait.
const SHALLOW: &str = "benches-shallow";
/// How much memory and how much of the disk a waiting event takes at most.
const BYTES_AN_EVENT: u64 = 800;

pub(super) async fn run(lab: &Lab, report: &mut Report) -> Result<()> {
    let wanted = lab.budget.depth_events;
    let room = machine::free_memory()?.min(machine::free_disk(lab.data())?) / BYTES_AN_EVENT;
    let depth = wanted.min(room);
    if depth < wanted {
        report.skip(format!(
            "queue-depth with {wanted} events, because memory and disk have room for {depth}; it is measured with those"
        ));
    }
    let rounds = lab.budget.rounds as u64;
    let each = (lab.budget.depth_drained / rounds).min(depth / (2 * rounds));
    lab.empty_queue().await?;
    let deep = Stream {
        mix: Mix::UNIQUE,
        first: 0,
        count: depth,
    };
    lab.fill(QUEUE, deep).await?;
    let (mut pairs, mut shares, mut left) = (Pairs::default(), Vec::new(), depth);
    for _ in 0..rounds {
        let (rate, taken, now) = drain_some(lab, QUEUE, each).await?;
        shares = now;
        left -= taken;
        let after = lab.depth(QUEUE).await?;
        ensure!(
            after.pending == left && after.processing == 0,
            "{left} events should wait, but the queue has {after:?}"
        );
        let shallow = Stream {
            count: each,
            ..deep
        };
        lab.fill(SHALLOW, shallow).await?;
        let (beside, _, _) = drain_some(lab, SHALLOW, each).await?;
        pairs.push(rate, beside);
    }
    lab.empty_queue().await?;
    let case = format!("{depth} waiting, beside {each}");
    report.add(Figure::beside("queue-depth", case, "events/s", &pairs).shares(shares));
    Ok(())
}

/// Returns the events per second, how many events were taken out of the queue before the aggregator stopped, and the shares.
async fn drain_some(
    lab: &Lab,
    queue: &str,
    events: u64,
) -> Result<(f64, u64, Vec<crate::processes::Share>)> {
    let database = lab.database().await?;
    let settings = [("QUEUE_NAME", queue)];
    let (drained, aggregator) = drain::some(lab, &database, events, &settings).await?;
    aggregator.stop().await?;
    let taken = received(&mut database.connect().await?).await?;
    lab.remove(database).await?;
    Ok((drained.rate, taken, drained.shares))
}
