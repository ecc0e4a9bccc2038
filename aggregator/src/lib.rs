//! The aggregator: takes events off the queue in claims, stores each exactly once with counters
//! that agree, and answers questions about them.
//!
//! - [`Aggregator`]: workers and HTTP routes over any queue and any store
//! - [`Application`]: the aggregator as a process of its own, over Redis and PostgreSQL

mod api;
mod application;
mod claims;
mod keeper;
mod ledger;
mod looked_up;
mod meters;
mod peek;
mod recovery;
mod routes;
mod sampler;
mod service;
mod settings;
mod shared;
mod snapshots;
mod stuck;
mod summary;
mod worker;

pub use application::verify;
pub use ledger::LedgerArgs;
pub use routes::routes;
pub use service::{Aggregator, RunError};
pub use settings::{Settings, WorkerArgs};

/// The aggregator as a process of its own, over Redis and PostgreSQL.
pub type Application = program::Application<Settings>;
