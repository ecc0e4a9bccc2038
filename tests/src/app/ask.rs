//! What a running program is asked, and its answers.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::App;
use crate::{SOON, eventually};

/// How long a drained queue may be waited for.
const DRAINED_WITHIN: Duration = Duration::from_mins(2);

/// An answer: its status and body. A body that is not JSON is [`Value::Null`].
pub type Answer = (StatusCode, Value);

/// Sends a request.
///
/// # Panics
/// If there is no answer.
pub async fn answer(request: RequestBuilder) -> Answer {
    try_answer(request).await.expect("an answer")
}

async fn try_answer(request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let status = response.status();
    let body = response.bytes().await?;
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}

/// The value of a header; empty if it is not there.
///
/// # Panics
/// If it is not text.
#[must_use]
pub fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().expect("text"))
}

impl App {
    /// A request to be completed and sent with [`answer`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// The answer, with its headers, to a request without a body.
    ///
    /// # Panics
    /// If there is none.
    pub async fn ask(&self, method: Method, path: &str) -> Response {
        let answer = self.request(method, path).send().await;
        answer.expect("an answer")
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    /// `GET path` of a program that may not listen, or no longer.
    pub async fn try_get(&self, path: &str) -> Option<Answer> {
        try_answer(self.request(Method::GET, path)).await.ok()
    }

    /// The status of `GET path`, if it answers.
    pub async fn status(&self, path: &str) -> Option<StatusCode> {
        self.try_get(path).await.map(|(status, _)| status)
    }

    /// `POST path` with this body as JSON.
    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        answer(self.posting(path, body)).await
    }

    /// `POST path` to a program that may not listen, or no longer.
    pub async fn try_post(&self, path: &str, body: impl Into<reqwest::Body>) -> Option<Answer> {
        try_answer(self.posting(path, body)).await.ok()
    }

    fn posting(&self, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let request = self.request(Method::POST, path).body(body);
        request.header("content-type", "application/json")
    }

    /// The status of `POST /publish` with these events, if it answers.
    pub async fn publish(&self, events: &Value) -> Option<StatusCode> {
        let answer = self.try_post("/publish", events.to_string()).await;
        answer.map(|(status, _)| status)
    }

    /// Publishes these events until they are accepted, as a client does; returns how often they were not.
    ///
    /// # Panics
    /// If they are not accepted in time.
    pub async fn publish_until_accepted(&self, events: &Value) -> u32 {
        let mut refused = 0;
        eventually("the batch is accepted", SOON, async || {
            let accepted = self.publish(events).await == Some(StatusCode::ACCEPTED);
            refused += u32::from(!accepted);
            accepted
        })
        .await;
        refused
    }

    /// `GET /stats`.
    ///
    /// # Panics
    /// If the answer is not 200.
    pub async fn stats(&self) -> Value {
        let (status, body) = self.get("/stats").await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }

    /// The counters, once they count at least `received` events and nothing is in the queue.
    ///
    /// # Panics
    /// If that is not so in time.
    pub async fn drained(&self, received: i64) -> Value {
        eventually("the queue is drained", DRAINED_WITHIN, async || {
            let (status, body) = self.try_get("/stats").await?;
            let queue = &body["queue"];
            let empty = queue["pending"] == 0 && queue["processing"] == 0;
            let all = body["received"].as_i64() >= Some(received);
            (status == StatusCode::OK && empty && all).then_some(body)
        })
        .await
    }

    /// Waits until `/health` answers 200.
    ///
    /// # Panics
    /// If it does not in time.
    pub async fn alive(&self) {
        eventually("it is alive", SOON, async || {
            self.status("/health").await == Some(StatusCode::OK)
        })
        .await;
    }

    /// Waits until `/ready` answers 200.
    ///
    /// # Panics
    /// If it does not in time.
    pub async fn ready(&self) {
        eventually("it is ready", DRAINED_WITHIN, async || {
            self.status("/ready").await == Some(StatusCode::OK)
        })
        .await;
    }

    /// Waits until `/ready` answers 503 with this reason, and returns all that it says.
    ///
    /// # Panics
    /// If it does not in time.
    pub async fn not_ready(&self, reason: &str) -> String {
        let what = format!("it is not ready because: {reason}");
        eventually(&what, SOON, async || {
            let (status, problem) = self.try_get("/ready").await?;
            let detail = problem["detail"].as_str().unwrap_or_default();
            let unavailable = status == StatusCode::SERVICE_UNAVAILABLE;
            (unavailable && detail.contains(reason)).then(|| detail.to_owned())
        })
        .await
    }
}
