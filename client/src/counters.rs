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
    /// How many events are stored in each topic, of the topics that were asked for. Only topics that the key may read are
    /// listed.
    pub topics: BTreeMap<String, i64>,
    /// How many topics there are that the key may read. `None`: the server is older than this counter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics_total: Option<i64>,
    /// How much waits to be counted.
    pub queue: QueueDepth,
    /// How long the server has been running, in seconds.
    pub uptime: f64,
    /// When the counters began to count, as in `2026-01-01T12:00:00Z`.
    pub uptime_start: String,
}

/// How many events wait in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct QueueDepth {
    /// Events that no worker has claimed.
    pub pending: u64,
    /// Events that a worker has claimed and not yet settled.
    pub processing: u64,
    /// How long the event that waits longest has waited, in seconds. `None`: no event waits, or the server does not know.
    #[serde(default)]
    pub oldest_age_seconds: Option<f64>,
    /// How many events may wait. `None`: the server is older than this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// Which topics are listed with the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListedTopics {
    /// The 1000 with the most events.
    #[default]
    Top,
    /// All of them.
    All,
}

impl ListedTopics {
    /// The query of the request. What is the default is not said, because older servers do not know the parameter.
    pub(crate) const fn query(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Top => &[],
            Self::All => &[("topics", "all")],
        }
    }
}

impl Stats {
    /// Whether the queue is empty. If it is, every event that was accepted before this answer is counted in it.
    #[must_use]
    pub const fn is_drained(&self) -> bool {
        self.queue.pending == 0 && self.queue.processing == 0
    }
}
