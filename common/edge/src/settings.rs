//! The settings of an HTTP server.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use event::{Event, parse::Limits};
use runtime::settings::{bytes, seconds};
use tls::{Identity, TlsError};

use crate::{
    admission::cors::Origins,
    auth::{Gate, LocalHosts, gate::GateError},
};

const MIB: u32 = 1024 * 1024;

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

    /// Names beside localhost by which a server without API keys may be called, separated by commas
    #[arg(
        long,
        env,
        default_value = "",
        hide_default_value = true,
        value_name = "HOSTS"
    )]
    pub allowed_hosts: LocalHosts,

    /// Origins whose web pages may call, such as <https://app.example>, separated by commas, or *
    #[arg(
        long,
        env,
        default_value = "",
        hide_default_value = true,
        value_name = "ORIGINS"
    )]
    pub cors_allow_origin: Origins,

    /// Answer /metrics to everybody, also where keys are asked for
    #[arg(long, env, default_value_t = false, action = clap::ArgAction::Set,
          num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub metrics_public: bool,

    /// Most connections; beyond, the one that has waited the longest for a request makes room
    #[arg(long, env, default_value_t = 20_000, value_name = "CONNECTIONS",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,

    /// Most requests that are being answered; beyond, the answer is 503
    #[arg(long, env, default_value_t = 2000, value_name = "REQUESTS",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_requests_in_flight: u32,

    /// Most bytes of bodies, events and answers that are in memory, and at least one largest request; beyond, the
    /// answer is 503
    #[arg(long, env, default_value_t = 64 * MIB, value_name = "BYTES", value_parser = bytes(1024..=u32::MAX))]
    pub max_bytes_in_flight: u32,

    /// TLS.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// How long running requests and claims may take to finish after a signal to stop
    #[arg(long, env, default_value_t = 30, value_name = "SECONDS", value_parser = seconds(0..=3600))]
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
        match &self.api_keys_file {
            Some(_) if self.auth_disabled => Err(ConfigError::KeysAndNoKeys),
            Some(path) => Ok(Gate::with_keys(path)?),
            None if self.auth_disabled => Ok(Gate::open()),
            None if bind_addr.ip().is_loopback() => Ok(Gate::local(self.allowed_hosts.clone())),
            None => Err(ConfigError::Exposed(bind_addr)),
        }
    }
}

/// Which certificates a server shows and asks for.
#[derive(Debug, Clone, Default, Args)]
pub struct TlsArgs {
    /// The server's certificate, and after it those that signed it; PEM. Then it speaks only HTTPS
    #[arg(long, env, value_name = "PATH")]
    pub tls_cert: Option<PathBuf>,

    /// The key of the server's certificate; PEM, not encrypted
    #[arg(long, env, value_name = "PATH")]
    pub tls_key: Option<PathBuf>,

    /// Authorities that sign clients' certificates; PEM. Clients must show one of those
    #[arg(long, env, value_name = "PATH")]
    pub tls_client_ca: Option<PathBuf>,
}

impl TlsArgs {
    /// What to show and to ask for, if the server speaks TLS.
    ///
    /// # Errors
    /// [`ConfigError`] if the settings do not go together, or their files cannot be used.
    pub fn identity(&self) -> Result<Option<Identity>, ConfigError> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Ok(Some(Identity::open(tls::Files {
                cert: cert.clone(),
                key: key.clone(),
                client_ca: self.tls_client_ca.clone(),
            })?)),
            (None, None) if self.tls_client_ca.is_none() => Ok(None),
            (None, None) => Err(ConfigError::ClientCaAlone),
            _ => Err(ConfigError::HalfAPair),
        }
    }

    /// The file of the certificate that the server shows, if it speaks TLS.
    #[must_use]
    pub fn certificate(&self) -> Option<&Path> {
        self.tls_cert.as_deref()
    }

    /// How its addresses begin.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        match self.certificate() {
            Some(_) => "https",
            None => "http",
        }
    }
}

/// How large what clients send may be.
#[derive(Debug, Clone, Copy, Args)]
pub struct LimitArgs {
    /// Largest request body
    #[arg(long, env, default_value_t = Self::MAX_BODY_BYTES, value_name = "BYTES",
          value_parser = bytes(1024..=1024 * MIB))]
    pub max_body_bytes: u32,

    /// Most events in one request
    #[arg(long, env, default_value_t = Self::MAX_BATCH_EVENTS, value_name = "EVENTS",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_batch_events: u32,

    /// Largest event, with its numbers written out
    #[arg(long, env, default_value_t = Self::MAX_EVENT_BYTES, value_name = "BYTES",
          value_parser = bytes(256..=16 * MIB))]
    pub max_event_bytes: u32,
}

impl LimitArgs {
    const MAX_BODY_BYTES: u32 = 16 * MIB;
    const MAX_BATCH_EVENTS: u32 = 10_000;
    const MAX_EVENT_BYTES: u32 = 256 * 1024;

    /// What the largest request may take in memory, in bytes, about.
    #[must_use]
    pub(crate) fn largest_request(&self) -> usize {
        self.max_body_bytes as usize + self.max_batch_events as usize * Event::OVERHEAD
    }

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
            max_body_bytes: Self::MAX_BODY_BYTES,
            max_batch_events: Self::MAX_BATCH_EVENTS,
            max_event_bytes: Self::MAX_EVENT_BYTES,
        }
    }
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
    /// One of the two is missing.
    #[error("TLS_CERT and TLS_KEY belong together: set both, or neither")]
    HalfAPair,
    /// Clients cannot show certificates without TLS.
    #[error("TLS_CLIENT_CA needs TLS: set TLS_CERT and TLS_KEY, or unset it")]
    ClientCaAlone,
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address is taken or not this machine's.
    #[error("BIND_ADDR {address} cannot be listened on: {source}; free it or choose another")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}
