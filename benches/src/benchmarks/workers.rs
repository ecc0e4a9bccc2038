//! Drains with few and with many workers, beside the default number in the same round.

use anyhow::{Context, Result};

use crate::{
    drain,
    lab::Lab,
    report::{Figure, Report},
    stats::Pairs,
    workload::{Mix, Stream},
};

/// The numbers of workers.
const WORKERS: [&str; 5] = ["1", "2", "4", "8", "16"];
/// The number that is the default of the aggregator.
const DEFAULT: &str = "4";

pub(super) async fn run(lab: &Lab, report: &mut Report) -> Result<()> {
    let stream = Stream {
        mix: Mix::UNIQUE,
        first: 0,
        count: lab.budget.drain_events,
    };
    let mut figures = WORKERS.map(|workers| (workers, Pairs::default(), Vec::new()));
    for _ in 0..lab.budget.rounds {
        let mut round = Vec::new();
        for workers in WORKERS {
            let database = lab.database().await?;
            let settings = [("WORKERS", workers)];
            let drained = drain::all(lab, &database, stream, &settings).await?;
            lab.remove(database).await?;
            round.push((workers, drained));
        }
        let default = round.iter().find(|(workers, _)| *workers == DEFAULT);
        let default = default
            .context("the default is not among the numbers of workers")?
            .1
            .rate;
        for ((_, pairs, shares), (_, drained)) in figures.iter_mut().zip(round) {
            pairs.push(drained.rate, default);
            *shares = drained.shares;
        }
    }
    for (workers, pairs, shares) in figures {
        let case = format!("{workers}, beside {DEFAULT}");
        report.add(Figure::beside("workers", case, "events/s", &pairs).shares(shares));
    }
    Ok(())
}
