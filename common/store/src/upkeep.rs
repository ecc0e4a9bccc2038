//! Keeping the ledger fast as it grows, and forgetting what is old enough.
//!
//! *An event is stored once for as long as one with its identity is kept, and at least for the retention after it was processed;
//! after that a repetition is new.* Counters never fall: what was forgotten stays counted.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// How a ledger is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// A bucket is closed once it has so many events. Ledgers without buckets pass it over.
    pub bucket_events: u64,
    /// A bucket that has any event is closed once it has been open for so long. `None`: however long it is open.
    pub bucket_age: Option<Duration>,
    /// What was processed longer ago than this may be forgotten. `None`: nothing may.
    pub retention: Option<Duration>,
}

impl Rules {
    /// Nothing is ever due by these. A step makes or loads filters all the same.
    pub const NOTHING_DUE: Self = Self {
        bucket_events: u64::MAX,
        bucket_age: None,
        retention: None,
    };
}

/// One step of keeping a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A bucket was closed, and the next one opened.
    Closed {
        /// Which.
        bucket: i32,
        /// How many events are in it.
        events: i64,
    },
    /// A closed bucket has got its filter.
    Filtered {
        /// Which.
        bucket: i32,
        /// How many identities are in it.
        identities: usize,
        /// How large the filter is.
        bytes: usize,
    },
    /// A bucket was dropped.
    Dropped {
        /// Which.
        bucket: i32,
        /// How many events were in it.
        events: i64,
    },
    /// Some events were removed, where there are no buckets.
    Removed {
        /// How many.
        events: u64,
    },
}

/// Events that are old enough to be forgotten together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outdated {
    /// The bucket that they are in, where there are buckets.
    pub bucket: Option<i32>,
    /// When the last one may have been processed.
    pub until: DateTime<Utc>,
    /// How many they are.
    pub events: i64,
    /// How much room they take on the disk, if that is known.
    pub bytes: Option<i64>,
}

/// How the buckets of a ledger are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterUse {
    /// Filters in memory: one for each closed bucket, unless they were too large.
    pub filters: usize,
    /// Bytes that they take.
    pub bytes: usize,
    /// Events that a closed bucket was asked for.
    pub looked_up: u64,
    /// Those that were found there.
    pub found: u64,
}
