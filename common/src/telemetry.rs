//! Logs: to standard error, so that standard output stays free for answers.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{ConfigError, LogArgs, LogFormat};

/// What is not logged unless the filter asks for it by name: it takes every request that is no HTTP for an error of
/// the server, so that strangers could fill the log.
const QUIET: &str = "actix_http=off";

/// Starts logging for the process. Call it once, first thing.
///
/// # Errors
/// [`ConfigError::LogFilter`] if the filter cannot be read.
pub fn init(args: &LogArgs) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", args.log))
        .map_err(|error| ConfigError::LogFilter(error.to_string()))?;
    let logs = fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // A second call in one process (tests) keeps the first subscriber: nothing to do about it.
    let _ = match args.log_format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    Ok(())
}
