//! The event: what clients send, as a type that is valid as long as it exists.
//!
//! - [`name`]: topic, event id, source: text with bounds
//! - [`time`]: ISO 8601 date and time
//! - [`payload`]: the client's JSON text, kept as it came
//! - [`json`]: JSON text in pieces
//! - [`media_type`]: media types without their parameters
//! - [`parse`]: from a request body to events, or to errors that say what would be right
//! - [`ndjson`]: the same for a body of lines, while it arrives
//! - [`cloudevents`]: the same for CloudEvents
//! - [`frame`]: the events of a push as an element of the queue; [`envelope`]: an event alone, as JSON
//! - [`element`]: what an element of the queue holds, whoever pushed it
//! - [`schema`]: what clients send, as JSON Schema
//! - [`claim`]: events that one worker has taken off the queue
//! - [`clock`]: where times and ids come from

pub mod claim;
pub mod clock;
pub mod cloudevents;
pub mod element;
pub mod envelope;
pub mod frame;
pub mod json;
pub mod media_type;
pub mod name;
pub mod ndjson;
pub mod parse;
pub mod payload;
pub mod schema;
pub mod time;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use claim::{Claim, ClaimId, ClaimIdError, Malformed, Verdict, WorkerId};
pub use name::{EventId, Source, Topic};
pub use payload::Payload;
pub use time::EventTime;

/// An event that was accepted. Its identity is `(topic, event_id)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which acceptance this is: two deliveries of one event have two receipts.
    pub receipt_id: ReceiptId,
    /// The stream the event belongs to.
    pub topic: Topic,
    /// The client's id, unique within the topic.
    pub event_id: EventId,
    /// When it happened, by the client's word.
    pub timestamp: EventTime,
    /// Who says so.
    pub source: Source,
    /// The client's data.
    pub payload: Payload,
}

impl Event {
    /// What an event takes in memory beside its payload, in bytes, about.
    pub const OVERHEAD: usize = 256;

    /// How many bytes its names and its payload have.
    #[must_use]
    pub fn text_len(&self) -> usize {
        let (topic, id) = self.key();
        topic.len() + id.len() + self.source.as_str().len() + self.payload.as_str().len()
    }

    /// What makes two deliveries the same event. Ordered by bytes, as the stores order it.
    #[must_use]
    pub fn key(&self) -> (&str, &str) {
        (self.topic.as_str(), self.event_id.as_str())
    }
}

/// The UUID v7 given to an event when it was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReceiptId(pub Uuid);

impl ReceiptId {
    /// When the event was accepted, in whole milliseconds. An id that is no UUID v7 (only a
    /// foreign writer to the queue makes one) counts as accepted at the epoch.
    #[must_use]
    pub fn received_at(self) -> DateTime<Utc> {
        self.0
            .get_timestamp()
            .and_then(|at| {
                let (seconds, nanos) = at.to_unix();
                DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
            })
            .unwrap_or(DateTime::UNIX_EPOCH)
    }
}
