//! The counters as they were: samples at fixed moments.
//!
//! A sample is taken every [`EVERY`], at a moment that is a multiple of it since 1970, by whichever program comes first.
//! After [`FINE_FOR`] only those at multiples of [`COARSE`] are kept, and after [`KEPT_FOR`] none.

use std::time::Duration;

use chrono::{DateTime, Utc};
use event::EventTime;
use serde::Serialize;
use utoipa::ToSchema;

/// How often a sample is taken.
pub const EVERY: Duration = Duration::from_secs(10);
/// How far apart older samples are.
pub const COARSE: Duration = Duration::from_mins(5);
/// How long every sample is kept.
pub const FINE_FOR: Duration = Duration::from_hours(48);
/// How long those at multiples of [`COARSE`] are kept.
pub const KEPT_FOR: Duration = Duration::from_hours(24 * 90);
/// Most samples that are read at once.
pub const MAX_SAMPLES: u16 = 2_000;

/// The counters at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Sample {
    /// When.
    pub at: EventTime,
    /// `unique_processed + duplicate_dropped + dead_lettered`, always.
    #[schema(minimum = 0)]
    pub received: i64,
    /// Events stored.
    #[schema(minimum = 0)]
    pub unique_processed: i64,
    /// Deliveries of events that were stored before.
    #[schema(minimum = 0)]
    pub duplicate_dropped: i64,
    /// Deliveries that could not be stored.
    #[schema(minimum = 0)]
    pub dead_lettered: i64,
}

/// Which samples to read: of each step the first one. At most [`MAX_SAMPLES`] are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Those at this moment or later.
    pub since: DateTime<Utc>,
    /// Those before this one.
    pub until: DateTime<Utc>,
    /// Steps begin at multiples of this many seconds since 1970. At least 1.
    pub step_seconds: u32,
}

/// The last moment for a sample, by this time.
#[must_use]
pub fn moment(now: DateTime<Utc>) -> DateTime<Utc> {
    let every = i64::try_from(EVERY.as_secs()).unwrap_or(i64::MAX);
    let seconds = now.timestamp().div_euclid(every) * every;
    DateTime::from_timestamp(seconds, 0).unwrap_or(now)
}

/// What is left out of the history at a time.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) struct Thinned {
    /// Of what is older than this, only multiples of [`COARSE`] are kept.
    pub(crate) coarse_before: DateTime<Utc>,
    /// What is older than this is dropped.
    pub(crate) dropped_before: DateTime<Utc>,
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl Thinned {
    pub(crate) fn at(now: DateTime<Utc>) -> Self {
        Self {
            coarse_before: now - FINE_FOR,
            dropped_before: now - KEPT_FOR,
        }
    }

    /// [`COARSE`] in seconds.
    pub(crate) fn coarse_seconds() -> i64 {
        i64::try_from(COARSE.as_secs()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_last_multiple_of_ten_seconds() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        assert_eq!(
            moment(at("2026-01-01T00:00:19.999Z")),
            at("2026-01-01T00:00:10Z")
        );
        assert_eq!(
            moment(at("2026-01-01T00:00:20Z")),
            at("2026-01-01T00:00:20Z")
        );
        assert_eq!(
            moment(at("1969-12-31T23:59:55Z")),
            at("1969-12-31T23:59:50Z")
        );
    }
}
