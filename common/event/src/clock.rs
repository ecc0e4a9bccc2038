//! The seam through which time and identifiers come in, so that tests can hold both still.

use std::sync::Mutex;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use uuid::{ContextV7, Timestamp, Uuid};

/// Tells the wall-clock time.
pub trait Clock: Send + Sync {
    /// The current time, in whole milliseconds (the resolution of a UUID v7).
    fn now(&self) -> DateTime<Utc>;
}

/// The clock of the machine.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        to_millis(Utc::now())
    }
}

/// A clock that stands still until it is moved, for tests.
#[derive(Debug)]
pub struct ManualClock(Mutex<DateTime<Utc>>);

impl ManualClock {
    /// A clock that shows `start`, cut to whole milliseconds.
    #[must_use]
    pub fn new(start: DateTime<Utc>) -> Self {
        Self(Mutex::new(to_millis(start)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: TimeDelta) {
        let mut now = lock(&self.0);
        *now = to_millis(*now + by);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *lock(&self.0)
    }
}

/// Makes identifiers that sort by the time they were made: UUID version 7 with a counter
/// ([RFC 9562, section 6.2](https://www.rfc-editor.org/rfc/rfc9562#section-6.2), method 1).
#[derive(Debug, Default)]
pub struct Ids(Mutex<ContextV7>);

impl Ids {
    /// A new identifier for `at`. Identifiers made one after the other by the same `Ids` increase.
    #[must_use]
    pub fn next(&self, at: DateTime<Utc>) -> Uuid {
        // A time before 1970 has no UUID v7; such a clock is wrong anyway, and the counter keeps order.
        let seconds = u64::try_from(at.timestamp()).unwrap_or(0);
        let context = lock(&self.0);
        Uuid::new_v7(Timestamp::from_unix(
            &*context,
            seconds,
            at.timestamp_subsec_nanos(),
        ))
    }
}

fn to_millis(time: DateTime<Utc>) -> DateTime<Utc> {
    time.duration_trunc(TimeDelta::milliseconds(1))
        .unwrap_or(time)
}

/// What these locks guard is valid after every single step, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_instant_increase() {
        let (clock, ids) = (ManualClock::new(Utc::now()), Ids::default());
        let made: Vec<_> = (0..10_000).map(|_| ids.next(clock.now())).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        assert_eq!(clock.now(), clock.now());
        clock.advance(TimeDelta::milliseconds(1500));
        assert_eq!(clock.now().timestamp_millis(), 1500);
    }
}
