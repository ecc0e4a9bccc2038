//! Logs: to standard error, so that standard output stays free for answers.
//!
//! - `filter`: what is logged
//! - `writer`: how a record becomes one line, whatever is in it

mod filter;
mod writer;

use tracing_subscriber::{
    Layer as _, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

pub use filter::{LogFilter, LogFilterError};

use self::writer::StandardError;

/// What logs look like.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// One line a record for people, or one JSON object a record for machines
    #[arg(long, env, default_value = "text", value_enum)]
    pub log_format: LogFormat,

    /// What is logged: a level, or a filter such as info,aggregator=debug
    #[arg(long, env = "RUST_LOG", default_value = "info", value_name = "FILTER")]
    pub log: LogFilter,
}

/// See [`LogArgs::log_format`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Starts logging for the process. Call it once, before anything is logged.
pub fn init(args: &LogArgs) {
    let records = fmt::layer()
        // The writer never fails, and it is the only one that knows how to write to standard error.
        .log_internal_errors(false)
        // The writer colours lines: an escape sequence in a record is always somebody else's.
        .with_ansi(false)
        .with_writer(StandardError::new());
    let records = match args.log_format {
        LogFormat::Text => records.boxed(),
        LogFormat::Json => records.json().flatten_event(true).boxed(),
    };
    // A second call in one process (tests) keeps the first subscriber: nothing to do about it.
    let _ = tracing_subscriber::registry()
        .with(args.log.targets())
        .with(records)
        .try_init();
}
