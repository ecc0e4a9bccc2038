//! The answer of `GET /stats`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The counters. In every answer, `received` is the sum of `unique_processed`, `duplicate_dropped` and `dead_lettered`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// How many deliveries are counted.
    pub received: i64,
    /// How many events are stored.
    pub unique_processed: i64,
    /// How many deliveries repeated a stored event.
    pub duplicate_dropped: i64,
    /// How many deliveries could not be stored.
    pub dead_lettered: i64,
    /// How many events are stored in each topic; only topics that the key may read are listed.
    pub topics: BTreeMap<String, i64>,
    /// How much waits to be counted.
    pub queue: QueueDepth,
    /// How long the server has been running, in seconds.
    pub uptime: f64,
    /// When the counters began to count, as in `2026-01-01T12:00:00Z`.
    pub uptime_start: String,
}

/// How many events wait in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueDepth {
    /// Events that no worker has claimed.
    pub pending: u64,
    /// Events that a worker has claimed and not yet settled.
    pub processing: u64,
}

impl Stats {
    /// Whether the queue is empty. If it is, every event that was accepted before this answer is counted in it.
    #[must_use]
    pub const fn is_drained(&self) -> bool {
        self.queue.pending == 0 && self.queue.processing == 0
    }
}
