//! Makes figures of samples.

use serde::Serialize;

/// Samples of one quantity, in the order in which they were taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

/// The summary of samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) samples: usize,
}

/// Two quantities that were measured in turn, A B A B. Whatever slows the machine down for a while slows both down.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pairs {
    measured: Samples,
    reference: Samples,
}

impl Samples {
    pub(crate) fn push(&mut self, sample: f64) {
        self.0.push(sample);
    }

    /// # Panics
    /// If there are no samples. Every benchmark takes at least one.
    pub(crate) fn summary(&self) -> Summary {
        assert!(!self.0.is_empty(), "a benchmark without samples");
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Summary {
            median,
            min: sorted[0],
            max: sorted[sorted.len() - 1],
            samples: sorted.len(),
        }
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(samples: I) -> Self {
        Self(samples.into_iter().collect())
    }
}

impl Pairs {
    pub(crate) fn push(&mut self, measured: f64, reference: f64) {
        self.measured.push(measured);
        self.reference.push(reference);
    }

    pub(crate) fn measured(&self) -> Summary {
        self.measured.summary()
    }

    pub(crate) fn reference(&self) -> Summary {
        self.reference.summary()
    }

    /// The summary of the ratios of all pairs. It is not the ratio of the medians, because only the two samples of a pair had the
    /// same conditions.
    pub(crate) fn ratio(&self) -> Summary {
        let pairs = self.measured.0.iter().zip(&self.reference.0);
        pairs
            .map(|(measured, reference)| measured / reference)
            .collect::<Samples>()
            .summary()
    }
}

/// A count as a floating-point number.
#[expect(
    clippy::cast_precision_loss,
    reason = "no count here is anywhere near 2^53"
)]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(samples: &[f64]) -> Summary {
        samples.iter().copied().collect::<Samples>().summary()
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_two_in_the_middle() {
        assert_eq!(summary(&[9.0, 1.0, 2.0]).median.to_string(), "2");
        assert_eq!(summary(&[9.0, 1.0, 2.0, 4.0]).median.to_string(), "3");
        assert_eq!(summary(&[7.0]).median.to_string(), "7");
    }

    #[test]
    fn the_spread_is_from_the_smallest_to_the_largest() {
        let Summary {
            min, max, samples, ..
        } = summary(&[9.0, 1.0, 2.0]);
        assert_eq!(format!("{min} {max} {samples}"), "1 9 3");
    }

    /// A machine that is ten times slower for one pair does not change the ratio.
    #[test]
    fn ratios_are_taken_pair_by_pair() {
        let mut pairs = Pairs::default();
        for (measured, reference) in [(100.0, 200.0), (10.0, 20.0), (100.0, 200.0)] {
            pairs.push(measured, reference);
        }
        let ratio = pairs.ratio();
        assert_eq!(format!("{} {}", ratio.min, ratio.max), "0.5 0.5");
    }
}
