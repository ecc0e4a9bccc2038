//! What a body may hold.

use super::BatchError;
#[cfg(doc)]
use crate::Payload;

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
    pub(crate) fn check_count(&self, count: usize) -> Result<(), BatchError> {
        let max = self.max_events;
        if count > max {
            Err(BatchError::TooMany { count, max })
        } else {
            Ok(())
        }
    }
}
