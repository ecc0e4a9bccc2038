//! From a request body to events, or to errors that say what would be right.
//!
//! The body is split into the texts of its events without copying; then each is judged alone, so
//! that one wrong event does not hide the others.

use std::{borrow::Cow, fmt::Display, ops::ControlFlow, sync::Arc};

use chrono::{DateTime, Utc};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{
    Event, EventId, EventTime, Payload, ReceiptId, Source, Topic,
    json::{self, JsonType},
    name::{MAX_NAME_BYTES, NameError},
    time::TimeError,
};
use crate::clock::{Clock, Ids};

/// Most errors of one body that are kept; all are counted.
pub const MAX_REPORTED_ERRORS: usize = 100;
/// Most characters of a client's member name that an error repeats.
pub const MAX_ECHO_CHARS: usize = 64;

/// The whitespace of JSON ([RFC 8259, section 2](https://www.rfc-editor.org/rfc/rfc8259#section-2)).
const WHITESPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// What some editors put before a text.
pub(super) const BYTE_ORDER_MARK: &str = "\u{feff}";

/// What a body may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most events.
    pub max_events: usize,
    /// Most bytes of JSON an event may have, also with its numbers written out
    /// ([`Payload::written_out_len`]).
    pub max_event_bytes: usize,
}

impl Limits {
    /// Whether so many events are too many.
    pub(super) fn check_count(&self, count: usize) -> Result<(), BatchError> {
        let max = self.max_events;
        if count > max {
            Err(BatchError::TooMany { count, max })
        } else {
            Ok(())
        }
    }
}

/// How the client wrote its events; the answer takes the same shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One event alone.
    One,
    /// A list of events, even if of one.
    Many,
}

/// What a body holds: at least one event, valid or not, except in
/// [`cloudevents::batch`](super::cloudevents::batch()).
#[derive(Debug, PartialEq, Eq)]
pub struct Parsed {
    /// How the events came.
    pub shape: Shape,
    /// The valid events, in order.
    pub events: Vec<Event>,
    /// The others.
    pub invalid: Invalid,
}

/// The events of a body that are not valid.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Invalid {
    /// How many there are.
    pub count: usize,
    /// How many of them are only too large.
    pub too_large: usize,
    /// What is wrong with the first [`MAX_REPORTED_ERRORS`] of them, with their places in the body, counted from 0.
    pub first: Vec<(usize, EventError)>,
}

impl Parsed {
    /// Nothing yet.
    pub(super) const fn new(shape: Shape) -> Self {
        Self {
            shape,
            events: Vec::new(),
            invalid: Invalid {
                count: 0,
                too_large: 0,
                first: Vec::new(),
            },
        }
    }

    /// One event, alone.
    pub(super) fn one(event: Result<Event, EventError>) -> Self {
        let mut parsed = Self::new(Shape::One);
        parsed.add(event);
        parsed
    }

    /// How many events there are, valid or not.
    #[must_use]
    pub fn count(&self) -> usize {
        self.events.len() + self.invalid.count
    }

    /// Adds the next event.
    pub(super) fn add(&mut self, event: Result<Event, EventError>) {
        let index = self.count();
        match event {
            Ok(event) => self.events.push(event),
            Err(error) => self.invalid.add(index, error),
        }
    }

    /// The same, if there is an event.
    pub(super) fn not_empty(self) -> Result<Self, BatchError> {
        if self.count() == 0 {
            Err(BatchError::NoEvents)
        } else {
            Ok(self)
        }
    }

    /// The events and errors, in the order of the body, which must have no more errors than are kept.
    #[cfg(test)]
    pub(super) fn in_order(self) -> Vec<Result<Event, EventError>> {
        assert_eq!(self.invalid.count, self.invalid.first.len());
        let mut all: Vec<_> = self.events.into_iter().map(Ok).collect();
        for (index, error) in self.invalid.first {
            all.insert(index, Err(error));
        }
        all
    }
}

impl Invalid {
    fn add(&mut self, index: usize, error: EventError) {
        self.count += 1;
        self.too_large += usize::from(error.kind == EventErrorKind::TooLarge);
        if self.first.len() < MAX_REPORTED_ERRORS {
            self.first.push((index, error));
        }
    }
}

/// Why a body as a whole is no batch of events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// It has nothing but whitespace.
    #[error("the body is empty; send an event, an array of events, or {{\"events\": […]}}")]
    Empty,
    /// It is not UTF-8.
    #[error("the body is not UTF-8 at byte {at}; send JSON in UTF-8")]
    NotUtf8 {
        /// How many bytes before are.
        at: usize,
    },
    /// It is not JSON.
    #[error("the body is not JSON at line {line}, column {column}: {detail}")]
    Malformed {
        /// Counted from 1.
        line: usize,
        /// Counted in bytes, from 1. The byte that is wrong or the one before it; 0 is the end of
        /// the line before.
        column: usize,
        /// What is wrong there.
        detail: String,
    },
    /// It is several JSON values, one after the other.
    #[error(
        "the body is several JSON values, one after the other; send lines with Content-Type: application/x-ndjson, or put the events into one array"
    )]
    SeveralValues,
    /// It is JSON, but no array of CloudEvents.
    #[error("the body must be an array of CloudEvents, got {0}")]
    NotAnArray(JsonType),
    /// It is JSON, but neither an object nor an array.
    #[error("the body must be an event, an array of events, or {{\"events\": […]}}, got {0}")]
    WrongShape(JsonType),
    /// Its member `events` is neither an array nor an object.
    #[error("events must be an array of events, or one event, got {0}")]
    NoListOfEvents(JsonType),
    /// It has another member beside `events`.
    #[error("unknown member {0} beside events; leave it out")]
    UnknownMember(String),
    /// It has the member `events` twice.
    #[error("events is there twice; put all events into one array")]
    DuplicateEvents,
    /// Its array is empty.
    #[error("the batch has no events; send at least one")]
    NoEvents,
    /// It has more events than [`Limits::max_events`].
    #[error("the batch has {count} events; at most {max} are allowed, send smaller batches")]
    TooMany {
        /// So many.
        count: usize,
        /// The limit.
        max: usize,
    },
}

impl From<serde_json::Error> for BatchError {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed {
            line: error.line(),
            column: error.column(),
            detail: json::fault(&error),
        }
    }
}

/// What is wrong with one event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {detail}")]
pub struct EventError {
    /// Which value of the body: a JSON Pointer
    /// ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)), such as `/3/event_id`. Points to where
    /// a missing member belongs. A long name of an unknown member is cut, with `…`.
    pub pointer: String,
    /// What is wrong and what would be right; names the member.
    pub detail: String,
    /// What kind of error it is.
    pub kind: EventErrorKind,
}

/// Kinds of [`EventError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventErrorKind {
    /// It is no event.
    Invalid,
    /// It is over [`Limits::max_event_bytes`].
    TooLarge,
}

impl EventError {
    pub(super) fn invalid(pointer: String, detail: String) -> Self {
        Self {
            pointer,
            detail,
            kind: EventErrorKind::Invalid,
        }
    }

    pub(super) fn too_large(pointer: &str, detail: String) -> Self {
        Self {
            pointer: pointer.to_owned(),
            detail,
            kind: EventErrorKind::TooLarge,
        }
    }

    /// Its text has `len` bytes, and `max` are allowed.
    pub(super) fn too_long(len: usize, max: usize) -> Self {
        let detail = format!("the event has {len} bytes; at most {max} are allowed");
        Self::too_large("", detail)
    }

    /// Something is wrong with this member of an event.
    pub(super) fn member(name: &str, what: impl Display) -> Self {
        Self::invalid(format!("/{name}"), format!("{name} {what}"))
    }

    /// This is no member of an event; `what` says what would be one.
    pub(super) fn unknown_member(name: &str, what: &str) -> Self {
        let escaped = shortened(name).replace('~', "~0").replace('/', "~1");
        let detail = format!("unknown member {}; {what}", quoted(name));
        Self::invalid(format!("/{escaped}"), detail)
    }

    /// What this JSON value is, where an event should be.
    pub(super) fn not_an_object(found: JsonType) -> Self {
        let detail = format!("an event must be a JSON object, got {found}");
        Self::invalid(String::new(), detail)
    }

    /// The same error, of an event that is at `place` in the body.
    pub(super) fn within(self, place: impl Display) -> Self {
        Self {
            pointer: format!("{place}{}", self.pointer),
            ..self
        }
    }
}

/// Gives each event of one batch its receipt. All of them are accepted at the same time.
#[derive(Debug)]
pub struct Receipts {
    now: DateTime<Utc>,
    ids: Arc<Ids>,
}

impl Receipts {
    /// Receipts for a batch that is accepted now.
    #[must_use]
    pub fn new(clock: &dyn Clock, ids: &Arc<Ids>) -> Self {
        Self {
            now: clock.now(),
            ids: ids.clone(),
        }
    }

    /// The time of acceptance.
    #[must_use]
    pub fn time(&self) -> EventTime {
        self.now.into()
    }

    pub(super) fn next(&self) -> ReceiptId {
        ReceiptId(self.ids.next(self.now))
    }
}

/// Reads a body: one event, an array of events, or `{"events": […]}`, where one event may stand for an array of it.
///
/// A byte order mark at its start is ignored, as
/// [RFC 8259, section 8.1](https://www.rfc-editor.org/rfc/rfc8259#section-8.1) allows.
pub fn parse(body: &[u8], limits: &Limits, receipts: &Receipts) -> Result<Parsed, BatchError> {
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

/// A body as text, without its byte order mark.
pub(super) fn text(body: &[u8]) -> Result<&str, BatchError> {
    let text = std::str::from_utf8(body).map_err(|error| BatchError::NotUtf8 {
        at: error.valid_up_to(),
    })?;
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

/// Two events on two lines are no JSON text, but it is plain what is meant.
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
pub(super) fn array(
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

/// Reads one event. The pointer of an error starts at the event.
pub fn parse_event(
    raw: &RawValue,
    limits: &Limits,
    receipts: &Receipts,
) -> Result<Event, EventError> {
    let (len, max) = (raw.get().len(), limits.max_event_bytes);
    if len > max {
        return Err(EventError::too_long(len, max));
    }
    let members = Members::read(raw)?;
    let (topic, event_id) = members.identity()?;
    let event = Event {
        topic,
        event_id,
        timestamp: match members.timestamp {
            Some(raw) => timestamp(raw)?,
            None => receipts.time(),
        },
        source: match members.source {
            Some(raw) => name("source", raw)?,
            None => Source::unknown(),
        },
        payload: match members.payload {
            Some(raw) => {
                Payload::try_from(raw).map_err(|error| EventError::member("payload", error))?
            }
            None => Payload::empty(),
        },
        receipt_id: receipts.next(),
    };
    let payload = &event.payload;
    let len = (len - payload.as_str().len()).saturating_add(payload.written_out_len());
    if len > max && members.payload.is_some() {
        let detail = format!(
            "payload makes the event {len} bytes with its numbers written out; at most {max} are allowed"
        );
        return Err(EventError::too_large("/payload", detail));
    }
    Ok(event)
}

/// The members of an event as they are written. A member that is `null` is as one that is not there.
#[derive(Default)]
struct Members<'a> {
    topic: Option<&'a RawValue>,
    event_id: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    timestamp: Option<&'a RawValue>,
    source: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
}

impl<'a> Members<'a> {
    fn read(raw: &'a RawValue) -> Result<Self, EventError> {
        let found = JsonType::of(raw);
        if found != JsonType::Object {
            return Err(EventError::not_an_object(found));
        }
        let mut members = Self::default();
        let problem = json::members(raw.get(), |name, value| members.set(&name, value))
            .map_err(|error| EventError::invalid(String::new(), json::fault(&error)))?;
        match problem {
            Some(problem) => Err(problem),
            None => Ok(members.without_null()),
        }
    }

    fn without_null(self) -> Self {
        Self {
            topic: json::not_null(self.topic),
            event_id: json::not_null(self.event_id),
            id: json::not_null(self.id),
            timestamp: json::not_null(self.timestamp),
            source: json::not_null(self.source),
            payload: json::not_null(self.payload),
        }
    }

    fn set(&mut self, name: &str, value: &'a RawValue) -> ControlFlow<EventError> {
        let member = match name {
            "topic" => &mut self.topic,
            "event_id" => &mut self.event_id,
            "id" => &mut self.id,
            "timestamp" => &mut self.timestamp,
            "source" => &mut self.source,
            "payload" => &mut self.payload,
            _ => {
                let what = "an event has topic, event_id (or id), timestamp, source and payload";
                return ControlFlow::Break(EventError::unknown_member(name, what));
            }
        };
        if member.replace(value).is_some() {
            let what = "is there twice; give it once";
            return ControlFlow::Break(EventError::member(name, what));
        }
        ControlFlow::Continue(())
    }

    fn identity(&self) -> Result<(Topic, EventId), EventError> {
        let topic = match (self.topic, self.id) {
            (Some(raw), _) => name("topic", raw)?,
            (None, Some(_)) => Topic::fallback(),
            (None, None) => return Err(missing("topic")),
        };
        let event_id = match (self.event_id, self.id) {
            (Some(raw), None) => name("event_id", raw)?,
            (None, Some(raw)) => name("id", raw)?,
            (None, None) => return Err(missing("event_id")),
            (Some(_), Some(_)) => {
                let what = "stands for event_id, which is there too; give one of them";
                return Err(EventError::member("id", what));
            }
        };
        Ok((topic, event_id))
    }
}

fn missing(member: &str) -> EventError {
    let what = format!("is missing; give a string of 1 to {MAX_NAME_BYTES} bytes");
    EventError::member(member, what)
}

fn name<T>(member: &str, raw: &RawValue) -> Result<T, EventError>
where
    T: for<'t> TryFrom<&'t str, Error = NameError>,
{
    T::try_from(&string(member, raw)?).map_err(|error| EventError::member(member, error))
}

fn timestamp(raw: &RawValue) -> Result<EventTime, EventError> {
    let member = "timestamp";
    if JsonType::of(raw) == JsonType::Number {
        return Err(EventError::member(member, TimeError::of_number(raw.get())));
    }
    string(member, raw)?
        .parse()
        .map_err(|error| EventError::member(member, error))
}

/// What the string in this member says.
pub(super) fn string<'a>(member: &str, raw: &'a RawValue) -> Result<Cow<'a, str>, EventError> {
    match JsonType::of(raw) {
        JsonType::String => json::unquote(raw.get()).ok_or_else(|| {
            let what = "has half a surrogate pair; write the character itself";
            EventError::member(member, what)
        }),
        other => {
            let what = format!("must be a string, got {other}");
            Err(EventError::member(member, what))
        }
    }
}

/// A client's text, cut to what an error may repeat.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_ECHO_CHARS) {
        Some((cut, _)) => Cow::Owned(format!("{}…", &text[..cut])),
        None => Cow::Borrowed(text),
    }
}

/// A client's text in quotes, shortened and with control characters escaped.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::clock::ManualClock;

    const LIMITS: Limits = Limits {
        max_events: 3,
        max_event_bytes: 4096,
    };
    const NOW: &str = "2026-01-01T00:00:00Z";

    fn parsed(body: impl AsRef<[u8]>, limits: &Limits) -> Result<Parsed, BatchError> {
        let clock = ManualClock::new(NOW.parse::<EventTime>().unwrap().as_datetime());
        parse(
            body.as_ref(),
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

    #[test]
    fn every_member_is_read() {
        let body = r#" {"payload":{"n": 1.50}, "source":"s\u00e9", "timestamp":"2026-01-31T12:30:00.5+01:00",
            "event_id":"e", "\u0074opic":"logs/apache"} "#;
        let [event] = &events(body)[..] else {
            panic!("one event");
        };
        assert_eq!(event.key(), ("logs/apache", "e"));
        assert_eq!(event.source.as_str(), "sé");
        assert_eq!(event.timestamp.to_string(), "2026-01-31T11:30:00.500Z");
        assert_eq!(event.payload.as_str(), r#"{"n": 1.50}"#);
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let [event] = &events(r#"{"topic":"t","event_id":"e"}"#)[..] else {
            panic!("one event");
        };
        assert_eq!(event.source, Source::unknown());
        assert_eq!(event.timestamp.to_string(), NOW);
        assert_eq!(
            event.receipt_id.received_at(),
            event.timestamp.as_datetime()
        );
        assert_eq!(event.payload, Payload::empty());
    }

    #[test]
    fn id_stands_for_event_id_and_only_then_the_topic_may_be_left_out() {
        let short = events(r#"{"id":"e","payload":{}}"#);
        assert_eq!(short[0].key(), ("default", "e"));
        let with_topic = events(r#"{"id":"e","topic":"t"}"#);
        assert_eq!(with_topic[0].key(), ("t", "e"));
        assert_eq!(refused(r#"{"event_id":"e"}"#).0, "/topic");
        let (pointer, detail) = refused(r#"{"id":"e","event_id":"e"}"#);
        assert_eq!(pointer, "/id");
        assert!(detail.ends_with("give one of them"), "{detail}");
    }

    #[test]
    fn a_body_is_one_event_or_several_in_either_shape() {
        let one = r#"{"topic":"t","event_id":"e"}"#;
        for (body, shape, count) in [
            (one.to_owned(), Shape::One, 1),
            (format!("\r\n\t {one} "), Shape::One, 1),
            (format!("\u{feff}{one}"), Shape::One, 1),
            (format!("[{one}]"), Shape::Many, 1),
            (format!(" [{one} ,\n{one}]"), Shape::Many, 2),
            (
                format!(r#"{{"events":[{one},{one},{one}]}}"#),
                Shape::Many,
                3,
            ),
            (format!(r#"{{ "\u0065vents" : [{one}] }}"#), Shape::Many, 1),
            (format!(r#"{{"events": {one} }}"#), Shape::Many, 1),
        ] {
            let parsed = parsed(&body, &LIMITS).unwrap();
            assert_eq!(parsed.shape, shape, "{body}");
            assert_eq!(parsed.events.len(), count, "{body}");
            assert_eq!(parsed.invalid.count, 0, "{body}");
        }
    }

    #[test]
    fn receipts_are_of_one_time_and_in_order() {
        let events = events(r#"[{"id":"a"},{"id":"b"},{"id":"a"}]"#);
        let receipts: Vec<_> = events.iter().map(|event| event.receipt_id).collect();
        assert!(receipts.is_sorted_by(|a, b| a < b));
        assert!(
            receipts
                .iter()
                .all(|id| id.received_at() == receipts[0].received_at())
        );
    }

    #[test]
    fn a_body_that_is_no_batch_says_what_it_should_be() {
        for (body, message) in [
            (
                "",
                "the body is empty; send an event, an array of events, or {\"events\": […]}",
            ),
            (
                " \r\n\t",
                "the body is empty; send an event, an array of events, or {\"events\": […]}",
            ),
            (
                "\u{feff}",
                "the body is empty; send an event, an array of events, or {\"events\": […]}",
            ),
            ("[]", "the batch has no events; send at least one"),
            (
                r#"{"events":[]}"#,
                "the batch has no events; send at least one",
            ),
            (
                "null",
                "the body must be an event, an array of events, or {\"events\": […]}, got null",
            ),
            (
                " \"x\" ",
                "the body must be an event, an array of events, or {\"events\": […]}, got a string",
            ),
            (
                "42",
                "the body must be an event, an array of events, or {\"events\": […]}, got a number",
            ),
            (
                "true",
                "the body must be an event, an array of events, or {\"events\": […]}, got a boolean",
            ),
            (
                r#"{"events":"x"}"#,
                "events must be an array of events, or one event, got a string",
            ),
            (
                r#"{"events":null}"#,
                "events must be an array of events, or one event, got null",
            ),
            (
                r#"{"events":[],"to\npic":1}"#,
                r#"unknown member "to\npic" beside events; leave it out"#,
            ),
            (
                r#"{"events":[],"events":[]}"#,
                "events is there twice; put all events into one array",
            ),
            (
                "[1,2,3,4]",
                "the batch has 4 events; at most 3 are allowed, send smaller batches",
            ),
        ] {
            let error = parsed(body, &LIMITS).expect_err(body);
            assert_eq!(error.to_string(), message, "{body}");
        }
        assert_eq!(
            parsed(b"{\"id\":\"\xff\"}", &LIMITS),
            Err(BatchError::NotUtf8 { at: 7 })
        );
    }

    #[test]
    fn malformed_json_is_refused_with_its_place() {
        for (body, place) in [
            ("nonsense", (1, 2)),
            ("{", (1, 1)),
            ("[{\"id\":\"a\"},\n {\"id\":\"b\"]", (2, 11)),
            ("{\"id\":\"a\"", (1, 9)),
            ("{\"id\":\"a\"} x", (1, 12)),
            ("[{\"id\":\"a\"},]", (1, 13)),
            ("{\"id\":\"a\tb\"}", (1, 8)),
            ("{'id':\"a\"}", (1, 2)),
            ("{\"id\":NaN}", (1, 7)),
            ("{\"payload\":{\"a\":01}}", (1, 18)),
            ("[1,2,3,4,x]", (1, 10)),
            ("\"", (1, 1)),
        ] {
            match parsed(body, &LIMITS) {
                Err(BatchError::Malformed {
                    line,
                    column,
                    detail,
                }) => {
                    assert_eq!((line, column), place, "{body}: {detail}");
                    assert!(!detail.contains(" at line "), "{body}: {detail}");
                }
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn lines_that_say_they_are_json_are_told_which_media_type_they_are() {
        for body in [
            "{\"id\":\"a\"}\n{\"id\":\"b\"}\n",
            "{\"id\":\"a\"}{\"id\":\"b\"}",
            "\u{feff}{\"id\":\"a\"}\r\n\r\n{\"id\":",
        ] {
            let error = parsed(body, &LIMITS).expect_err(body);
            assert_eq!(error, BatchError::SeveralValues, "{body}");
            assert!(error.to_string().contains("application/x-ndjson"));
        }
        for body in [
            "{\"id\":\"a\"}\n]",
            "{\"id\":\n{\"id\"",
            "{\"id\":\"a\"},{}",
        ] {
            let error = parsed(body, &LIMITS).expect_err(body);
            assert!(matches!(error, BatchError::Malformed { .. }), "{body}");
        }
    }

    #[test]
    fn a_member_that_is_null_is_as_one_that_is_not_there() {
        let [event] = &events(
            r#"{"topic":"t","event_id":"e","id":null,"timestamp":null,"source":null,"payload":null}"#,
        )[..] else {
            panic!("one event");
        };
        assert_eq!(event.key(), ("t", "e"));
        assert_eq!(event.source, Source::unknown());
        assert_eq!(event.timestamp.to_string(), NOW);
        assert_eq!(event.payload, Payload::empty());
        let short = events(r#"{"topic":null,"event_id":null,"id":"e"}"#);
        assert_eq!(short[0].key(), ("default", "e"));
        for (body, pointer) in [
            (r#"{"topic":null,"event_id":"e"}"#, "/topic"),
            (r#"{"topic":"t","event_id":null}"#, "/event_id"),
            (r#"{"topic":"t","id":null}"#, "/event_id"),
            (r#"{"id":"e","colour":null}"#, "/colour"),
            (r#"{"id":"e","source":null,"source":"s"}"#, "/source"),
        ] {
            assert_eq!(refused(body).0, pointer, "{body}");
        }
    }

    #[test]
    fn of_many_wrong_events_all_are_counted_and_the_first_are_told() {
        let limits = Limits {
            max_events: 1000,
            ..LIMITS
        };
        let body = format!("[{}{{\"id\":\"good\"}}]", "1,".repeat(999));
        let parsed = parsed(body, &limits).unwrap();
        assert_eq!((parsed.events.len(), parsed.count()), (1, 1000));
        assert_eq!(parsed.invalid.count, 999);
        let told = parsed.invalid.first.iter().map(|(index, _)| *index);
        assert!(told.eq(0..MAX_REPORTED_ERRORS));
    }

    #[test]
    fn a_wrong_or_missing_name_is_told_by_its_member() {
        for (body, member, what) in [
            ("{}", "topic", "is missing; give a string of 1 to 255 bytes"),
            (
                r#"{"topic":"t"}"#,
                "event_id",
                "is missing; give a string of 1 to 255 bytes",
            ),
            (
                r#"{"topic":null,"event_id":"e"}"#,
                "topic",
                "is missing; give a string of 1 to 255 bytes",
            ),
            (
                r#"{"topic":["t"],"event_id":"e"}"#,
                "topic",
                "must be a string, got an array",
            ),
            (
                r#"{"topic":"","event_id":"e"}"#,
                "topic",
                "must not be empty; give 1 to 255 bytes",
            ),
            (
                r#"{"topic":"a\nb","id":"e"}"#,
                "topic",
                "has the control character U+000A; leave it out",
            ),
            (
                r#"{"topic":"t","event_id":123}"#,
                "event_id",
                "must be a string, got a number",
            ),
            (
                r#"{"topic":"t","event_id":""}"#,
                "event_id",
                "must not be empty; give 1 to 255 bytes",
            ),
            (
                r#"{"topic":"t","event_id":"\u0000"}"#,
                "event_id",
                "has the control character U+0000; leave it out",
            ),
            (
                r#"{"topic":"t","event_id":"\ud800"}"#,
                "event_id",
                "has half a surrogate pair; write the character itself",
            ),
            (r#"{"id":false}"#, "id", "must be a string, got a boolean"),
            (
                r#"{"id":"\ude00x"}"#,
                "id",
                "has half a surrogate pair; write the character itself",
            ),
            (
                r#"{"id":"e","source":{}}"#,
                "source",
                "must be a string, got an object",
            ),
            (
                r#"{"id":"e","source":""}"#,
                "source",
                "must not be empty; give 1 to 255 bytes",
            ),
            (
                &format!(r#"{{"id":"{}"}}"#, "é".repeat(128)),
                "id",
                "has 256 bytes; at most 255 are allowed",
            ),
        ] {
            let expected = (format!("/{member}"), format!("{member} {what}"));
            assert_eq!(refused(body), expected, "{body}");
        }
    }

    #[test]
    fn a_wrong_timestamp_or_payload_is_told_with_what_would_be_right() {
        for (member, value, what) in [
            (
                "timestamp",
                "1769862600123",
                "must be an ISO 8601 date and time, not milliseconds since 1970; send 2026-01-31T12:30:00.123Z",
            ),
            (
                "timestamp",
                r#""1769862600""#,
                "must be an ISO 8601 date and time, not seconds since 1970; send 2026-01-31T12:30:00Z",
            ),
            (
                "timestamp",
                "5",
                "must be an ISO 8601 date and time, such as 2026-01-31T12:30:00Z or 2026-01-31T14:30:00.5+02:00",
            ),
            ("timestamp", "true", "must be a string, got a boolean"),
            (
                "timestamp",
                r#""yesterday""#,
                "must be an ISO 8601 date and time, such as 2026-01-31T12:30:00Z or 2026-01-31T14:30:00.5+02:00",
            ),
            (
                "timestamp",
                r#""9999-12-31T23:59:60Z""#,
                "must be within the years 0001 to 9999 in UTC",
            ),
            ("payload", r#""x""#, "must be a JSON object, got a string"),
            (
                "payload",
                r#"{"a":"\u0000"}"#,
                "has the character U+0000 at byte 6; leave it out",
            ),
            (
                "payload",
                r#"{"a":1,"a":2}"#,
                "has a member at byte 7 whose name its object has already; give each name once",
            ),
        ] {
            let body = format!(r#"{{"id":"e","{member}":{value}}}"#);
            let expected = (format!("/{member}"), format!("{member} {what}"));
            assert_eq!(refused(&body), expected, "{body}");
        }
    }

    #[test]
    fn what_is_no_member_of_an_event_or_is_there_twice_is_told_by_name() {
        let unknown = |name: &str| {
            format!(
                "unknown member {name}; an event has topic, event_id (or id), timestamp, source and payload"
            )
        };
        for (body, pointer, detail) in [
            (
                r#"{"id":"e","event-id":"e"}"#,
                "/event-id",
                unknown(r#""event-id""#),
            ),
            (r#"{"id":"e","x":1,"y":1,"id":1}"#, "/x", unknown(r#""x""#)),
            (r#"{"id":"e","":1}"#, "/", unknown(r#""""#)),
            (
                r#"{"id":"e","a/b~\"\n":1}"#,
                "/a~1b~0\"\n",
                unknown(r#""a/b~\"\n""#),
            ),
            (
                r#"{"id":"e","\ud800":1}"#,
                r"/\ud800",
                unknown(r#""\\ud800""#),
            ),
            (
                r#"{"id":"e","id":"e"}"#,
                "/id",
                "id is there twice; give it once".to_owned(),
            ),
            (
                r#"{"id":"e","\u0069d":"f"}"#,
                "/id",
                "id is there twice; give it once".to_owned(),
            ),
            (
                "[7]",
                "/0",
                "an event must be a JSON object, got a number".to_owned(),
            ),
        ] {
            assert_eq!(refused(body), (pointer.to_owned(), detail), "{body}");
        }
    }

    #[test]
    fn of_several_errors_in_an_event_the_first_member_is_told() {
        let order = ["topic", "event_id", "timestamp", "source", "payload"];
        for first in 0..order.len() {
            let wrong = order[first..]
                .iter()
                .map(|&name| (name.to_owned(), json!(1)));
            let mut event = json!({"topic": "t", "event_id": "e"});
            event.as_object_mut().unwrap().extend(wrong);
            let (pointer, _) = refused(&event.to_string());
            assert_eq!(pointer, format!("/{}", order[first]));
        }
        let (pointer, _) = refused(r#"{"topic":1,"extra":1}"#);
        assert_eq!(pointer, "/extra");
    }

    #[test]
    fn a_wrong_event_does_not_hide_the_others_and_is_told_by_its_place() {
        for (body, pointers) in [
            (r#"[{"id":"a"},{"id":1},3]"#, ["", "/1/id", "/2"]),
            (
                r#"{"events":[{"id":"a","payload":[]},{"id":"b"},{"events":[]}]}"#,
                ["/events/0/payload", "", "/events/2/events"],
            ),
        ] {
            let parsed = parsed(body, &LIMITS).unwrap();
            let found: Vec<_> = parsed
                .in_order()
                .into_iter()
                .map(|event| event.map_or_else(|error| error.pointer, |_| String::new()))
                .collect();
            assert_eq!(found, pointers, "{body}");
        }
        assert_eq!(refused(r#"{"events":{"id":1}}"#).0, "/events/id");
    }

    #[test]
    fn a_long_unknown_name_is_not_repeated_in_full() {
        let name = "é".repeat(1000);
        let (pointer, detail) = refused(&format!(r#"{{"id":"e","{name}":1}}"#));
        let shown = format!("{}…", "é".repeat(MAX_ECHO_CHARS));
        assert_eq!(pointer, format!("/{shown}"));
        assert!(detail.starts_with(&format!("unknown member \"{shown}\";")));
    }

    #[test]
    fn an_event_over_the_size_limit_is_too_large_and_one_at_it_is_not() {
        let event = |len: usize| {
            let frame = r#"{"id":"e","payload":{"a":""}}"#.len();
            format!(
                r#"{{"id":"e","payload":{{"a":"{}"}}}}"#,
                "x".repeat(len - frame)
            )
        };
        let max = LIMITS.max_event_bytes;
        let body = format!("[{},  {}  ]", event(max), event(max + 1));
        let parsed = parsed(body, &LIMITS).unwrap();
        let [Ok(_), Err(error)] = &parsed.in_order()[..] else {
            panic!("an event and an error");
        };
        let detail = "the event has 4097 bytes; at most 4096 are allowed";
        assert_eq!((&*error.pointer, &*error.detail), ("/1", detail));
        assert_eq!(error.kind, EventErrorKind::TooLarge);
    }

    #[test]
    fn a_number_that_would_grow_in_the_database_counts_at_full_length() {
        let event = |exponent: usize| format!(r#"{{"id":"e","payload":{{"a":1e{exponent}}}}}"#);
        let frame = r#"{"id":"e","payload":{"a":}}"#.len();
        let most = LIMITS.max_event_bytes - frame - 1;
        assert_eq!(events(event(most)).len(), 1);
        let parsed = parsed(event(most + 1), &LIMITS).unwrap();
        let [Err(error)] = &parsed.in_order()[..] else {
            panic!("{most}");
        };
        assert_eq!(error.pointer, "/payload");
        assert_eq!(error.kind, EventErrorKind::TooLarge);
        assert!(error.detail.contains("4097 bytes"), "{}", error.detail);
    }

    #[test]
    fn a_megabyte_of_brackets_is_refused_without_overflowing_the_stack() {
        let limits = Limits {
            max_event_bytes: usize::MAX,
            ..LIMITS
        };
        let (open, close) = ("[".repeat(1 << 20), "]".repeat(1 << 20));
        let objects = r#"{"a":"#.repeat(1 << 18);
        for unclosed in [
            &open,
            &objects,
            &format!(r#"{{"id":"e","payload":{objects}"#),
        ] {
            let error = parsed(unclosed, &limits).unwrap_err();
            assert!(matches!(error, BatchError::Malformed { .. }), "{error}");
        }
        for closed in [
            format!("{open}{close}"),
            format!(r#"{{"events":{open}{close}}}"#),
            format!(r#"{{"id":"e","x":{open}{close}}}"#),
            format!(r#"{{"id":{open}{close}}}"#),
            format!(r#"{{"id":"e","payload":{{"a":{open}{close}}}}}"#),
        ] {
            assert_eq!(parsed(&closed, &limits).unwrap().invalid.count, 1);
        }
    }

    /// A JSON string, written plainly or with every character escaped.
    fn written(text: &str, escaped: bool) -> String {
        if escaped {
            let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
            format!("\"{}\"", units.collect::<String>())
        } else {
            json!(text).to_string()
        }
    }

    fn a_name() -> impl Strategy<Value = String> {
        let any = "\\PC{1,60}|[a-z\"\\\\/{}é🦀]{1,40}|[x-z]{255}";
        any.prop_filter("at most 255 bytes", |name| name.len() <= MAX_NAME_BYTES)
    }

    fn a_payload() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(|value| json!(value)),
            any::<i64>().prop_map(|value| json!(value)),
            (-1e9..1e9).prop_map(|value: f64| json!(value)),
            "\\PC{0,20}|[\"\\\\\n🦀]{0,5}".prop_map(|value| json!(value)),
        ];
        let inner = leaf.prop_recursive(5, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(|value| json!(value)),
                prop::collection::btree_map("\\PC{0,8}", inner, 0..5)
                    .prop_map(|value| json!(value)),
            ]
        });
        let object = prop::collection::btree_map("\\PC{0,8}", inner, 0..5);
        (object, any::<bool>()).prop_map(|(object, pretty)| {
            if pretty {
                serde_json::to_string_pretty(&object).unwrap()
            } else {
                serde_json::to_string(&object).unwrap()
            }
        })
    }

    proptest! {
        #[test]
        fn a_valid_event_comes_out_as_it_was_sent(
            topic in a_name(),
            event_id in a_name(),
            source in a_name(),
            payload in a_payload(),
            escaped in any::<bool>(),
            short in any::<bool>(),
        ) {
            let event = format!(
                r#"{{"payload": {payload},"{}":{} ,"source":{},"topic":{}}}"#,
                if short { "id" } else { "event_id" },
                written(&event_id, escaped),
                written(&source, escaped),
                written(&topic, escaped),
            );
            let limits = Limits { max_event_bytes: event.len(), ..LIMITS };
            for body in [event.clone(), format!("[{event}]"), format!("{{\"events\":[{event}]}}")] {
                let parsed = parsed(&body, &limits).unwrap();
                let [event] = &parsed.events[..] else {
                    return Err(TestCaseError::fail(format!("{body}: {parsed:?}")));
                };
                prop_assert_eq!(event.key(), (&*topic, &*event_id));
                prop_assert_eq!(event.source.as_str(), &source);
                prop_assert_eq!(event.payload.as_str(), &payload);
            }
        }

        #[test]
        fn bytes_that_are_not_json_are_no_batch(
            body in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let json = serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
            prop_assert!(json || parsed(&body, &LIMITS).is_err());
        }

        #[test]
        fn a_damaged_body_is_judged_without_panic(
            payload in a_payload(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let body = format!(
                r#"[{{"topic":"t","event_id":"\u00e9","timestamp":"{NOW}","payload":{payload}}}]"#
            );
            let mut body = body.into_bytes();
            for (at, byte) in damage {
                let at = at.index(body.len());
                body[at] = byte;
            }
            // serde_json knows no number beyond f64; else it refuses nothing that is fine here.
            if let Ok(parsed) = parsed(&body, &LIMITS)
                && parsed.invalid.count == 0
                && let Err(error) = serde_json::from_slice::<serde_json::Value>(&body)
            {
                prop_assert!(error.to_string().starts_with("number out of range"), "{}", error);
            }
        }
    }
}
