//! Places in the input. The resume file holds one.

use serde::{Deserialize, Serialize};

/// How the events are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::publish) enum Format {
    /// Nothing was read yet.
    Unknown,
    /// One event per line.
    Lines,
    /// Events that span several lines each.
    Objects,
    /// The elements of an array that is still open.
    Array,
    /// The array has ended.
    Ended,
    /// The elements of an array that is the member `events` of an object; both are still open.
    EventsArray,
    /// That array has ended, and the object is still open.
    EventsEnded,
}

impl Format {
    /// What follows the end of the array.
    pub(super) const fn after_array(self) -> Self {
        match self {
            Self::EventsArray => Self::EventsEnded,
            _ => Self::Ended,
        }
    }
}

/// A place between two events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::publish) struct Position {
    /// How many bytes are before it.
    pub(in crate::publish) offset: u64,
    /// How many line breaks are before it.
    pub(in crate::publish) lines: u64,
    /// How the events around it are written.
    pub(in crate::publish) format: Format,
}

impl Position {
    /// The beginning of the input.
    pub(in crate::publish) const START: Self = Self {
        offset: 0,
        lines: 0,
        format: Format::Unknown,
    };
}
