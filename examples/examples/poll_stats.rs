//! Polls `GET /stats` until everything that was accepted is stored and counted.
//!
//! Start a server with `cargo run --release`, and then run `cargo run -p examples --example poll_stats`. The variable
//! `SERVER` names another server than `http://127.0.0.1:8080`: the standalone program, or an aggregator.

use std::{env, error::Error, time::Duration};

use reqwest::Client;
use serde_json::Value;
use tokio::time::sleep;

/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The pause between two polls.
const PAUSE: Duration = Duration::from_secs(1);
/// How many times the counters are polled at most.
const POLLS: u32 = 60;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = env::var("SERVER").unwrap_or_else(|_| "http://127.0.0.1:8080".to_owned());
    let client = Client::builder().timeout(ANSWER_WITHIN).build()?;
    for _ in 0..POLLS {
        let stats: Value = client
            .get(format!("{server}/stats"))
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        let count = |pointer: &str| {
            let found = stats.pointer(pointer).and_then(Value::as_u64);
            found.ok_or_else(|| format!("the answer has no {pointer}: {stats}"))
        };
        let waiting = count("/queue/pending")? + count("/queue/processing")?;
        println!(
            "{} received = {} unique + {} duplicates + {} dead letters; {waiting} in the queue",
            count("/received")?,
            count("/unique_processed")?,
            count("/duplicate_dropped")?,
            count("/dead_lettered")?,
        );
        // The server reads the queue before the counters, so the counters beside an empty queue are final.
        if waiting == 0 {
            return Ok(());
        }
        sleep(PAUSE).await;
    }
    Err(format!("the queue was not empty in {POLLS} polls").into())
}
