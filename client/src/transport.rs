//! Sends requests, and repeats them while that helps.

use std::{
    pin::pin,
    time::{Duration, SystemTime},
};

use reqwest::{
    RequestBuilder, Response, StatusCode,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    error::Error,
    options::Options,
    problem::Problem,
    retry::{RetryPolicy, retry_after},
    server::Server,
    tls::Distrust,
    waiting::{Observer, Waiting},
};

/// How long it may take to make a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long a request that is under way may still take after [`Options::stop`].
const FINISH_WITHIN: Duration = Duration::from_secs(4);
/// How much is shown of an answer that is not a problem document.
const MAX_SHOWN_CHARS: usize = 200;
/// The kind of a 503 that does not say whether the events were accepted.
const UNCONFIRMED: &str = "unavailable";

/// An attempt that failed and may be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    /// What happened.
    pub reason: String,
    /// Whether the server may have accepted the events all the same.
    pub is_uncertain: bool,
    /// How long the server asked to wait.
    pub retry_after: Option<Duration>,
}

/// Sends requests to any server.
#[derive(Clone)]
pub(crate) struct Transport {
    http: reqwest::Client,
    retry: RetryPolicy,
    stop: CancellationToken,
    waiting: Observer,
}

impl Transport {
    pub(crate) fn new(options: &Options) -> Result<Self, Error> {
        let mut headers = HeaderMap::new();
        if let Some(key) = &options.key {
            headers.insert(AUTHORIZATION, bearer(key)?);
        }
        let http = reqwest::Client::builder()
            .user_agent(&options.user_agent)
            .default_headers(headers)
            .tls_backend_preconfigured(options.tls.config()?)
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .build()
            .map_err(|error| Error::Request(innermost(&error)))?;
        Ok(Self {
            http,
            retry: options.retry,
            stop: options.stop.clone(),
            waiting: options.waiting.clone(),
        })
    }

    pub(crate) const fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(crate) const fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Repeats a request until it succeeds or is refused, or until the patience is over. `failed` is told of each attempt
    /// that did not decide it.
    pub(crate) async fn send(
        &self,
        server: &Server,
        request: impl Fn() -> RequestBuilder,
        mut failed: impl FnMut(&FailedAttempt),
    ) -> Result<Response, Error> {
        let mut pauses = self.retry.pauses();
        let mut attempts = 0;
        let begun = Instant::now();
        let tell = |reason: &str| {
            self.waiting.tell(&Waiting {
                url: server.origin(),
                reason: reason.to_owned(),
                waited: begun.elapsed(),
                patience: self.retry.patience,
            });
        };
        loop {
            attempts += 1;
            let mut attempt = pin!(self.attempt(server, request()));
            let ended = if let Ok(ended) = timeout(Observer::TOLD_WITHIN, &mut attempt).await {
                ended
            } else {
                tell("it has not answered yet");
                attempt.await
            };
            let failure = match ended? {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            failed(&failure);
            let Some(pause) = pauses.next(failure.retry_after) else {
                return Err(away(server, failure, attempts));
            };
            tell(&failure.reason);
            tokio::select! {
                () = tokio::time::sleep(pause) => (),
                () = self.stop.cancelled() => return Err(Error::Interrupted),
            }
        }
    }

    /// Sends a request once.
    pub(crate) async fn send_once(
        &self,
        server: &Server,
        request: RequestBuilder,
    ) -> Result<Response, Error> {
        let attempt = self.attempt(server, request).await?;
        attempt.map_err(|failure| away(server, failure, 1))
    }

    /// One attempt: an answer, a failure that is worth another attempt, or an error that is not.
    async fn attempt(
        &self,
        server: &Server,
        request: RequestBuilder,
    ) -> Result<Result<Response, FailedAttempt>, Error> {
        let must_end = async {
            self.stop.cancelled().await;
            tokio::time::sleep(FINISH_WITHIN).await;
        };
        let sent = tokio::select! {
            sent = request.send() => sent,
            () = must_end => {
                return Ok(Err(FailedAttempt {
                    reason: "interrupted".to_owned(),
                    is_uncertain: true,
                    retry_after: None,
                }));
            }
        };
        match sent {
            Ok(response) if response.status().is_success() => Ok(Ok(response)),
            Ok(response) => not_successful(response).await.map(Err),
            Err(error) => not_answered(server, &error).map(Err),
        }
    }
}

fn bearer(key: &SecretString) -> Result<HeaderValue, Error> {
    let text = format!("Bearer {}", key.expose_secret());
    let mut value = HeaderValue::from_str(&text).map_err(|_| Error::InvalidKey)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Decides about a request that had no answer.
fn not_answered(server: &Server, error: &reqwest::Error) -> Result<FailedAttempt, Error> {
    if error.is_builder() {
        return Err(Error::Request(innermost(error)));
    }
    if let Some(distrust) = Distrust::within(error) {
        let url = server.origin();
        return Err(Error::Distrust { url, distrust });
    }
    Ok(FailedAttempt {
        is_uncertain: !error.is_connect(),
        reason: innermost(error),
        retry_after: None,
    })
}

/// Decides about an answer that is not a success.
async fn not_successful(response: Response) -> Result<FailedAttempt, Error> {
    let status = response.status();
    let retry_after = retry_after(response.headers(), SystemTime::now());
    let problem = problem(response).await;
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Ok(FailedAttempt {
            is_uncertain: is_uncertain(status, &problem),
            reason: problem.to_string(),
            retry_after,
        }),
        _ => Err(Error::Refused(Box::new(problem))),
    }
}

/// Whether a server that answered so may have accepted the events. The answer of a proxy says nothing about the server
/// behind it.
fn is_uncertain(status: StatusCode, problem: &Problem) -> bool {
    match status {
        StatusCode::TOO_MANY_REQUESTS => false,
        StatusCode::SERVICE_UNAVAILABLE => problem.name().is_none_or(|name| name == UNCONFIRMED),
        _ => true,
    }
}

fn away(server: &Server, failure: FailedAttempt, attempts: u32) -> Error {
    Error::Away {
        url: server.origin(),
        reason: failure.reason,
        attempts,
    }
}

/// Reads the body of an answer.
pub(crate) async fn read<T: DeserializeOwned>(
    server: &Server,
    response: Response,
) -> Result<T, Error> {
    response
        .json()
        .await
        .map_err(|error| Error::UnreadableAnswer {
            url: server.origin(),
            reason: innermost(&error),
        })
}

async fn problem(response: Response) -> Problem {
    let status = response.status();
    let body = response.bytes().await.unwrap_or_default();
    serde_json::from_slice(&body).unwrap_or_else(|_| Problem {
        status: status.as_u16(),
        kind: String::new(),
        detail: String::from_utf8_lossy(&body)
            .chars()
            .take(MAX_SHOWN_CHARS)
            .collect(),
        errors: Vec::new(),
    })
}

/// The innermost cause says what happened; the causes around it only repeat the address.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if error.is_timeout() {
        format!("it did not answer in time ({cause})")
    } else {
        cause.to_string()
    }
}
