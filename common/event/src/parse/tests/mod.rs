//! How bodies are read.

mod bodies;
mod events;
mod properties;

use std::sync::Arc;

use super::{BatchError, EventErrorKind, Invalid, Limits, Parsed, Receipts, parse};
use crate::{Event, EventTime, clock::ManualClock};

const LIMITS: Limits = Limits {
    max_events: 3,
    max_event_bytes: 4096,
};
const NOW: &str = "2026-01-01T00:00:00Z";

fn parsed(body: impl AsRef<[u8]>, limits: &Limits) -> Result<Parsed, BatchError> {
    let clock = ManualClock::new(NOW.parse::<EventTime>().unwrap().as_datetime());
    parse(
        body.as_ref().to_vec(),
        limits,
        &Receipts::new(&clock, &Arc::default()),
    )
}

/// The events of a body that has no wrong one.
fn events(body: impl AsRef<[u8]>) -> Vec<Event> {
    let parsed = parsed(body, &LIMITS).unwrap();
    assert_eq!(parsed.invalid, Invalid::default());
    parsed.events
}

/// What is wrong with the only event of a body.
fn refused(body: &str) -> (String, String) {
    match parsed(body, &LIMITS).expect(body).in_order().as_slice() {
        [Err(error)] => {
            assert_eq!(error.kind, EventErrorKind::Invalid);
            (error.pointer.clone(), error.detail.clone())
        }
        other => panic!("{body}: {other:?}"),
    }
}
