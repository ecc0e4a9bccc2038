//! `queue peek`: what waits in the queue, for people and for programs.

use chrono::{DateTime, Utc};
use event::{Event, EventTime, Malformed};
use queue::redis::Address;
use runtime::output::print;
use serde::Serialize;
use uuid::Uuid;

/// Most characters of a malformed element that are shown.
const SHOWN_CHARS: usize = 200;

#[derive(Serialize)]
struct Waiting<'a> {
    topic: &'a str,
    event_id: &'a str,
    timestamp: EventTime,
    source: &'a str,
    received_at: DateTime<Utc>,
    receipt_id: Uuid,
    payload: &'a event::Payload,
}

#[derive(Serialize)]
struct Stranger<'a> {
    malformed: &'a str,
    bytes: usize,
    raw: String,
}

/// Prints the events that wait longest, oldest first, and then what is not an event among them.
pub(crate) async fn print_waiting(queue: &Address, events: usize) -> anyhow::Result<()> {
    let opened = queue.peek(events).await?;
    for event in &opened.events {
        match serde_json::to_string(&Waiting::of(event)) {
            Ok(line) => print(line)?,
            Err(error) => {
                let malformed = Malformed {
                    raw: event.payload.as_str().into(),
                    reason: format!("payload {error}"),
                };
                print(serde_json::to_string(&Stranger::of(&malformed))?)?;
            }
        }
    }
    for malformed in &opened.malformed {
        print(serde_json::to_string(&Stranger::of(malformed))?)?;
    }
    Ok(())
}

impl<'a> Waiting<'a> {
    fn of(event: &'a Event) -> Self {
        let (topic, event_id) = event.key();
        Self {
            topic,
            event_id,
            timestamp: event.timestamp,
            source: event.source.as_str(),
            received_at: event.receipt_id.received_at(),
            receipt_id: event.receipt_id.0,
            payload: &event.payload,
        }
    }
}

impl<'a> Stranger<'a> {
    fn of(malformed: &'a Malformed) -> Self {
        let raw = String::from_utf8_lossy(&malformed.raw);
        Self {
            malformed: &malformed.reason,
            bytes: malformed.raw.len(),
            raw: raw.chars().take(SHOWN_CHARS).collect(),
        }
    }
}
