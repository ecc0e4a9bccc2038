//! One file a benchmark: what it compares, and what its goal is.

mod accept;
mod drain;
mod end_to_end;
mod floor;
mod growth;
mod ingest;
mod memory;
mod payload;
mod queue_depth;
mod standalone;
mod workers;

use anyhow::Result;
use clap::ValueEnum;

use crate::{lab::Lab, report::Report};

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Benchmark {
    /// What PostgreSQL can do alone
    Floor,
    /// A full queue into the database
    Drain,
    /// Requests into the queue
    Accept,
    /// Requests into the database, with everything at once
    EndToEnd,
    /// Requests that are answered when stored
    Ingest,
    /// The program that needs no servers
    Standalone,
    /// Drains into a database that has rows already
    Growth,
    /// Memory of each program
    Memory,
    /// Drains with much waiting
    QueueDepth,
    /// Drains with few and many workers
    Workers,
    /// Drains of small and large payloads
    Payload,
}

impl Benchmark {
    /// Measures it.
    pub(crate) async fn run(self, lab: &Lab, report: &mut Report) -> Result<()> {
        match self {
            Self::Floor => floor::run(lab, report).await,
            Self::Drain => drain::run(lab, report).await,
            Self::Accept => accept::run(lab, report).await,
            Self::EndToEnd => end_to_end::run(lab, report).await,
            Self::Ingest => ingest::run(lab, report).await,
            Self::Standalone => standalone::run(lab, report).await,
            Self::Growth => growth::run(lab, report).await,
            Self::Memory => memory::run(lab, report).await,
            Self::QueueDepth => queue_depth::run(lab, report).await,
            Self::Workers => workers::run(lab, report).await,
            Self::Payload => payload::run(lab, report).await,
        }
    }
}
