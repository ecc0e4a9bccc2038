//! What a body holds.

use super::{BatchError, EventError, EventErrorKind};
use crate::Event;

/// Most errors of one body that are kept; all are counted.
pub const MAX_REPORTED_ERRORS: usize = 100;
/// How the client wrote its events; the answer takes the same shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One event alone.
    One,
    /// A list of events, even if of one.
    Many,
}

/// What a body holds: at least one event, valid or not, except in
/// [`cloudevents::batch`](crate::cloudevents::batch()).
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
    pub(crate) const fn new(shape: Shape) -> Self {
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
    pub(crate) fn one(event: Result<Event, EventError>) -> Self {
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
    pub(crate) fn add(&mut self, event: Result<Event, EventError>) {
        let index = self.count();
        match event {
            Ok(event) => self.events.push(event),
            Err(error) => self.invalid.add(index, error),
        }
    }

    /// The same, if there is an event.
    pub(crate) fn not_empty(self) -> Result<Self, BatchError> {
        if self.count() == 0 {
            Err(BatchError::NoEvents)
        } else {
            Ok(self)
        }
    }

    /// The events and errors, in the order of the body, which must have no more errors than are kept.
    #[cfg(test)]
    pub(crate) fn in_order(self) -> Vec<Result<Event, EventError>> {
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
