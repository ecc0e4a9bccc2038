//! Clients: they send batches of events, and each batch again until it is acknowledged.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

/// Clients that send at the same time.
pub(super) const CLIENTS: usize = 4;
/// What all of them send together.
const BATCHES: usize = 160;
/// Events in a batch.
const BATCH_EVENTS: std::ops::RangeInclusive<usize> = 1..=40;
/// Topics of a run.
const TOPICS: usize = 5;
/// One in so many events repeats an earlier one, of whichever client.
const REPEATED: u32 = 7;
/// How long a client waits for an answer.
const ANSWER_WITHIN: Duration = Duration::from_millis(1500);
/// Between two attempts.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// Between two batches: at most this, so that the load lasts as long as the faults.
const PAUSE_MS: u64 = 130;
/// Tells the load's random numbers from those of the schedule.
const SALT: u64 = 0x10ad;

/// Topic and id of an event.
pub type Identity = (String, String);

/// What clients know.
#[derive(Debug, Default, Clone)]
pub struct Ledger {
    /// Each event that was sent, whatever came back.
    pub sent: HashSet<Identity>,
    /// Each event that was acknowledged.
    pub acknowledged: HashSet<Identity>,
    /// Deliveries sent: events times attempts.
    pub sent_deliveries: u64,
    /// Deliveries acknowledged.
    pub acknowledged_deliveries: u64,
    /// Batches that were sent again.
    pub retries: u64,
    /// Answers that no client should get.
    pub wrong_answers: Vec<String>,
}

impl Ledger {
    /// This and what another client knows.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.sent.extend(other.sent);
        self.acknowledged.extend(other.acknowledged);
        self.sent_deliveries += other.sent_deliveries;
        self.acknowledged_deliveries += other.acknowledged_deliveries;
        self.retries += other.retries;
        self.wrong_answers.extend(other.wrong_answers);
        self
    }
}

type Batch = Vec<Identity>;

/// What each client sends; the same for the same seed.
pub(super) fn of_seed(seed: u64) -> Vec<Vec<Batch>> {
    let mut rng = SmallRng::seed_from_u64(seed ^ SALT);
    let mut known: Vec<Identity> = Vec::new();
    let mut clients = vec![Vec::new(); CLIENTS];
    for number in 0..BATCHES {
        let count = rng.random_range(BATCH_EVENTS);
        let batch = (0..count).map(|_| identity(&mut rng, &mut known)).collect();
        clients[number % CLIENTS].push(batch);
    }
    clients
}

fn identity(rng: &mut SmallRng, known: &mut Vec<Identity>) -> Identity {
    if !known.is_empty() && rng.random_ratio(1, REPEATED) {
        return known[rng.random_range(0..known.len())].clone();
    }
    let topic = format!("chaos/{}", rng.random_range(0..TOPICS));
    // An id in one topic is also one in others: those are different events.
    let identity = (topic, format!("e-{}", known.len() / 2));
    known.push(identity.clone());
    identity
}

/// Sends all batches, one after another, each until it is acknowledged or the time is over.
pub(super) async fn send(
    number: usize,
    batches: Vec<Batch>,
    publishers: Vec<String>,
    until: Instant,
) -> Ledger {
    let client = crate::http::builder().timeout(ANSWER_WITHIN).build();
    let client = client.expect("an HTTP client");
    let mut rng = SmallRng::seed_from_u64(number as u64);
    let mut ledger = Ledger::default();
    let mut target = number;
    for batch in batches {
        let body = body(&batch);
        ledger.sent.extend(batch.iter().cloned());
        loop {
            if Instant::now() > until {
                let missing = format!("client {number}: a batch was not acknowledged in time");
                ledger.wrong_answers.push(missing);
                return ledger;
            }
            ledger.sent_deliveries += batch.len() as u64;
            let url = format!("{}/publish", publishers[target % publishers.len()]);
            match attempt(&client, &url, &body, batch.len()).await {
                Attempt::Acknowledged => break,
                Attempt::Unknown => {}
                Attempt::Wrong(answer) => {
                    ledger.wrong_answers.push(answer);
                    return ledger;
                }
            }
            ledger.retries += 1;
            target += 1;
            sleep(RETRY_AFTER).await;
        }
        ledger.acknowledged_deliveries += batch.len() as u64;
        ledger.acknowledged.extend(batch);
        sleep(Duration::from_millis(rng.random_range(0..PAUSE_MS))).await;
    }
    ledger
}

enum Attempt {
    Acknowledged,
    /// It may have been accepted: send it again.
    Unknown,
    /// Sending it again would not help.
    Wrong(String),
}

async fn attempt(client: &Client, url: &str, body: &Value, count: usize) -> Attempt {
    let Ok(response) = client.post(url).json(body).send().await else {
        return Attempt::Unknown;
    };
    let status = response.status();
    // The status counts; the body may be lost with its connection.
    let answer: Value = response.json().await.unwrap_or_default();
    match status {
        StatusCode::ACCEPTED if answer.is_null() || answer["accepted"] == count => {
            Attempt::Acknowledged
        }
        StatusCode::SERVICE_UNAVAILABLE => Attempt::Unknown,
        other => Attempt::Wrong(format!("{url} answered {other}: {answer}")),
    }
}

fn body(batch: &Batch) -> Value {
    let event = |(topic, id): &Identity| {
        json!({
            "topic": topic,
            "event_id": id,
            "source": "chaos",
            "payload": {"line": format!("{topic} {id} é 🦀")},
        })
    };
    batch.iter().map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_makes_the_same_load_with_repeated_events() {
        let load = of_seed(3);
        assert_eq!(load, of_seed(3));
        let all: Vec<&Identity> = load.iter().flatten().flatten().collect();
        let different: HashSet<&Identity> = all.iter().copied().collect();
        assert!(all.len() > 1500, "{}", all.len());
        assert!(different.len() < all.len());
        assert!(different.len() * 2 > all.len());
    }
}
