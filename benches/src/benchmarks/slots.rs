//! Many workers that commit small claims: with one row of counters they wait for each other's commits, with a row for each they
//! do not.

use anyhow::Result;

use crate::{
    drain,
    lab::{Lab, QUEUE},
    report::{Figure, Goal, Report},
    stats::Pairs,
    workload::{Mix, Stream},
};

/// How many times as many claims as with one row.
const GOAL: f64 = 3.0;
const CLAIM_EVENTS: usize = 10;
const WORKERS: (&str, &str) = ("WORKERS", "16");
const BATCH_SIZE: (&str, &str) = ("BATCH_SIZE", "10");

pub(super) async fn run(lab: &Lab, report: &mut Report) -> Result<()> {
    let stream = Stream {
        mix: Mix::UNIQUE,
        first: 0,
        count: lab.budget.small_claims_events,
    };
    let (mut pairs, mut shares) = (Pairs::default(), Vec::new());
    for _ in 0..lab.budget.rounds {
        let mut rates = Vec::new();
        for slots in ["16", "1"] {
            let database = lab.database().await?;
            lab.empty_queue().await?;
            lab.fill_in_frames(QUEUE, stream, CLAIM_EVENTS).await?;
            let mut connection = database.connect().await?;
            let before = drain::Counters::read(&mut connection).await?;
            let settings = [WORKERS, BATCH_SIZE, ("STATS_SLOTS", slots)];
            let (drained, aggregator) =
                drain::some(lab, &database, stream.count, &settings).await?;
            aggregator.stop().await?;
            before.check(&mut connection, stream).await?;
            drop(connection);
            lab.remove(database).await?;
            rates.push(drained.rate);
            if slots == "16" {
                shares = drained.shares;
            }
        }
        pairs.push(rates[0], rates[1]);
    }
    let case = format!("16 workers, claims of {CLAIM_EVENTS}, 16 slots beside 1");
    let figure = Figure::beside("slots", case, "events/s", &pairs);
    report.add(figure.goal(Goal::AtLeast(GOAL)).shares(shares));
    Ok(())
}
