//! Settings that several programs share, as clap argument groups: every setting is a flag and an
//! environment variable.

use std::{convert::Infallible, fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use clap::Args;

use crate::{
    auth::{Gate, gate::GateError},
    event::parse::Limits,
    http::cors::Origins,
    queue::redis::QueueName,
};

/// A text that must not be shown, such as an address with a password in it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The text itself; for the driver it is meant for, never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// How a server listens and stops.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// File of API keys; without one, only this machine may call
    #[arg(long, env, value_name = "PATH")]
    pub api_keys_file: Option<PathBuf>,

    /// Serve without API keys on an address that others can reach
    #[arg(long, env, default_value_t = false, action = clap::ArgAction::Set,
          num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub auth_disabled: bool,

    /// Origins whose web pages may call, such as <https://app.example>, separated by commas, or *
    #[arg(
        long,
        env,
        default_value = "",
        hide_default_value = true,
        value_name = "ORIGINS"
    )]
    pub cors_allow_origin: Origins,

    /// How long running requests and claims may take to finish after a signal to stop
    #[arg(long, env, default_value_t = 30, value_name = "SECONDS",
          value_parser = clap::value_parser!(u16).range(0..=3600))]
    pub shutdown_grace_seconds: u16,
}

impl ServerArgs {
    /// [`ServerArgs::shutdown_grace_seconds`] as a duration.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.shutdown_grace_seconds.into())
    }

    /// Who is let in: holders of the keys in the file; without one everybody, and then only this
    /// machine may call.
    ///
    /// # Errors
    /// [`ConfigError::Exposed`] for an address that is not loopback, unless that was asked for;
    /// [`ConfigError::Keys`] if the file cannot be used.
    pub fn gate(&self, bind_addr: SocketAddr) -> Result<Gate, ConfigError> {
        let file = self.api_keys_file.as_deref();
        // An empty variable means the same as none.
        match file.filter(|path| !path.as_os_str().is_empty()) {
            Some(_) if self.auth_disabled => Err(ConfigError::KeysAndNoKeys),
            Some(path) => Ok(Gate::with_keys(path)?),
            None if bind_addr.ip().is_loopback() || self.auth_disabled => Ok(Gate::open()),
            None => Err(ConfigError::Exposed(bind_addr)),
        }
    }
}

/// How large what clients send may be.
#[derive(Debug, Clone, Copy, Args)]
pub struct LimitArgs {
    /// Largest request body
    #[arg(long, env, default_value_t = 16 * 1024 * 1024, value_name = "BYTES",
          value_parser = clap::value_parser!(u32).range(1024..=1024 * 1024 * 1024))]
    pub max_body_bytes: u32,

    /// Most events in one request
    #[arg(long, env, default_value_t = 10_000, value_name = "EVENTS",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_batch_events: u32,

    /// Largest event, with its numbers written out
    #[arg(long, env, default_value_t = 256 * 1024, value_name = "BYTES",
          value_parser = clap::value_parser!(u32).range(256..=16 * 1024 * 1024))]
    pub max_event_bytes: u32,
}

impl LimitArgs {
    /// For the parser.
    #[must_use]
    pub fn parser_limits(&self) -> Limits {
        Limits {
            max_events: self.max_batch_events as usize,
            max_event_bytes: self.max_event_bytes as usize,
        }
    }
}

impl Default for LimitArgs {
    fn default() -> Self {
        Self {
            max_body_bytes: 16 * 1024 * 1024,
            max_batch_events: 10_000,
            max_event_bytes: 256 * 1024,
        }
    }
}

/// Which queue.
#[derive(Debug, Clone, Args)]
pub struct QueueArgs {
    /// Name of the queue; its keys in Redis begin with {NAME}:
    #[arg(long, env, default_value = "events", value_name = "NAME")]
    pub queue_name: QueueName,
}

/// How a publisher treats the queue.
#[derive(Debug, Clone, Copy, Args)]
pub struct PublishArgs {
    /// Most events that may wait in the queue; beyond, publishing answers 503
    #[arg(long, env, default_value_t = 1_000_000, value_name = "EVENTS",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub queue_max_len: u64,
}

/// What logs look like.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// One line a record for people, or one JSON object a record for machines
    #[arg(long, env, default_value = "text", value_enum)]
    pub log_format: LogFormat,

    /// What is logged: a level, or a filter such as info,aggregator=debug
    #[arg(long, env = "RUST_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
}

/// See [`LogArgs::log_format`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Settings that are well-formed one by one, but cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// See [`ServerArgs::gate`].
    #[error(
        "BIND_ADDR {0} can be reached from other machines, and no API keys are set: set \
         API_KEYS_FILE, or listen on a loopback address such as 127.0.0.1, or set \
         AUTH_DISABLED=true if something else keeps strangers out"
    )]
    Exposed(SocketAddr),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] GateError),
    /// Two settings contradict each other.
    #[error("API_KEYS_FILE and AUTH_DISABLED=true contradict each other: unset one of them")]
    KeysAndNoKeys,
    /// The log filter cannot be read.
    #[error(
        "RUST_LOG is no filter: {0}; use a level (error, warn, info, debug, trace) or target=level"
    )]
    LogFilter(String),
    /// The address is taken or not this machine's.
    #[error("BIND_ADDR {address} cannot be listened on: {source}; free it or choose another")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}
