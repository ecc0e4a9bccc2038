//! What is logged: a level for everything, and others for single targets.

use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// The level of whatever the filter does not name.
const DEFAULT: LevelFilter = LevelFilter::INFO;
/// What is not logged unless the filter asks for it by name: it takes every request that is not HTTP for an error of
/// the server, so that strangers could fill the log.
const QUIET: &str = "actix_http";
/// One crate a line: those of this workspace, and all that they depend on.
const CRATES: &str = include_str!(concat!(env!("OUT_DIR"), "/crates.txt"));

/// What is logged: `LEVEL` or `TARGET=LEVEL`, several of them separated by commas. A target is a crate or a module in it,
/// such as `aggregator::worker`.
#[derive(Debug, Clone, PartialEq)]
pub struct LogFilter(Targets);

/// A text that is not a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogFilterError {
    /// It would silence everything, or log what nobody asked for.
    #[error(
        "RUST_LOG: {0:?} is not a level; write error, warn, info, debug, trace or off, or TARGET=LEVEL such as \
         aggregator=debug"
    )]
    Level(String),
    /// It would do nothing.
    #[error(
        "RUST_LOG: {0:?} is not a crate of this program or a module in one; write TARGET=LEVEL such as \
         aggregator=debug"
    )]
    Target(String),
}

impl LogFilter {
    /// For the subscriber.
    pub(super) fn targets(&self) -> Targets {
        self.0.clone()
    }
}

impl FromStr for LogFilter {
    type Err = LogFilterError;

    /// An empty text means the default.
    fn from_str(text: &str) -> Result<Self, LogFilterError> {
        let targets = Targets::new()
            .with_default(DEFAULT)
            .with_target(QUIET, LevelFilter::OFF);
        let directives = text.split(',').map(str::trim);
        let mut directives = directives.filter(|directive| !directive.is_empty());
        let add = |targets: Targets, directive: &str| {
            Ok(match directive.split_once('=') {
                None => targets.with_default(level(directive)?),
                Some((target, name)) => {
                    targets.with_target(known(target.trim())?, level(name.trim())?)
                }
            })
        };
        directives.try_fold(targets, add).map(Self)
    }
}

fn level(name: &str) -> Result<LevelFilter, LogFilterError> {
    // Numbers are levels too for `tracing`, but 1 is not more than 5 to everybody.
    let word = name.chars().all(|symbol| symbol.is_ascii_alphabetic());
    let level = name.parse().ok().filter(|_| word && !name.is_empty());
    level.ok_or_else(|| LogFilterError::Level(name.to_owned()))
}

fn known(target: &str) -> Result<&str, LogFilterError> {
    let (krate, modules) = target.split_once("::").unwrap_or((target, ""));
    let is_path = modules
        .chars()
        .all(|symbol| symbol.is_ascii_alphanumeric() || matches!(symbol, '_' | ':'));
    if is_path && CRATES.lines().any(|known| known == krate) {
        Ok(target)
    } else {
        Err(LogFilterError::Target(target.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn logs(filter: &str, target: &str, level: Level) -> bool {
        let filter: LogFilter = filter.parse().unwrap();
        filter.targets().would_enable(target, &level)
    }

    #[test]
    fn an_empty_filter_is_the_default() {
        for filter in ["", " ", ",", "info", "info ", " INFO,"] {
            assert!(logs(filter, "aggregator", Level::INFO), "{filter:?}");
            assert!(!logs(filter, "aggregator", Level::DEBUG), "{filter:?}");
        }
    }

    #[test]
    fn a_target_has_its_level_and_the_others_keep_theirs() {
        let filter = " warn , aggregator = debug,sqlx::query=off";
        assert!(logs(filter, "aggregator::worker", Level::DEBUG));
        assert!(logs(filter, "redis", Level::WARN));
        assert!(!logs(filter, "redis", Level::INFO));
        assert!(!logs(filter, "sqlx::query", Level::ERROR));
        assert!(logs("aggregator=debug", "edge", Level::INFO));
        assert!(!logs("off", "edge", Level::ERROR));
    }

    #[test]
    fn what_strangers_could_fill_the_log_with_is_logged_only_by_name() {
        assert!(!logs("trace", "actix_http::h1", Level::ERROR));
        assert!(logs("actix_http=trace", "actix_http::h1", Level::TRACE));
    }

    #[test]
    fn a_filter_that_would_silence_everything_is_refused() {
        for filter in [
            "warning",
            "5",
            "aggregator",
            "info,loud",
            "aggregator=",
            "aggregator=loud",
            "info;debug",
        ] {
            let error = filter.parse::<LogFilter>().unwrap_err();
            assert!(
                matches!(error, LogFilterError::Level(_)),
                "{filter}: {error}"
            );
        }
    }

    #[test]
    fn a_target_that_is_not_part_of_the_program_is_refused() {
        for filter in [
            "agregator=debug",
            "=debug",
            "aggregator::a b=debug",
            "aggregator[span]=debug",
            "Edge=info",
        ] {
            let error = filter.parse::<LogFilter>().unwrap_err();
            assert!(
                matches!(error, LogFilterError::Target(_)),
                "{filter}: {error}"
            );
        }
        for known in [
            "queue",
            "store",
            "edge",
            "publisher",
            "aggregator",
            "standalone",
            "sqlx",
            "redis",
            "rustls",
        ] {
            assert!(
                format!("{known}=debug").parse::<LogFilter>().is_ok(),
                "{known}"
            );
        }
    }
}
