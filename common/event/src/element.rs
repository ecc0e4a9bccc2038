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

impl FromIterator<Vec<u8>> for Opened {
    fn from_iter<T: IntoIterator<Item = Vec<u8>>>(elements: T) -> Self {
        let mut opened = Self::default();
        for element in elements {
            opened.add(element);
        }
        opened
    }
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
    Opened::from_iter([element])
}

/// An element that holds one event, to be put aside: an envelope, which people can read, or a frame if the payload is not JSON.
#[must_use]
pub fn alone(event: &Event) -> Vec<u8> {
    envelope::encode(event).unwrap_or_else(|_| {
        let frames = frame::write([event]);
        frames.into_iter().flat_map(|frame| frame.element).collect()
    })
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
