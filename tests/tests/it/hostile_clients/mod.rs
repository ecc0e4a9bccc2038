//! Clients that break HTTP, on purpose or not: each is refused or cut off, nothing of what they smuggle is executed, and
//! a good client is served all the same.

mod floods;
mod slow;
mod smuggling;
mod targets;

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use tests::{
    app::App,
    raw::{self, statuses},
};

/// Between two drops.
const DRIP: Duration = Duration::from_millis(100);
/// Most bytes of an answer that refuses something.
const MAX_REFUSAL: usize = 1024;

async fn start() -> App {
    App::over_sqlite(&["--max-body-bytes=4096"]).await
}

/// Sends this on a connection of its own, and returns all that comes back until the server closes it.
async fn send(app: &App, request: impl AsRef<[u8]>) -> String {
    raw::exchange(app.address(), request).await
}

/// A `GET` of this target, after which the connection ends.
async fn target(app: &App, target: &str) -> String {
    send(app, raw::last_get(target)).await
}

/// It accepted so many events until now, still serves a good client exactly, and stops.
async fn ends_well(app: App, received: i64) {
    let event = json!({"topic": "good", "event_id": "1"}).to_string();
    for _ in 0..2 {
        let (status, body) = app.post("/publish", event.clone()).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    }
    let stats = app.drained(received + 2).await;
    assert_eq!(stats["received"], received + 2, "{stats}");
    assert_eq!(stats["duplicate_dropped"], 1, "{stats}");
    assert_eq!(stats["topics"]["good"], 1, "{stats}");
    app.stop().await;
}

/// One answer of this status, and nothing more of what was sent counts.
fn assert_refused(answer: &str, status: u16, case: &str) {
    assert_eq!(statuses(answer), [status], "{case:?}: {answer:?}");
    assert!(
        answer.len() <= MAX_REFUSAL,
        "{case:?}: {} bytes",
        answer.len()
    );
}

/// A request to publish that begins with these headers.
fn publish(headers: &str, rest: &str) -> String {
    raw::post_with("/publish", headers, rest)
}
