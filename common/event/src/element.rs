//! What an element of the queue holds: a [`frame`], an [`envelope`], or what a stranger has pushed.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::{Event, Malformed, envelope, frame};

/// From so many bytes of an element, [`accepted_at`] can tell.
pub const HEAD_BYTES: usize = if frame::MAX_HEAD_BYTES > envelope::HEAD_BYTES {
    frame::MAX_HEAD_BYTES
} else {
    envelope::HEAD_BYTES
};

/// What elements hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// The events, in order.
    pub events: Vec<Event>,
    /// What is not an event.
    pub malformed: Vec<Malformed>,
}

impl Opened {
    /// Adds what an element holds. One that cannot be read is malformed as a whole.
    pub fn add(&mut self, element: Vec<u8>) {
        if frame::is_frame(&element) {
            let element = Bytes::from(element);
            let read = frame::read(&element, &mut self.events, &mut self.malformed);
            if let Err(reason) = read {
                let raw = element.into();
                self.malformed.push(Malformed { raw, reason });
            }
        } else {
            match envelope::decode(element) {
                Ok(event) => self.events.push(event),
                Err(malformed) => self.malformed.push(malformed),
            }
        }
    }
}

/// What one element holds.
#[must_use]
pub fn open(element: Vec<u8>) -> Opened {
    let mut opened = Opened::default();
    opened.add(element);
    opened
}

/// When the first event of an element was accepted, from the beginning of the element. `None`: no publisher wrote it.
#[must_use]
pub fn accepted_at(element: &[u8]) -> Option<DateTime<Utc>> {
    if frame::is_frame(element) {
        let (head, _) = frame::head(element).ok()?;
        Some(head.accepted)
    } else {
        envelope::received_at(element)
    }
}
