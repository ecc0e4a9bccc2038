//! How fast a counter grows.

use std::{collections::VecDeque, time::Duration};

use crate::output;

/// How many rates are remembered.
const SAMPLES: usize = 40;

/// The rates of a counter that is looked at from time to time.
#[derive(Debug, Default)]
pub struct Meter {
    rates: VecDeque<f64>,
    last: Option<(Duration, i64)>,
}

impl Meter {
    /// Enters what the counter says at this time.
    pub fn enter(&mut self, at: Duration, value: i64) {
        if let Some((earlier, before)) = self.last {
            let seconds = at.saturating_sub(earlier).as_secs_f64();
            if seconds <= 0.0 {
                return;
            }
            if self.rates.len() == SAMPLES {
                self.rates.pop_front();
            }
            #[expect(
                clippy::cast_precision_loss,
                reason = "a difference of two looks is small"
            )]
            let grown = (value - before).max(0) as f64;
            self.rates.push_back(grown / seconds);
        }
        self.last = Some((at, value));
    }

    /// The latest rate, per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rates.back().copied().unwrap_or(0.0)
    }

    /// All rates that are remembered, as bars.
    #[must_use]
    pub fn sparkline(&self) -> String {
        output::sparkline(self.rates.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_came_since_the_look_before() {
        let mut meter = Meter::default();
        meter.enter(Duration::from_secs(1), 100);
        assert_eq!(meter.sparkline(), "");
        meter.enter(Duration::from_secs(3), 120);
        meter.enter(Duration::from_secs(4), 140);
        assert_eq!(meter.sparkline(), "▅█");
        assert!((meter.rate() - 20.0).abs() < 1e-9);
    }

    #[test]
    fn a_counter_that_began_anew_has_no_negative_rate() {
        let mut meter = Meter::default();
        meter.enter(Duration::from_secs(1), 100);
        meter.enter(Duration::from_secs(2), 0);
        assert!(meter.rate().abs() < 1e-9);
    }

    #[test]
    fn only_so_many_rates_are_remembered() {
        let mut meter = Meter::default();
        (0..1000).for_each(|n| meter.enter(Duration::from_secs(n), 1));
        assert_eq!(meter.sparkline().chars().count(), SAMPLES);
    }
}
