//! Speaking to the servers over HTTP, as often as it takes.

use std::{collections::BTreeMap, fmt, time::Duration};

use bytes::Bytes;
use chrono::Utc;
use reqwest::{
    Method, RequestBuilder, Response, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;

use crate::{
    error::Error,
    retry::{Pauses, retry_after},
    tls,
};

/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long a request that is under way may still take after a signal.
const GRACE: Duration = Duration::from_secs(4);
/// How much of an answer that is no problem+json is shown.
const MAX_SHOWN_CHARS: usize = 200;
/// The `type` of a 503 that does not say whether the events were taken.
const UNCONFIRMED: &str = "urn:event-aggregator:problem:unavailable";

/// Where the servers are, and how to speak to them. Not to be printed: it holds the key.
#[derive(Clone)]
pub struct Target {
    /// The publisher, or a standalone server.
    pub url: Url,
    /// The aggregator, or a standalone server.
    pub read_url: Url,
    /// Sent as a bearer token.
    pub key: Option<String>,
    /// Whom to trust and what to show, for `https://`.
    pub tls: tls::Files,
    /// How long one request is tried again for.
    pub patience: Duration,
}

/// A client of both servers.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    target: Target,
    stop: CancellationToken,
}

/// An error answer ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
#[derive(Debug, Clone, Deserialize)]
pub struct Problem {
    /// The status code.
    pub status: u16,
    /// A URN that names the kind of problem.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// What is wrong, and what would be right.
    #[serde(default)]
    pub detail: String,
    /// The events of a batch that are wrong.
    #[serde(default)]
    pub errors: Vec<BatchItem>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.detail)?;
        match self.status {
            403 if self.kind.ends_with(":certificate-required") => {
                f.write_str(" (--cert and --cert-key give one)")
            }
            401 | 403 => f.write_str(" (--key or EVENTCTL_KEY gives a key)"),
            _ => Ok(()),
        }
    }
}

/// What is wrong with one event of a batch.
#[derive(Debug, Clone, Deserialize)]
pub struct BatchItem {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// What is wrong.
    pub detail: String,
}

/// An attempt that failed and may be repeated.
#[derive(Debug)]
pub struct Failure {
    /// What happened.
    pub reason: String,
    /// Whether the server may have taken the events all the same.
    pub unsure: bool,
    retry_after: Option<Duration>,
}

/// `GET /stats`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// All that was received.
    pub received: i64,
    /// Different events.
    pub unique_processed: i64,
    /// Repetitions.
    pub duplicate_dropped: i64,
    /// What could not be stored.
    pub dead_lettered: i64,
    /// Different events by topic.
    pub topics: BTreeMap<String, i64>,
    /// What waits.
    pub queue: Queue,
    /// Seconds since the process started.
    pub uptime: f64,
    /// When the counters began to count.
    pub uptime_start: String,
}

/// What waits in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Not claimed.
    pub pending: u64,
    /// Claimed and not settled.
    pub processing: u64,
}

impl Stats {
    /// Nothing waits: the counters are final.
    #[must_use]
    pub const fn is_drained(&self) -> bool {
        self.queue.pending == 0 && self.queue.processing == 0
    }
}

/// The body of a batch: a JSON array of events, maybe compressed.
#[derive(Debug, Clone)]
pub struct Body {
    /// What is sent.
    pub bytes: Bytes,
    /// Whether it is compressed.
    pub gzip: bool,
}

impl Client {
    /// A client; once `stop` is cancelled nothing is tried again.
    ///
    /// # Errors
    /// [`Error::Usage`] if an address is none of HTTP, or the key cannot be sent in a header;
    /// [`Error::File`] if certificates cannot be used.
    pub fn new(target: Target, stop: CancellationToken) -> Result<Self, Error> {
        for url in [&target.url, &target.read_url] {
            if !matches!(url.scheme(), "http" | "https") {
                let reason = format!("{url} is neither an http:// nor an https:// address");
                return Err(Error::Usage(reason));
            }
        }
        let mut headers = HeaderMap::new();
        if let Some(key) = &target.key {
            let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
                .map_err(|_| Error::Usage("the key has characters that no key has".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let http = reqwest::Client::builder()
            .user_agent(concat!("eventctl/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .tls_backend_preconfigured(target.tls.config()?)
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .build()
            .map_err(|error| Error::Usage(reason(&error)))?;
        Ok(Self { http, target, stop })
    }

    /// Cancelled when nothing new is to be begun.
    #[must_use]
    pub const fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// `POST /publish`: repeated, with the same events, until it is accepted or refused or the
    /// patience is over. `failed` is told of each attempt that was neither.
    pub async fn publish(&self, body: &Body, failed: impl FnMut(&Failure)) -> Result<(), Error> {
        let url = endpoint(&self.target.url, &["publish"])?;
        let request = || {
            let request = self
                .http
                .post(url.clone())
                .header(CONTENT_TYPE, "application/json")
                .body(body.bytes.clone());
            if body.gzip {
                request.header(CONTENT_ENCODING, "gzip")
            } else {
                request
            }
        };
        self.send(&url, request, failed).await.map(drop)
    }

    /// `GET /stats`.
    pub async fn stats(&self) -> Result<Stats, Error> {
        self.get(&["stats"], &[]).await
    }

    /// `GET /stats`, tried once: for a view that looks again soon.
    pub async fn stats_once(&self) -> Result<Stats, Error> {
        let url = endpoint(&self.target.read_url, &["stats"])?;
        match self.attempt(self.http.get(url.clone())).await? {
            Ok(response) => read(&url, response).await,
            Err(failure) => Err(away(&url, failure, 1)),
        }
    }

    /// `GET` of this path at the aggregator.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, Error> {
        let url = endpoint(&self.target.read_url, path)?;
        let request = || self.http.get(url.clone()).query(query);
        let response = self.send(&url, request, |_| ()).await?;
        read(&url, response).await
    }

    /// `POST` of this JSON to the aggregator.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        body: &serde_json::Value,
    ) -> Result<T, Error> {
        let url = endpoint(&self.target.read_url, path)?;
        let request = || self.http.post(url.clone()).query(query).json(body);
        let response = self.send(&url, request, |_| ()).await?;
        read(&url, response).await
    }

    /// `DELETE` of this path at the aggregator; `false` if there was no such thing.
    pub async fn delete(&self, path: &[&str]) -> Result<bool, Error> {
        let url = endpoint(&self.target.read_url, path)?;
        let request = || self.http.request(Method::DELETE, url.clone());
        found(self.send(&url, request, |_| ()).await).map(|response| response.is_some())
    }

    /// Repeats a request until it succeeds, is refused, or the patience is over.
    async fn send(
        &self,
        url: &Url,
        request: impl Fn() -> RequestBuilder,
        mut failed: impl FnMut(&Failure),
    ) -> Result<Response, Error> {
        let mut pauses = Pauses::within(self.target.patience);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let failure = match self.attempt(request()).await? {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            failed(&failure);
            let Some(pause) = pauses.next(failure.retry_after) else {
                return Err(away(url, failure, attempts));
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => (),
                () = self.stop.cancelled() => return Err(Error::Interrupted),
            }
        }
    }

    /// One attempt: an answer, a failure that is worth another attempt, or an error that is not.
    async fn attempt(&self, request: RequestBuilder) -> Result<Result<Response, Failure>, Error> {
        let patience_is_over = async {
            self.stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        let sent = tokio::select! {
            sent = request.send() => sent,
            () = patience_is_over => {
                return Ok(Err(Failure {
                    reason: "interrupted".to_owned(),
                    unsure: true,
                    retry_after: None,
                }));
            }
        };
        let response = match sent {
            Ok(response) => response,
            Err(error) if error.is_builder() => return Err(Error::Usage(reason(&error))),
            Err(error) => {
                if let Some(reason) = tls::distrust(&error) {
                    let url = error.url().map(origin).unwrap_or_default();
                    return Err(Error::Distrust { url, reason });
                }
                return Ok(Err(Failure {
                    unsure: !error.is_connect(),
                    reason: reason(&error),
                    retry_after: None,
                }));
            }
        };
        let status = response.status();
        if status.is_success() {
            return Ok(Ok(response));
        }
        let retry_after = retry_after(response.headers(), Utc::now());
        let problem = problem(response).await;
        match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Ok(Err(Failure {
                unsure: is_unsure(status, &problem),
                reason: problem.to_string(),
                retry_after,
            })),
            _ => Err(Error::Refused(Box::new(problem))),
        }
    }
}

/// Whether events may have been taken by a server that answered so. A proxy's answer says nothing
/// about the server behind it.
fn is_unsure(status: StatusCode, problem: &Problem) -> bool {
    match status {
        StatusCode::TOO_MANY_REQUESTS => false,
        StatusCode::SERVICE_UNAVAILABLE => problem.kind.is_empty() || problem.kind == UNCONFIRMED,
        _ => true,
    }
}

/// `None` instead of a refusal with 404.
pub fn found<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Err(Error::Refused(problem)) if problem.status == 404 => Ok(None),
        other => other.map(Some),
    }
}

fn away(url: &Url, failure: Failure, attempts: u32) -> Error {
    Error::Away {
        url: origin(url),
        reason: failure.reason,
        attempts,
    }
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// A path below the server's address; each part is percent-encoded.
fn endpoint(base: &Url, path: &[&str]) -> Result<Url, Error> {
    let mut url = base.clone();
    url.path_segments_mut()
        .map_err(|()| Error::Usage(format!("{base} is no http:// address")))?
        .pop_if_empty()
        .extend(path);
    Ok(url)
}

async fn read<T: DeserializeOwned>(url: &Url, response: Response) -> Result<T, Error> {
    response.json().await.map_err(|error| Error::Answer {
        url: origin(url),
        reason: reason(&error),
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

/// The innermost cause says what happened; the outer ones only repeat the address.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if error.is_timeout() {
        format!("no answer in time ({cause})")
    } else {
        cause.to_string()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::testing::{Answer, FakeServer};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn body() -> Body {
        Body {
            bytes: Bytes::from_static(b"[{\"id\":\"a\"}]"),
            gzip: false,
        }
    }

    fn problem(status: u16, kind: &str) -> Answer {
        let body = format!(r#"{{"type":"urn:event-aggregator:problem:{kind}","status":{status}}}"#);
        Answer::Say(status, "retry-after: 1\r\n", body)
    }

    #[tokio::test]
    async fn the_same_events_are_sent_until_they_are_accepted() {
        let server = FakeServer::start(vec![
            problem(429, "too-many"),
            problem(503, "unavailable"),
            Answer::HangUp,
        ])
        .await;
        let (start, mut unsure) = (Instant::now(), Vec::new());
        let failed = |failure: &Failure| unsure.push(failure.unsure);
        let client = server.client(PATIENCE);
        client.publish(&body(), failed).await.unwrap();
        assert_eq!(unsure, [false, true, true]);
        let waited = start.elapsed();
        assert!(
            waited >= Duration::from_secs(2),
            "a second, twice: {waited:?}"
        );
        let requests = server.requests();
        assert_eq!(requests.len(), 4);
        assert!(requests.iter().all(|request| request.body == *body().bytes));
        assert!(requests[0].head.contains("authorization: bearer secret"));
    }

    #[tokio::test]
    async fn a_server_that_stays_away_is_given_up() {
        let server = FakeServer::start(vec![problem(503, "queue-full")]).await;
        let client = server.client(Duration::from_millis(500));
        let error = client.publish(&body(), |_| ()).await.unwrap_err();
        assert!(matches!(error, Error::Away { attempts: 1, .. }), "{error}");
    }

    #[tokio::test]
    async fn a_refusal_is_not_tried_again() {
        let server = FakeServer::start(vec![problem(401, "unauthorized")]).await;
        let client = server.client(PATIENCE);
        let error = client.publish(&body(), |_| ()).await.unwrap_err();
        assert!(error.to_string().contains("EVENTCTL_KEY"), "{error}");
        assert_eq!(server.requests().len(), 1);
    }

    #[tokio::test]
    async fn a_signal_ends_the_waiting() {
        let server = FakeServer::start(vec![problem(503, "queue-full")]).await;
        let client = server.client(PATIENCE);
        client.stop().cancel();
        let error = client.publish(&body(), |_| ()).await.unwrap_err();
        assert!(matches!(error, Error::Interrupted), "{error}");
    }
}
