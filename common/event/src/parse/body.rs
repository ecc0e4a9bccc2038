//! A body of JSON as a list of events.

use std::{ops::ControlFlow, str::Utf8Error};

use bytestring::ByteString;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{BatchError, EventError, Limits, Parsed, Receipts, Shape, parse_event, quoted, scan};
use crate::{
    Event,
    json::{self, BYTE_ORDER_MARK, JsonType},
};

/// The whitespace of JSON ([RFC 8259, section 2](https://www.rfc-editor.org/rfc/rfc8259#section-2)).
const WHITESPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// Reads a body: one event, an array of events, or `{"events": […]}`, where one event may stand for an array of it.
///
/// A byte order mark at its start is ignored, as
/// [RFC 8259, section 8.1](https://www.rfc-editor.org/rfc/rfc8259#section-8.1) allows. If all events are valid, they share
/// the memory of the body.
pub fn parse(body: Vec<u8>, limits: &Limits, receipts: &Receipts) -> Result<Parsed, BatchError> {
    let text = ByteString::try_from(body).map_err(not_utf8)?;
    match scan::body(&text, limits, receipts) {
        Some(parsed) => Ok(parsed),
        None => explain(text.as_bytes(), limits, receipts),
    }
}

/// The same, step by step: it says what is wrong with a body or with each of its events.
pub fn explain(body: &[u8], limits: &Limits, receipts: &Receipts) -> Result<Parsed, BatchError> {
    let text = text(body)?;
    let one = |raw: &RawValue| parse_event(raw, limits, receipts);
    match text.trim_start_matches(WHITESPACE).bytes().next() {
        None => Err(BatchError::Empty),
        Some(b'[') => array(text, "", limits, one)?.not_empty(),
        Some(b'{') => match events_member(text).map_err(|error| told_of_lines(text, error))? {
            Some(events) => list(events, limits, one)?.not_empty(),
            None => Ok(Parsed::one(one(serde_json::from_str(text)?))),
        },
        Some(_) => {
            let value: &RawValue = serde_json::from_str(text)?;
            Err(BatchError::WrongShape(JsonType::of(value)))
        }
    }
}

fn not_utf8(error: Utf8Error) -> BatchError {
    BatchError::NotUtf8 {
        at: error.valid_up_to(),
    }
}

/// A body as text, without its byte order mark.
pub(crate) fn text(body: &[u8]) -> Result<&str, BatchError> {
    let text = std::str::from_utf8(body).map_err(not_utf8)?;
    Ok(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text))
}

/// The member `events` of the object in `text`, which is then its only one; `None` if it has none.
fn events_member(text: &str) -> Result<Option<&RawValue>, BatchError> {
    let (mut events, mut twice, mut other) = (None, false, None);
    json::members(text, |name, value| {
        if name == "events" {
            twice |= events.replace(value).is_some();
        } else {
            other.get_or_insert(name);
        }
        ControlFlow::<()>::Continue(())
    })?;
    match (events, other) {
        (None, _) => Ok(None),
        (Some(_), _) if twice => Err(BatchError::DuplicateEvents),
        (Some(_), Some(name)) => Err(BatchError::UnknownMember(quoted(&name))),
        (Some(events), None) => Ok(Some(events)),
    }
}

/// Two events on two lines are not JSON, but it is plain what the client means.
fn told_of_lines(text: &str, error: BatchError) -> BatchError {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let first = values.next();
    let rest = text[values.byte_offset()..].trim_start_matches(WHITESPACE);
    if matches!(first, Some(Ok(_))) && rest.starts_with('{') {
        BatchError::SeveralValues
    } else {
        error
    }
}

/// Reads the member `events`: an array, or one event as an array of it.
fn list(
    events: &RawValue,
    limits: &Limits,
    one: impl Fn(&RawValue) -> Result<Event, EventError>,
) -> Result<Parsed, BatchError> {
    let pointer = "/events";
    match JsonType::of(events) {
        JsonType::Array => array(events.get(), pointer, limits, one),
        JsonType::Object => {
            let mut parsed = Parsed::new(Shape::Many);
            parsed.add(one(events).map_err(|error| error.within(pointer)));
            Ok(parsed)
        }
        other => Err(BatchError::NoListOfEvents(other)),
    }
}

/// Reads the array in `text`, each of its elements with `one`. May be empty.
pub(crate) fn array(
    text: &str,
    pointer: &str,
    limits: &Limits,
    one: impl Fn(&RawValue) -> Result<Event, EventError>,
) -> Result<Parsed, BatchError> {
    let elements = json::elements(text, limits.max_events)?;
    limits.check_count(elements.count)?;
    let mut parsed = Parsed::new(Shape::Many);
    parsed.events.reserve(elements.first.len());
    for (index, raw) in elements.first.into_iter().enumerate() {
        parsed.add(one(raw).map_err(|error| error.within(format_args!("{pointer}/{index}"))));
    }
    Ok(parsed)
}
