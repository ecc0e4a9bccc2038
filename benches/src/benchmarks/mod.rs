//! The benchmarks. Each file says what it compares and what the goal is.

mod accept;
mod drain;
mod end_to_end;
mod floor;
mod forgetting;
mod growth;
mod ingest;
mod memory;
mod payload;
mod peers;
mod queue_bytes;
mod queue_depth;
mod shards;
mod slots;
mod standalone;
mod workers;

use anyhow::Result;
use clap::ValueEnum;

use crate::{floor::Floor, lab::Lab, report::Report};

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Benchmark {
    /// The rate at which PostgreSQL alone stores rows
    Floor,
    /// The rate at which the aggregator stores a full queue
    Drain,
    /// The rate at which the publisher accepts requests
    Accept,
    /// The rate from requests to the database, with all programs at once
    EndToEnd,
    /// The rate of requests that are answered when their events are stored
    Ingest,
    /// The rate of the standalone program
    Standalone,
    /// Drains into a database that already has rows
    Growth,
    /// How long requests wait while a large bucket is dropped
    Forgetting,
    /// The memory of each program
    Memory,
    /// Bytes that an event takes while it waits
    QueueBytes,
    /// Drains of a queue in which many events wait
    QueueDepth,
    /// Drains with few and many workers
    Workers,
    /// Many workers with small claims, with one row of counters and with many
    Slots,
    /// The processor time of an event, over one Redis and over shards of a cluster
    Shards,
    /// Drains of small and large payloads
    Payload,
    /// Workers of a few lines, in Python and in Node, that do the same
    Peers,
}

impl Benchmark {
    /// Runs the benchmark.
    pub(crate) async fn run(self, lab: &Lab, floor: &Floor<'_>, report: &mut Report) -> Result<()> {
        match self {
            Self::Floor => floor::run(lab, floor, report).await,
            Self::Drain => drain::run(lab, floor, report).await,
            Self::Accept => accept::run(lab, report).await,
            Self::EndToEnd => end_to_end::run(lab, floor, report).await,
            Self::Ingest => ingest::run(lab, report).await,
            Self::Standalone => standalone::run(lab, report).await,
            Self::Growth => growth::run(lab, floor, report).await,
            Self::Forgetting => forgetting::run(lab, report).await,
            Self::Memory => memory::run(lab, report).await,
            Self::QueueBytes => queue_bytes::run(lab, report).await,
            Self::QueueDepth => queue_depth::run(lab, report).await,
            Self::Workers => workers::run(lab, report).await,
            Self::Slots => slots::run(lab, report).await,
            Self::Shards => shards::run(lab, report).await,
            Self::Payload => payload::run(lab, floor, report).await,
            Self::Peers => peers::run(lab, report).await,
        }
    }
}
