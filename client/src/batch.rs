//! What is published: events, in batches.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use serde::Serialize;

/// An event to publish. The server stores it once for each pair of `topic` and `event_id`, however often it arrives.
///
/// The payload is anything that serializes to a JSON object; the server refuses other JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event<P = serde_json::Value> {
    /// The topic: 1 to 255 bytes of text without control characters.
    pub topic: String,
    /// The id, unique within the topic: 1 to 255 bytes of text without control characters.
    pub event_id: String,
    /// When the event happened, as in `2026-01-01T12:00:00Z`. Without it, the time of acceptance counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// Who sends the event. Without it, the server stores `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The data of the event.
    pub payload: P,
}

impl<P> Event<P> {
    /// An event without a timestamp and a source.
    pub fn new(topic: impl Into<String>, event_id: impl Into<String>, payload: P) -> Self {
        Self {
            topic: topic.into(),
            event_id: event_id.into(),
            timestamp: None,
            source: None,
            payload,
        }
    }
}

/// The events of one request: a JSON array, compressed or not. A server takes all of them or none.
///
/// A batch keeps its bytes, so that a repeated request sends exactly the same.
#[derive(Debug, Clone)]
pub struct Batch {
    pub(crate) bytes: Bytes,
    pub(crate) is_gzip: bool,
}

impl Batch {
    /// A batch of these events. [`Event`] is one type that the server understands; any other that serializes to the same
    /// JSON will do.
    ///
    /// # Errors
    /// If an event cannot be written as JSON, because a map in its payload has keys that are not strings, for example.
    pub fn of(events: &[impl Serialize]) -> serde_json::Result<Self> {
        serde_json::to_vec(events).map(Self::from_json)
    }

    /// A batch that is written already: the text of a JSON array of events.
    #[must_use]
    pub fn from_json(array: impl Into<Bytes>) -> Self {
        Self {
            bytes: array.into(),
            is_gzip: false,
        }
    }

    /// The same batch, compressed with gzip. That saves bandwidth and costs the server a little time.
    ///
    /// # Errors
    /// Those of [`GzEncoder`]; writing into memory has none of its own.
    pub fn gzip(self) -> io::Result<Self> {
        if self.is_gzip {
            return Ok(self);
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&self.bytes)?;
        Ok(Self {
            bytes: encoder.finish()?.into(),
            is_gzip: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_written_without_what_it_does_not_have() {
        let batch = Batch::of(&[Event::new("orders", "o-1", json!({"total": 10}))]).unwrap();
        let expected = r#"[{"topic":"orders","event_id":"o-1","payload":{"total":10}}]"#;
        assert_eq!(batch.bytes, expected);
    }

    #[test]
    fn a_compressed_batch_holds_the_same_events() {
        let batch = Batch::from_json("[{}]").gzip().unwrap().gzip().unwrap();
        assert!(batch.is_gzip);
        let mut text = String::new();
        let mut decoder = GzDecoder::new(&*batch.bytes);
        decoder.read_to_string(&mut text).unwrap();
        assert_eq!(text, "[{}]");
    }
}
