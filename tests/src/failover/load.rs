//! Clients that send events of which each is new.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How long a client waits for an answer: longer than the programs wait for replicas.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Events in a batch.
const BATCH_EVENTS: std::ops::RangeInclusive<usize> = 1..=8;
/// Between two batches of a client, at most.
const PAUSE_MS: u64 = 40;

/// What a client knows.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The ids of the events that were acknowledged.
    pub(super) acknowledged: Vec<String>,
    /// How many events were sent and not acknowledged.
    pub(super) unacknowledged: usize,
    /// Answers that no client should get.
    pub(super) wrong_answers: Vec<String>,
}

/// Sends until it is told to stop.
pub(super) async fn send(number: usize, publishers: Vec<String>, stop: CancellationToken) -> Sent {
    let client = crate::http::builder().timeout(ANSWER_WITHIN).build();
    let client = client.expect("an HTTP client");
    let mut rng = SmallRng::seed_from_u64(number as u64);
    let mut sent = Sent::default();
    let mut next = 0_u64;
    while !stop.is_cancelled() {
        let count = rng.random_range(BATCH_EVENTS);
        let ids: Vec<String> = (next..)
            .take(count)
            .map(|n| format!("{number}-{n}"))
            .collect();
        next += count as u64;
        let event = |id: &String| json!({"topic": "failover", "event_id": id});
        let body: Value = ids.iter().map(event).collect();
        let publisher = &publishers[rng.random_range(0..publishers.len())];
        let answer = client.post(format!("{publisher}/publish")).json(&body);
        match answer.send().await.map(|answer| answer.status()) {
            Ok(StatusCode::ACCEPTED) => sent.acknowledged.extend(ids),
            Ok(StatusCode::SERVICE_UNAVAILABLE) | Err(_) => sent.unacknowledged += count,
            Ok(other) => sent
                .wrong_answers
                .push(format!("{publisher} answered {other}")),
        }
        sleep(Duration::from_millis(rng.random_range(0..PAUSE_MS))).await;
    }
    sent
}
