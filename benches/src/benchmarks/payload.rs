//! Drains of small and large payloads, beside the floor of the same payloads.

use anyhow::Result;

use super::drain::beside_floor;
use crate::{
    floor::Floor,
    lab::Lab,
    report::{Figure, Report},
    workload::{Mix, Stream},
};

/// The sizes of a payload, in bytes.
const SIZES: [(usize, &str); 3] = [(100, "100 B"), (1024, "1 KiB"), (16 * 1024, "16 KiB")];

pub(super) async fn run(lab: &Lab, floor: &Floor<'_>, report: &mut Report) -> Result<()> {
    for (bytes, name) in SIZES {
        let most = lab.budget.payload_bytes / bytes as u64;
        let stream = Stream {
            mix: Mix {
                payload_bytes: bytes,
                ..Mix::UNIQUE
            },
            first: 0,
            count: lab.budget.drain_events.min(most),
        };
        let (pairs, shares) = beside_floor(lab, floor, stream, lab.budget.rounds).await?;
        let figure = Figure::beside("payload", name, "events/s", &pairs).shares(shares);
        report.add(figure.note(format!("{} events", stream.count)));
    }
    Ok(())
}
