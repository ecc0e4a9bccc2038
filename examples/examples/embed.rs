//! Runs the whole event aggregator inside another program: on a free port of this machine, with its queue in memory and
//! its store in an SQLite file.
//!
//! Run it with `cargo run -p examples --example embed`. It needs no server.

use std::error::Error;

use clap::Parser;
use reqwest::Client;
use serde_json::{Value, json};
use standalone::{Application, Settings};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("events.db");
    // The settings are those of the program, so they are given as its command line. Port 0 is any free port.
    let settings = Settings::try_parse_from([
        "event-aggregator".to_owned(),
        "--bind-addr=127.0.0.1:0".to_owned(),
        format!("--database-url=sqlite://{}", file.display()),
    ])?;
    let application = Application::build(&settings)?;
    let url = format!("http://127.0.0.1:{}", application.port());
    let stop = CancellationToken::new();
    let running = tokio::spawn(application.run_until_stopped(stop.clone()));

    let client = Client::new();
    let event = json!({"topic": "orders", "event_id": "order-1001", "payload": {"total": 10}});
    // The first delivery is stored, and the second one is counted as a duplicate.
    for _ in 0..2 {
        let request = client.post(format!("{url}/publish")).json(&event);
        request.send().await?.error_for_status()?;
    }
    let stats: Value = client
        .get(format!("{url}/stats"))
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?;
    println!("{stats:#}");

    // It finishes what it has begun, and then ends.
    stop.cancel();
    running.await??;
    Ok(())
}
