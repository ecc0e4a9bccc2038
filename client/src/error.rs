//! Why a call did not succeed.

use crate::{
    problem::Problem,
    tls::{CertificateError, Distrust},
};

/// Why a call did not succeed, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address that is not one of HTTP.
    #[error("{0} is not a valid address; it must begin with http:// or https://")]
    InvalidAddress(String),
    /// A key that cannot be sent.
    #[error(
        "the API key is not valid: it has characters that no key has; copy the whole key, and nothing else"
    )]
    InvalidKey,
    /// A certificate that cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The HTTP client cannot be made, or cannot make a request.
    #[error("no request can be made: {0}")]
    Request(String),
    /// The server did not answer, or it answered "later", until the time for retries was over.
    #[error("{url} is away: {reason} (tried {})", times(*attempts))]
    Away {
        /// The address of the server.
        url: String,
        /// Why the last attempt failed.
        reason: String,
        /// How many attempts there were.
        attempts: u32,
    },
    /// The server or this client does not trust the certificate of the other. To try again does not help.
    #[error("there is no trusted connection to {url}: {distrust}")]
    Distrust {
        /// The address of the server.
        url: String,
        /// What TLS found, and what to do.
        distrust: Distrust,
    },
    /// The server understood the request and refused it. To try again does not help.
    #[error("the server refused the request: {0}")]
    Refused(Box<Problem>),
    /// The answer is not one of this API.
    #[error("the answer of {url} cannot be read: {reason}")]
    UnreadableAnswer {
        /// The address of the server.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// [`Options::stop`](crate::Options::stop) was cancelled.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// The answer of a server that refused the request.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            _ => None,
        }
    }
}

/// How often: `once`, `7 times`.
fn times(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}
