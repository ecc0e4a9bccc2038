//! How fast a counter grows.

use std::{collections::VecDeque, time::Duration};

use crate::format;

/// How many rates are remembered.
const SAMPLES: usize = 40;

/// The rates of a counter that is read from time to time.
#[derive(Debug, Default)]
pub(crate) struct RateHistory {
    rates: VecDeque<f64>,
    last: Option<(Duration, i64)>,
}

impl RateHistory {
    /// Records the value of the counter at a time.
    pub(crate) fn record(&mut self, at: Duration, value: i64) {
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
                reason = "the difference between two readings is small"
            )]
            let growth = (value - before).max(0) as f64;
            self.rates.push_back(growth / seconds);
        }
        self.last = Some((at, value));
    }

    /// The latest rate, per second.
    pub(crate) fn latest(&self) -> f64 {
        self.rates.back().copied().unwrap_or(0.0)
    }

    /// All rates that are remembered, as bars.
    pub(crate) fn sparkline(&self) -> String {
        format::sparkline(self.rates.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_growth_since_the_reading_before() {
        let mut history = RateHistory::default();
        history.record(Duration::from_secs(1), 100);
        assert_eq!(history.sparkline(), "");
        history.record(Duration::from_secs(3), 120);
        history.record(Duration::from_secs(4), 140);
        assert_eq!(history.sparkline(), "▅█");
        assert!((history.latest() - 20.0).abs() < 1e-9);
    }

    #[test]
    fn a_counter_that_began_again_has_no_negative_rate() {
        let mut history = RateHistory::default();
        history.record(Duration::from_secs(1), 100);
        history.record(Duration::from_secs(2), 0);
        assert!(history.latest().abs() < 1e-9);
    }

    #[test]
    fn the_number_of_rates_is_bounded() {
        let mut history = RateHistory::default();
        (0..1000).for_each(|second| history.record(Duration::from_secs(second), 1));
        assert_eq!(history.sparkline().chars().count(), SAMPLES);
    }
}
