//! Publishes events, and tries again until the server has acknowledged them.
//!
//! Start a server with `cargo run --release`, and then run `cargo run -p examples --example publish`. The variable
//! `SERVER` names another server than `http://127.0.0.1:8080`.

use std::{env, error::Error, time::Duration};

use reqwest::{Client, Response, StatusCode, header::RETRY_AFTER};
use serde_json::{Value, json};
use tokio::time::sleep;

/// How many times the batch is sent at most.
const ATTEMPTS: u32 = 8;
/// How long one attempt may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long the first pause is. Each further pause is twice as long, unless the server asks for another one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// No pause is longer, whatever the server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = env::var("SERVER").unwrap_or_else(|_| "http://127.0.0.1:8080".to_owned());
    let client = Client::builder().timeout(ANSWER_WITHIN).build()?;
    // The ids come from the orders. An id that is made for each attempt would make each attempt another event.
    let events = json!([
        {"topic": "orders", "event_id": "order-1001", "source": "shop", "payload": {"total": 10}},
        {"topic": "orders", "event_id": "order-1002", "source": "shop", "payload": {"total": 25}},
    ]);
    let answer = publish(&client, &format!("{server}/publish"), &events).await?;
    println!("acknowledged: {answer}");
    Ok(())
}

/// Why an attempt did not succeed.
enum Failure {
    /// The batch may or may not have been accepted, or the server has no room for it now.
    TryAgain {
        why: String,
        after: Option<Duration>,
    },
    /// The server refuses the batch, and would refuse it again.
    GiveUp(String),
}

/// Sends the batch until the server has acknowledged it, always with the same ids. If an earlier attempt was accepted and
/// only its answer was lost, the server counts the repetition as duplicates and does not store it.
async fn publish(client: &Client, url: &str, events: &Value) -> Result<Value, String> {
    let mut pause = FIRST_PAUSE;
    for attempt in 1..=ATTEMPTS {
        match send(client, url, events).await {
            Ok(answer) => return Ok(answer),
            Err(Failure::GiveUp(why)) => return Err(why),
            Err(Failure::TryAgain { why, after }) => {
                eprintln!("attempt {attempt} of {ATTEMPTS}: {why}");
                sleep(after.unwrap_or(pause).min(LONGEST_PAUSE)).await;
                pause *= 2;
            }
        }
    }
    Err(format!(
        "the batch was not acknowledged in {ATTEMPTS} attempts; send it again later, with the same ids"
    ))
}

async fn send(client: &Client, url: &str, events: &Value) -> Result<Value, Failure> {
    let again = |error: reqwest::Error| Failure::TryAgain {
        why: error.to_string(),
        after: None,
    };
    let response = client.post(url).json(events).send().await.map_err(again)?;
    let status = response.status();
    if status.is_success() {
        return response.json().await.map_err(again);
    }
    let after = retry_after(&response);
    let why = format!("{status}: {}", response.text().await.map_err(again)?);
    let temporary = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    Err(if status.is_server_error() || temporary.contains(&status) {
        Failure::TryAgain { why, after }
    } else {
        Failure::GiveUp(why)
    })
}

/// How long the server asks the client to wait.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(seconds.parse().ok()?))
}
