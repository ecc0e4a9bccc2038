//! How much a key may ask for: so many requests and so many events a second, [`WINDOW`] seconds' worth at once.
//!
//! Counted by this process alone: behind a balancer, a key has the rate once for each process.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};

/// Who was silent for so many seconds may spend all of them at once.
pub const WINDOW: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// Highest rate of anything; more is no limit.
const MAX_PER_SECOND: u32 = 10_000_000;

/// So many a second, on average.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(NonZeroU32);

/// A number that is no rate.
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

/// Counts what is spent of a rate, as a leaky bucket
/// ([GCRA](https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm)).
pub(super) struct Meter<C: Clock = DefaultClock> {
    rate: Rate,
    limiter: RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>,
}

/// How much is left after something was spent, or could not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// It was; so much more may be at once.
    Left(u32),
    /// It was not; it may be after this time, if nobody else spends.
    Wait(Duration),
    /// It was not and never will be: so much is possible at once.
    TooMuch(u32),
}

impl Meter {
    pub(super) fn new(rate: Rate) -> Self {
        Self::with_clock(rate, DefaultClock::default())
    }
}

impl<C: Clock> Meter<C> {
    fn with_clock(rate: Rate, clock: C) -> Self {
        let quota = Quota::per_second(rate.0).allow_burst(rate.burst());
        Self {
            rate,
            limiter: RateLimiter::direct_with_clock(quota, clock).with_middleware(),
        }
    }

    pub(super) const fn rate(&self) -> Rate {
        self.rate
    }

    /// Spends all of `amount`, or nothing.
    pub(super) fn spend(&self, amount: NonZeroU32) -> Spent {
        match self.limiter.check_n(amount) {
            Ok(Ok(state)) => Spent::Left(state.remaining_burst_capacity()),
            Ok(Err(until)) => Spent::Wait(until.wait_time_from(self.limiter.clock().now())),
            Err(_) => Spent::TooMuch(self.rate.burst().get()),
        }
    }
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.rate.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn amount(amount: u32) -> NonZeroU32 {
        NonZeroU32::new(amount).unwrap()
    }

    #[test]
    fn ten_seconds_worth_may_be_spent_at_once_and_comes_back_at_the_rate() {
        let clock = FakeRelativeClock::default();
        let meter = Meter::with_clock(Rate::try_from(5).unwrap(), clock.clone());
        assert_eq!(meter.spend(amount(48)), Spent::Left(2));
        assert_eq!(meter.spend(amount(2)), Spent::Left(0));
        assert_eq!(
            meter.spend(amount(3)),
            Spent::Wait(Duration::from_millis(600))
        );
        clock.advance(Duration::from_millis(599));
        assert!(matches!(meter.spend(amount(3)), Spent::Wait(_)));
        clock.advance(Duration::from_millis(1));
        assert_eq!(meter.spend(amount(3)), Spent::Left(0));
        clock.advance(Duration::from_hours(1));
        assert_eq!(meter.spend(amount(1)), Spent::Left(49));
    }

    #[test]
    fn what_can_never_be_spent_at_once_says_so_and_spends_nothing() {
        let clock = FakeRelativeClock::default();
        let meter = Meter::with_clock(Rate::try_from(5).unwrap(), clock);
        assert_eq!(meter.spend(amount(51)), Spent::TooMuch(50));
        assert_eq!(meter.spend(amount(50)), Spent::Left(0));
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
