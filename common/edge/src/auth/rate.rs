//! How much a key may ask for: so many requests and so many events a second, [`WINDOW`] seconds' worth at once.
//!
//! Counted by this process alone: behind a balancer, a key has the rate once for each process.

use std::{
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Who was silent for so many seconds may spend all of them at once.
pub const WINDOW: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// Highest rate of anything; more is no limit.
const MAX_PER_SECOND: u32 = 10_000_000;

/// So many a second, on average.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(NonZeroU32);

/// A number that is not a rate.
#[derive(Debug, thiserror::Error)]
#[error("a rate must be a number from 1 to {MAX_PER_SECOND} a second; leave it out for no limit")]
pub struct RateError;

impl TryFrom<u32> for Rate {
    type Error = RateError;

    fn try_from(per_second: u32) -> Result<Self, RateError> {
        NonZeroU32::new(per_second)
            .filter(|rate| rate.get() <= MAX_PER_SECOND)
            .map(Self)
            .ok_or(RateError)
    }
}

impl Rate {
    /// So many a second.
    #[must_use]
    pub const fn per_second(self) -> u32 {
        self.0.get()
    }

    /// What may be spent at once: [`WINDOW`]'s worth.
    #[must_use]
    pub fn burst(self) -> NonZeroU32 {
        self.0.saturating_mul(WINDOW)
    }
}

/// How much is left after something was spent, or could not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// It was spent; so much more may be spent at once.
    Left(u32),
    /// It was not spent; it may be after this time, if nobody else spends.
    Wait(Duration),
    /// It was not spent and never will be: so much is possible at once.
    TooMuch(u32),
}

/// Counts what a key spends of a rate. Time is that of the machine, and it never goes back.
pub(crate) struct Meter {
    rate: Rate,
    bucket: Mutex<Bucket>,
}

impl Meter {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            bucket: Mutex::new(Bucket::full(rate, Instant::now())),
        }
    }

    pub(crate) const fn rate(&self) -> Rate {
        self.rate
    }

    /// Whether `amount` could be spent now. Spends nothing.
    pub(crate) fn check(&self, amount: u32) -> Spent {
        self.with(|bucket| bucket.check(amount))
    }

    /// Spends all of `amount`. If that is not possible now, `instead` is owed.
    pub(crate) fn spend(&self, amount: u32, instead: u32) -> Spent {
        self.with(|bucket| bucket.spend(amount, instead))
    }

    /// Takes `amount`, whether it is there or not: what is missing is owed, up to one [`WINDOW`]'s worth.
    pub(crate) fn owe(&self, amount: u32) -> Spent {
        self.with(|bucket| bucket.owe(amount))
    }

    /// Gives back what was taken.
    pub(crate) fn refund(&self, amount: u32) -> Spent {
        self.with(|bucket| bucket.refund(amount))
    }

    fn with(&self, act: impl FnOnce(&mut Bucket) -> Spent) -> Spent {
        // A bucket is valid after every single step, so a panic elsewhere does not spoil it.
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.fill(Instant::now());
        act(&mut bucket)
    }
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.rate.fmt(f)
    }
}

/// Parts of a token. A rate of `r` a second is exactly `r` parts in a nanosecond.
const PARTS: i128 = 1_000_000_000;

/// A [token bucket](https://en.wikipedia.org/wiki/Token_bucket) that can be in debt.
///
/// Holds no more than the burst, and owes no more than that: what one request costs is forgotten after two windows.
#[derive(Debug)]
struct Bucket {
    rate: Rate,
    /// Parts of tokens; less than 0 is owed.
    parts: i128,
    /// When `parts` was right.
    at: Instant,
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        let parts = parts(rate.burst().get());
        Self {
            rate,
            parts,
            at: now,
        }
    }

    /// Adds what came since the last time.
    fn fill(&mut self, now: Instant) {
        let nanos = now.saturating_duration_since(self.at).as_nanos();
        let more = i128::try_from(nanos)
            .unwrap_or(i128::MAX)
            .saturating_mul(self.rate.per_second().into());
        self.parts = self.parts.saturating_add(more).min(self.most());
        self.at = self.at.max(now);
    }

    fn check(&self, amount: u32) -> Spent {
        if amount > self.rate.burst().get() {
            return Spent::TooMuch(self.rate.burst().get());
        }
        let missing = parts(amount) - self.parts;
        if missing <= 0 {
            return self.left();
        }
        let per_nano = i128::from(self.rate.per_second());
        let nanos = (missing + per_nano - 1) / per_nano;
        Spent::Wait(Duration::from_nanos(
            u64::try_from(nanos).unwrap_or(u64::MAX),
        ))
    }

    fn spend(&mut self, amount: u32, instead: u32) -> Spent {
        if let Spent::Left(_) = self.check(amount) {
            return self.owe(amount);
        }
        self.owe(instead);
        self.check(amount)
    }

    fn owe(&mut self, amount: u32) -> Spent {
        self.parts = (self.parts - parts(amount)).max(-self.most());
        self.left()
    }

    fn refund(&mut self, amount: u32) -> Spent {
        self.parts = (self.parts + parts(amount)).min(self.most());
        self.left()
    }

    fn left(&self) -> Spent {
        Spent::Left(u32::try_from(self.parts / PARTS).unwrap_or(0))
    }

    fn most(&self) -> i128 {
        parts(self.rate.burst().get())
    }
}

fn parts(tokens: u32) -> i128 {
    i128::from(tokens) * PARTS
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLIS: Duration = Duration::from_millis(1);

    fn bucket(per_second: u32) -> (Bucket, Instant) {
        let now = Instant::now();
        (Bucket::full(Rate::try_from(per_second).unwrap(), now), now)
    }

    #[test]
    fn ten_seconds_worth_may_be_spent_at_once_and_comes_back_at_the_rate() {
        let (mut bucket, start) = bucket(5);
        assert_eq!(bucket.spend(48, 0), Spent::Left(2));
        assert_eq!(bucket.spend(2, 0), Spent::Left(0));
        assert_eq!(bucket.spend(3, 0), Spent::Wait(600 * MILLIS));
        bucket.fill(start + 599 * MILLIS);
        assert_eq!(bucket.spend(3, 0), Spent::Wait(MILLIS));
        bucket.fill(start + 600 * MILLIS);
        assert_eq!(bucket.spend(3, 0), Spent::Left(0));
        bucket.fill(start + Duration::from_hours(1));
        assert_eq!(bucket.spend(1, 0), Spent::Left(49));
    }

    #[test]
    fn what_can_never_be_spent_at_once_says_so_and_spends_nothing() {
        let (mut bucket, _) = bucket(5);
        assert_eq!(bucket.spend(51, 0), Spent::TooMuch(50));
        assert_eq!(bucket.spend(50, 0), Spent::Left(0));
    }

    #[test]
    fn a_rate_that_divides_no_second_evenly_loses_nothing_over_time() {
        let (mut bucket, start) = bucket(3);
        bucket.owe(30);
        for step in 1..=1_000_000 {
            bucket.fill(start + Duration::from_nanos(step * 1_001));
        }
        // 1.001 seconds have passed: 3.003 came.
        assert_eq!(bucket.left(), Spent::Left(3));
        assert_eq!(bucket.parts, 3_003_000_000);
    }

    #[test]
    fn what_is_owed_must_come_back_first_but_no_more_than_one_window_of_it() {
        let (mut bucket, start) = bucket(5);
        assert_eq!(bucket.owe(60), Spent::Left(0));
        assert_eq!(bucket.check(1), Spent::Wait(2200 * MILLIS));
        bucket.owe(u32::MAX);
        assert_eq!(bucket.check(1), Spent::Wait(10_200 * MILLIS));
        bucket.fill(start + 10_200 * MILLIS);
        assert_eq!(bucket.check(1), Spent::Left(1));
    }

    #[test]
    fn what_could_not_be_spent_may_cost_something_instead() {
        let (mut bucket, _) = bucket(5);
        bucket.owe(45);
        assert_eq!(bucket.spend(10, 2), Spent::Wait(1400 * MILLIS));
        assert_eq!(bucket.left(), Spent::Left(3));
        assert_eq!(bucket.spend(51, 3), Spent::TooMuch(50));
        assert_eq!(bucket.left(), Spent::Left(0));
    }

    #[test]
    fn what_is_given_back_can_be_spent_again_but_makes_nobody_richer() {
        let (mut bucket, _) = bucket(5);
        bucket.owe(50);
        assert_eq!(bucket.refund(20), Spent::Left(20));
        assert_eq!(bucket.spend(20, 0), Spent::Left(0));
        assert_eq!(bucket.refund(100), Spent::Left(50));
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_adds_nothing() {
        let (mut bucket, start) = bucket(5);
        bucket.fill(start + 100 * MILLIS);
        bucket.owe(50);
        bucket.fill(start);
        assert_eq!(bucket.left(), Spent::Left(0));
        bucket.fill(start + 300 * MILLIS);
        assert_eq!(bucket.left(), Spent::Left(1));
    }

    #[test]
    fn a_rate_is_within_bounds() {
        for (number, is_one) in [
            (0, false),
            (1, true),
            (10_000_000, true),
            (10_000_001, false),
        ] {
            assert_eq!(Rate::try_from(number).is_ok(), is_one, "{number}");
        }
        assert_eq!(
            Rate::try_from(MAX_PER_SECOND).unwrap().burst().get(),
            100_000_000
        );
    }
}
