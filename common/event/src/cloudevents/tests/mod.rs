//! What the specification says and shows, and what is decided here.

mod attributes;
mod data;

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::{
    clock::ManualClock,
    parse::{BatchError, EventErrorKind, Parsed, Shape},
};

const LIMITS: Limits = Limits {
    max_events: 3,
    max_event_bytes: 1024,
};
const NOW: &str = "2026-01-01T00:00:00Z";

fn receipts() -> Receipts {
    let now: EventTime = NOW.parse().unwrap();
    Receipts::new(&ManualClock::new(now.as_datetime()), &Arc::default())
}

fn from_json(body: impl AsRef<[u8]>) -> Result<Event, EventError> {
    let parsed = structured(body.as_ref(), &LIMITS, &receipts()).unwrap();
    assert_eq!(parsed.shape, Shape::One);
    parsed.in_order().remove(0)
}

fn from_batch(body: &str) -> Result<Parsed, BatchError> {
    batch(body.as_bytes(), &LIMITS, &receipts())
}

fn read_http(
    headers: &[(&str, &str)],
    media_type: Option<&str>,
    body: impl AsRef<[u8]>,
) -> Result<Parsed, BatchError> {
    let headers = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()));
    binary(headers, media_type, body.as_ref(), &LIMITS, &receipts())
}

fn from_http(
    headers: &[(&str, &str)],
    media_type: Option<&str>,
    body: impl AsRef<[u8]>,
) -> Result<Event, EventError> {
    let parsed = read_http(headers, media_type, body).unwrap();
    assert_eq!(parsed.shape, Shape::One);
    parsed.in_order().remove(0)
}

fn payload(event: &Event) -> Value {
    serde_json::from_str(event.payload.as_str()).unwrap()
}

/// The members every CloudEvent has, and others.
fn with(others: &Value) -> String {
    let mut event = json!({"specversion": "1.0", "type": "t", "source": "/s", "id": "1"});
    let event_members = event.as_object_mut().unwrap();
    event_members.extend(others.as_object().unwrap().clone());
    event.to_string()
}

const HEADERS: [(&str, &str); 4] = [
    ("ce-specversion", "1.0"),
    ("ce-type", "t"),
    ("ce-source", "/s"),
    ("ce-id", "1"),
];

/// Why the CloudEvent with these members is none: pointer and detail.
fn refused(others: &Value) -> (String, String) {
    let error = from_json(with(others)).expect_err(&others.to_string());
    assert_eq!(error.kind, EventErrorKind::Invalid);
    (error.pointer, error.detail)
}
