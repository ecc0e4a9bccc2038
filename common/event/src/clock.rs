//! The seam through which time and identifiers come in, so that tests can hold both still.

use std::sync::Mutex;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use uuid::{Builder, Uuid};

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

/// Makes identifiers that sort by the time they were made: UUID version 7 with a counter of 42 bits, which begins anew at
/// random each millisecond, and 32 random bits
/// ([RFC 9562, section 6.2](https://www.rfc-editor.org/rfc/rfc9562#section-6.2), method 1).
#[derive(Debug, Default)]
pub struct Ids(Mutex<Last>);

/// The last identifier.
#[derive(Debug, Default)]
struct Last {
    /// Since 1970.
    millis: u64,
    counter: u64,
}

/// Bits of the counter.
const COUNTER_BITS: u32 = 42;
/// Bits of the counter that are random when it begins. The highest bit leaves it room.
const SEED_BITS: u32 = COUNTER_BITS - 1;

impl Ids {
    /// A new identifier for `at`. Identifiers made one after the other by the same `Ids` increase.
    #[must_use]
    pub fn next(&self, at: DateTime<Utc>) -> Uuid {
        // A time before 1970 has no UUID v7; such a clock is wrong anyway, and the counter keeps order.
        let now = u64::try_from(at.timestamp_millis()).unwrap_or(0);
        let (millis, counter) = lock(&self.0).next(now);
        let random: u32 = rand::random();
        // The highest bits of the ten bytes that are not time: 12 beside the version, 6 beside the variant, and 24.
        let [_, _, a @ ..] = (counter >> 30 & 0xFFF).to_be_bytes();
        let b = (counter & 0x3FFF_FFFF).to_be_bytes();
        let [r0, r1, r2, r3] = random.to_be_bytes();
        let rest = [a[4], a[5], b[4], b[5], b[6], b[7], r0, r1, r2, r3];
        Builder::from_unix_timestamp_millis(millis, &rest).into_uuid()
    }
}

impl Last {
    fn next(&mut self, now: u64) -> (u64, u64) {
        self.counter += 1;
        let overflows = self.counter >> COUNTER_BITS > 0;
        if now > self.millis || overflows {
            self.millis = now.max(self.millis + u64::from(overflows));
            self.counter = rand::random::<u64>() >> (u64::BITS - SEED_BITS);
        }
        (self.millis, self.counter)
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
    use uuid::Variant;

    use super::*;

    #[test]
    fn ids_of_one_instant_increase() {
        let (clock, ids) = (ManualClock::new(Utc::now()), Ids::default());
        let made: Vec<_> = (0..10_000).map(|_| ids.next(clock.now())).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn an_id_tells_its_time_and_is_one_of_version_7() {
        let at = DateTime::from_timestamp_millis(1_767_225_600_123).unwrap();
        let id = Ids::default().next(at);
        assert_eq!(
            (id.get_version_num(), id.get_variant()),
            (7, Variant::RFC4122)
        );
        assert_eq!(crate::ReceiptId(id).received_at(), at);
    }

    #[test]
    fn a_counter_that_is_used_up_begins_anew_a_millisecond_later() {
        let mut last = Last {
            millis: 7,
            counter: (1 << COUNTER_BITS) - 2,
        };
        assert_eq!(last.next(7), (7, (1 << COUNTER_BITS) - 1));
        let (millis, counter) = last.next(7);
        assert_eq!((millis, counter >> SEED_BITS), (8, 0));
        assert_eq!(
            last.next(3),
            (8, counter + 1),
            "a clock that is set back changes nothing"
        );
    }

    #[test]
    fn the_whole_counter_is_in_an_id() {
        let ids = Ids::default();
        let at = Utc::now();
        let first = ids.next(at);
        for counter in [1 << 41, 0x3FF_FFFF_FFF0, 0x2AA_AAAA_AAAA] {
            lock(&ids.0).counter = counter - 1;
            let bits = ids.next(at).as_u128();
            let read = (bits >> 64 & 0xFFF) << 30 | bits >> 32 & 0x3FFF_FFFF;
            assert_eq!(read, u128::from(counter));
            assert_eq!(bits >> 80, first.as_u128() >> 80);
        }
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        assert_eq!(clock.now(), clock.now());
        clock.advance(TimeDelta::milliseconds(1500));
        assert_eq!(clock.now().timestamp_millis(), 1500);
    }
}
