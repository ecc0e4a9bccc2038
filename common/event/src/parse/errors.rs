//! What is wrong with a body or with one of its events, and what would be right.

use std::{borrow::Cow, fmt::Display};

#[cfg(doc)]
use super::Limits;
use crate::json::{self, JsonType};

/// Most characters of a client's member name that an error repeats.
pub const MAX_ECHO_CHARS: usize = 64;

/// Why a body as a whole is not a batch of events.
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
    /// It is JSON, but not an array of CloudEvents.
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
    /// It is not a valid event.
    Invalid,
    /// It is over [`Limits::max_event_bytes`].
    TooLarge,
}

impl EventError {
    pub(crate) fn invalid(pointer: String, detail: String) -> Self {
        Self {
            pointer,
            detail,
            kind: EventErrorKind::Invalid,
        }
    }

    pub(crate) fn too_large(pointer: &str, detail: String) -> Self {
        Self {
            pointer: pointer.to_owned(),
            detail,
            kind: EventErrorKind::TooLarge,
        }
    }

    /// Its text has `len` bytes, and `max` are allowed.
    pub(crate) fn too_long(len: usize, max: usize) -> Self {
        let detail = format!("the event has {len} bytes; at most {max} are allowed");
        Self::too_large("", detail)
    }

    /// Something is wrong with this member of an event.
    pub(crate) fn member(name: &str, what: impl Display) -> Self {
        Self::invalid(format!("/{name}"), format!("{name} {what}"))
    }

    /// An event has no member of this name; `what` says which ones it has.
    pub(crate) fn unknown_member(name: &str, what: &str) -> Self {
        let escaped = shortened(name).replace('~', "~0").replace('/', "~1");
        let detail = format!("unknown member {}; {what}", quoted(name));
        Self::invalid(format!("/{escaped}"), detail)
    }

    /// What this JSON value is, where an event should be.
    pub(crate) fn not_an_object(found: JsonType) -> Self {
        let detail = format!("an event must be a JSON object, got {found}");
        Self::invalid(String::new(), detail)
    }

    /// The same error, of an event that is at `place` in the body.
    pub(crate) fn within(self, place: impl Display) -> Self {
        Self {
            pointer: format!("{place}{}", self.pointer),
            ..self
        }
    }
}

/// A client's text, cut to what an error may repeat.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
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
