//! `eventctl ready`: waits until the servers can do their work.

use event_aggregator_client::Client;
use serde_json::json;

use crate::{error::Error, exit_code::Outcome, output};

/// Waits, for as long as `--patience` says.
///
/// # Errors
/// If they are not ready by then, with the reason that they give.
pub(crate) async fn run(client: &Client, json: bool) -> Result<Outcome, Error> {
    client.ready().await?;
    if json {
        output::json(&json!({"status": "ready"}))?;
    } else {
        output::line("ready: events are accepted and stored")?;
    }
    Ok(Outcome::Well)
}
