//! The aggregator stores a full queue, beside a bare insertion of the same deliveries.

use anyhow::Result;

use crate::{
    drain,
    floor::Floor,
    lab::Lab,
    processes::Share,
    report::{Figure, Goal, Report},
    stats::Pairs,
    workload::{Mix, Stream},
};

/// Nothing may become slower.
const GOAL_BESIDE_BEFORE: f64 = 0.97;
/// The goals, by percentage of duplicates.
const GOALS: [(u8, f64); 3] = [(0, 0.9), (30, 1.0), (90, 2.5)];

pub(super) async fn run(lab: &Lab, floor: &Floor<'_>, report: &mut Report) -> Result<()> {
    for (percent, goal) in GOALS {
        let stream = Stream {
            mix: Mix::with_duplicates(percent),
            first: 0,
            count: lab.budget.drain_events,
        };
        let (pairs, shares) = beside_floor(lab, floor, stream, lab.budget.pairs).await?;
        let case = format!("{percent} % duplicates");
        let figure = Figure::beside("drain", case, "events/s", &pairs);
        let figure = figure.goal(Goal::AtLeast(goal)).shares(shares);
        report.add(figure.goal_beside_before(Goal::AtLeast(GOAL_BESIDE_BEFORE)));
    }
    Ok(())
}

/// Drains a stream and inserts it, in turn, each into a new database. Also returns the shares of the last drain.
pub(super) async fn beside_floor(
    lab: &Lab,
    floor: &Floor<'_>,
    stream: Stream,
    count: usize,
) -> Result<(Pairs, Vec<Share>)> {
    let method = floor.fastest(stream.mix).await?;
    let (mut pairs, mut shares) = (Pairs::default(), Vec::new());
    for _ in 0..count {
        let database = lab.database().await?;
        let drained = drain::all(lab, &database, stream, &[]).await?;
        lab.remove(database).await?;
        let database = lab.database().await?;
        let inserted = floor.insert(&database, stream, method).await?;
        lab.remove(database).await?;
        pairs.push(drained.rate, inserted.rate);
        shares = drained.shares;
    }
    Ok((pairs, shares))
}
