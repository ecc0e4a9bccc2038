//! A full queue into the database, beside the bare insertion of the same deliveries.

use anyhow::Result;

use super::floor::DUPLICATES;
use crate::{
    drain, floor,
    lab::Lab,
    processes::Share,
    report::{Figure, Goal, Report},
    stats::Pairs,
    workload::{Mix, Stream},
};

/// The goal without or with few duplicates.
const GOAL: f64 = 1.0;
/// The goal where most are duplicates, from so many of a hundred on.
const MOSTLY_DUPLICATES: u8 = 90;
const GOAL_MOSTLY_DUPLICATES: f64 = 3.0;

pub(super) async fn run(lab: &Lab, report: &mut Report) -> Result<()> {
    for percent in DUPLICATES {
        let stream = Stream {
            mix: Mix::with_duplicates(percent),
            first: 0,
            count: lab.budget.drain_events,
        };
        let (pairs, shares) = beside_floor(lab, stream, lab.budget.pairs).await?;
        let goal = if percent >= MOSTLY_DUPLICATES {
            GOAL_MOSTLY_DUPLICATES
        } else {
            GOAL
        };
        let case = format!("{percent} % duplicates");
        let figure = Figure::beside("drain", case, "events/s", &pairs);
        report.add(figure.goal(Goal::AtLeast(goal)).shares(shares));
    }
    Ok(())
}

/// Drains and inserts a stream in turn, each into a fresh database. Also tells the shares of the last drain.
pub(super) async fn beside_floor(
    lab: &Lab,
    stream: Stream,
    count: usize,
) -> Result<(Pairs, Vec<Share>)> {
    let way = floor::best(lab, stream.mix).await?;
    let (mut pairs, mut shares) = (Pairs::default(), Vec::new());
    for _ in 0..count {
        let database = lab.database().await?;
        let drained = drain::all(lab, &database, stream, &[]).await?;
        lab.remove(database).await?;
        let database = lab.database().await?;
        let inserted = floor::insert(lab, &database, stream, way).await?;
        lab.remove(database).await?;
        pairs.push(drained.rate, inserted.rate);
        shares = drained.shares;
    }
    Ok((pairs, shares))
}
