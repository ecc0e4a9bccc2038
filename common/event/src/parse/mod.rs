//! From a request body to events, or to errors that say what would be right.
//!
//! A body whose events are all valid is read in one pass. Any other is split into the texts of its events, and each is
//! judged alone, so that one wrong event does not hide the others.
//!
//! - `scan`: the one pass
//! - `body`: a body as a list of events; `event`: one event
//! - `limits`, `receipts`: what a body may hold, and what each of its events gets
//! - `parsed`: what a body holds; `errors`: what is wrong with it, or with one of its events

mod body;
mod errors;
mod event;
mod limits;
mod parsed;
mod receipts;
pub(crate) mod scan;
#[cfg(test)]
mod tests;

pub(crate) use body::{array, text};
pub(crate) use errors::shortened;
pub(crate) use event::string;

pub use body::{explain, parse};
pub use errors::{BatchError, EventError, EventErrorKind, MAX_ECHO_CHARS, quoted};
pub use event::parse_event;
pub use limits::Limits;
pub use parsed::{Invalid, MAX_REPORTED_ERRORS, Parsed, Shape};
pub use receipts::Receipts;
