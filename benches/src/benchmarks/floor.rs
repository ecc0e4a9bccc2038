//! The floor itself: the fastest insertion of each mix.

use anyhow::Result;

use crate::{
    floor::Floor,
    lab::Lab,
    report::{Figure, Report},
    stats::Samples,
    workload::{Mix, Stream},
};

/// The percentages of duplicates with which drains are measured.
pub(super) const DUPLICATES: [u8; 3] = [0, 30, 90];

pub(super) async fn run(lab: &Lab, floor: &Floor<'_>, report: &mut Report) -> Result<()> {
    for percent in DUPLICATES {
        let mix = Mix::with_duplicates(percent);
        let method = floor.fastest(mix).await?;
        let stream = Stream {
            mix,
            first: 0,
            count: lab.budget.drain_events,
        };
        let (mut samples, mut shares) = (Samples::default(), Vec::new());
        for _ in 0..lab.budget.pairs {
            let database = lab.database().await?;
            let inserted = floor.insert(&database, stream, method).await?;
            lab.remove(database).await?;
            samples.push(inserted.rate);
            shares = inserted.shares;
        }
        let case = format!("{percent} % duplicates");
        let figure = Figure::alone("floor", case, "rows/s", &samples);
        report.add(figure.shares(shares).note(method.to_string()));
    }
    Ok(())
}
