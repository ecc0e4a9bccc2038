//! Publisher and aggregator in one process, on one port: over a queue in memory and SQLite, or over
//! Redis, or over PostgreSQL, or over both.

mod service;
mod settings;

pub use settings::Settings;

/// Publisher and aggregator in one process.
pub type Application = program::Application<Settings>;
