//! What tells one run from another.

use chrono::{DateTime, Utc};

/// What a run takes from outside. With the same seed, two runs send the same events, but for their ids and times.
#[derive(Debug, Clone)]
pub(crate) struct RunId {
    /// What the events and their order are made from.
    pub(crate) seed: u64,
    /// The prefix of all ids; no other run has it.
    pub(crate) run: String,
    /// The timestamp of the first event.
    pub(crate) start: DateTime<Utc>,
}

impl RunId {
    /// A new run. The seed is random unless it is given.
    pub(crate) fn new(seed: Option<u64>) -> Self {
        Self {
            seed: seed.unwrap_or_else(|| u64::from(rand::random::<u32>())),
            run: format!("{:08x}", rand::random::<u32>()),
            start: Utc::now(),
        }
    }
}
