//! The envelope: an event alone, as JSON. Dead letters have this form, and so have elements of the queue that were pushed
//! before there were frames: it is version 1 of an element.
//!
//! ```json
//! {"v":1,"receipt_id":"0197…","topic":"orders","event_id":"o-1",
//!  "timestamp":"2026-01-01T00:00:00Z","source":"shop","payload":{"total":10}}
//! ```
//!
//! `v` is the version of the format. What cannot be read becomes a dead letter, from where it can be replayed. Members may
//! be added within a version, and a reader passes over those it does not know.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{Event, EventId, EventTime, Malformed, Payload, ReceiptId, Source, Topic};

const VERSION: u32 = 1;
/// Most characters of what is wrong with an element: it may repeat the element, and stores keep it.
const MAX_REASON_CHARS: usize = 200;

#[derive(Serialize)]
struct Written<'a> {
    v: u32,
    receipt_id: Uuid,
    topic: &'a Topic,
    event_id: &'a EventId,
    timestamp: EventTime,
    source: &'a Source,
    payload: &'a Payload,
}

#[derive(Deserialize)]
struct Read<'a> {
    v: u32,
    receipt_id: Uuid,
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow)]
    event_id: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

/// The envelope of an event.
///
/// # Errors
/// If its payload is not JSON. A frame can bring such an event, because only the database looks into its payloads.
pub fn encode(event: &Event) -> serde_json::Result<Vec<u8>> {
    let envelope = Written {
        v: VERSION,
        receipt_id: event.receipt_id.0,
        topic: &event.topic,
        event_id: &event.event_id,
        timestamp: event.timestamp,
        source: &event.source,
        payload: &event.payload,
    };
    serde_json::to_vec(&envelope)
}

/// The event in an element. One that is given away and cannot be read is handed back without a copy.
///
/// # Errors
/// The element, with the reason, if it is not an envelope, or of a newer version, or if its event is not valid.
pub fn decode<'a>(element: impl Into<Cow<'a, [u8]>>) -> Result<Event, Malformed> {
    let element = element.into();
    read(&element).map_err(|reason| Malformed {
        raw: element.into_owned(),
        reason,
    })
}

/// How an element begins, up to the id of its receipt.
const HEAD: &[u8] = br#"{"v":1,"receipt_id":""#;
/// How many characters such an id has.
const ID_CHARS: usize = 36;
/// From so many bytes of an element, [`received_at`] can tell.
pub(crate) const HEAD_BYTES: usize = HEAD.len() + ID_CHARS;

/// When the event in an element was accepted, from the beginning of the element. `None`: it was not [`encode`] that wrote it.
pub(crate) fn received_at(element: &[u8]) -> Option<DateTime<Utc>> {
    let id = element.strip_prefix(HEAD)?.get(..ID_CHARS)?;
    let id = ReceiptId(Uuid::try_parse_ascii(id).ok()?);
    Some(id.received_at())
}

fn read(element: &[u8]) -> Result<Event, String> {
    let text = std::str::from_utf8(element).map_err(|_| "is not UTF-8".to_owned())?;
    let envelope: Read<'_> = match serde_json::from_str(text) {
        Ok(envelope) => envelope,
        Err(error) => return Err(unreadable(text, &error)),
    };
    if envelope.v != VERSION {
        return Err(version_error(envelope.v));
    }
    Ok(Event {
        receipt_id: ReceiptId(envelope.receipt_id),
        topic: field("topic", Topic::try_from(envelope.topic.as_ref()))?,
        event_id: field("event_id", EventId::try_from(envelope.event_id.as_ref()))?,
        timestamp: field("timestamp", envelope.timestamp.parse::<EventTime>())?,
        source: field("source", Source::try_from(envelope.source.as_ref()))?,
        payload: field("payload", Payload::try_from(envelope.payload))?,
    })
}

/// A newer version may also differ in its members: its number is the better reason.
fn unreadable(text: &str, error: &serde_json::Error) -> String {
    match serde_json::from_str::<Version>(text) {
        Ok(Version { v }) if v != VERSION => version_error(v),
        _ => {
            let reason = format!("is not an envelope: {error}");
            reason.chars().take(MAX_REASON_CHARS).collect()
        }
    }
}

fn version_error(version: u32) -> String {
    format!(
        "has envelope version {version}; this aggregator reads {VERSION}: upgrade it and replay"
    )
}

fn field<T>(name: &str, value: Result<T, impl std::fmt::Display>) -> Result<T, String> {
    value.map_err(|error| format!("{name} {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELEMENT: &str = r#"{"v":1,"receipt_id":"01970000-0000-7000-8000-000000000001","topic":"logs/ä","event_id":"\"1\"","timestamp":"2026-01-01T00:00:00.000001Z","source":"s","payload":{"a" : 1e2}}"#;

    #[test]
    fn an_element_is_read_and_written_alike() {
        let event = decode(ELEMENT.as_bytes()).unwrap();
        assert_eq!(event.key(), ("logs/ä", "\"1\""));
        assert_eq!(String::from_utf8(encode(&event).unwrap()).unwrap(), ELEMENT);
    }

    #[test]
    fn its_beginning_tells_when_an_event_was_accepted() {
        let event = decode(ELEMENT.as_bytes()).unwrap();
        let head = &encode(&event).unwrap()[..HEAD_BYTES];
        assert_eq!(received_at(head), Some(event.receipt_id.received_at()));
        for stranger in [&head[1..], &head[..HEAD_BYTES - 1], b"", b"hello"] {
            assert_eq!(received_at(stranger), None);
        }
    }

    #[test]
    fn members_of_the_future_are_passed_over() {
        let newer = ELEMENT.replace(r#""v":1,"#, r#""v":1,"trace":"x","#);
        assert_eq!(decode(newer.as_bytes()), decode(ELEMENT.as_bytes()));
    }

    #[test]
    fn what_is_no_envelope_is_kept_with_the_reason() {
        for (element, reason) in [
            ("hello".to_owned(), "is not an envelope"),
            ("{}".to_owned(), "is not an envelope"),
            (ELEMENT.replace(r#""v":1"#, r#""v":2"#), "version 2"),
            (r#"{"v":2,"other":true}"#.to_owned(), "version 2"),
            (ELEMENT.replace("logs/ä", ""), "topic must not be empty"),
            (
                ELEMENT.replace("1e2", "[]").replace(r#"{"a" : []}"#, "[]"),
                "payload",
            ),
        ] {
            let malformed = decode(element.as_bytes()).unwrap_err();
            assert_eq!(malformed.raw, element.as_bytes());
            assert!(malformed.reason.contains(reason), "{}", malformed.reason);
        }
        assert!(decode(b"\xff").unwrap_err().reason.contains("UTF-8"));
    }

    #[test]
    fn a_reason_repeats_little_of_the_element() {
        let element = format!(r#"{{"v":"{}"}}"#, "x".repeat(1_000_000));
        let reason = decode(element.as_bytes()).unwrap_err().reason;
        assert!(
            reason.starts_with("is not an envelope: invalid type"),
            "{reason}"
        );
        assert_eq!(reason.chars().count(), MAX_REASON_CHARS);
    }
}
