//! What a client needs to know.

use reqwest::Url;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::{retry::RetryPolicy, tls::TlsOptions, waiting::Observer};

/// What a client calls itself unless it is told otherwise.
const USER_AGENT: &str = concat!("event-aggregator-client/", env!("CARGO_PKG_VERSION"));

/// Where the servers are, and how to speak to them.
///
/// ```no_run
/// use std::time::Duration;
///
/// use event_aggregator_client::{Options, RetryPolicy};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let options = Options {
///     read_url: "https://aggregator.example".parse()?,
///     key: Some(std::env::var("EVENTS_KEY")?.into()),
///     retry: RetryPolicy::within(Duration::from_secs(10)),
///     ..Options::new("https://publisher.example".parse()?)
/// };
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    /// The publisher, or a standalone server.
    pub url: Url,
    /// The aggregator, or a standalone server.
    pub read_url: Url,
    /// The API key, which is sent as a bearer token.
    pub key: Option<SecretString>,
    /// Whom to trust and what to present, for `https://` addresses.
    pub tls: TlsOptions,
    /// How long and how often a request is repeated.
    pub retry: RetryPolicy,
    /// Once this is cancelled, no request is repeated, and a request that is under way has a few seconds left to finish.
    pub stop: CancellationToken,
    /// Who is told while a call waits for a server.
    pub waiting: Observer,
    /// What the client calls itself in the `User-Agent` header.
    pub user_agent: String,
}

impl Options {
    /// One server for everything, no key, the public authorities, retries for a minute.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self {
            read_url: url.clone(),
            url,
            key: None,
            tls: TlsOptions::default(),
            retry: RetryPolicy::default(),
            stop: CancellationToken::new(),
            waiting: Observer::default(),
            user_agent: USER_AGENT.to_owned(),
        }
    }
}
