//! Which event is delivered when: decided by the seed alone.

use std::collections::VecDeque;

use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// A repetition comes at most this many different events after its first delivery.
const WINDOW: usize = 1024;

/// One delivery of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Which event: they are numbered from 0.
    pub event: u64,
    /// Whether it is the event's first.
    pub first: bool,
}

/// The deliveries of a run, one after the other. Repetitions are mixed in and late, as when clients
/// try again after a lost answer. With an end, their share is exact.
#[derive(Debug)]
pub struct Plan {
    rng: SmallRng,
    duplicates: f64,
    /// First deliveries and repetitions that are left; `None`: without end.
    left: Option<(u64, u64)>,
    next_event: u64,
    recent: VecDeque<u64>,
}

impl Plan {
    /// A plan of `deliveries` in all (`None`: without end), of which this share are repetitions.
    #[must_use]
    pub fn new(seed: u64, deliveries: Option<u64>, duplicates: f64) -> Self {
        let left = deliveries.map(|all| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a share of a number of events"
            )]
            let repetitions = (all as f64 * duplicates).round() as u64;
            // Something has to come first.
            let repetitions = repetitions.min(all.saturating_sub(1));
            (all - repetitions, repetitions)
        });
        Self {
            rng: SmallRng::seed_from_u64(seed),
            duplicates,
            left,
            next_event: 0,
            recent: VecDeque::with_capacity(WINDOW),
        }
    }

    /// Whether the next delivery is a repetition; `None` at the end.
    fn repeats(&mut self) -> Option<bool> {
        let repeats = match &self.left {
            Some((0, 0)) => return None,
            // Drawn from what is left, so that all of it comes.
            Some((first, repetitions)) => {
                self.rng.random_range(0..first + repetitions) < *repetitions
            }
            None => self.rng.random_bool(self.duplicates),
        };
        let repeats = repeats && !self.recent.is_empty();
        match &mut self.left {
            Some((_, repetitions)) if repeats => *repetitions -= 1,
            Some((first, _)) => *first -= 1,
            None => (),
        }
        Some(repeats)
    }
}

impl Iterator for Plan {
    type Item = Delivery;

    fn next(&mut self) -> Option<Delivery> {
        if self.repeats()? {
            let event = self.recent[self.rng.random_range(0..self.recent.len())];
            return Some(Delivery {
                event,
                first: false,
            });
        }
        let event = self.next_event;
        self.next_event += 1;
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(event);
        Some(Delivery { event, first: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliveries(seed: u64, all: u64, duplicates: f64) -> Vec<Delivery> {
        Plan::new(seed, Some(all), duplicates).collect()
    }

    #[test]
    fn the_seed_decides_everything() {
        assert_eq!(deliveries(7, 5000, 0.3), deliveries(7, 5000, 0.3));
        assert_ne!(deliveries(7, 5000, 0.3), deliveries(8, 5000, 0.3));
    }

    #[test]
    fn the_share_of_repetitions_is_exact() {
        for (all, duplicates, first) in
            [(10_000, 0.3, 7000), (7, 0.0, 7), (10, 0.99, 1), (1, 0.9, 1)]
        {
            let plan = deliveries(3, all, duplicates);
            assert_eq!(plan.len() as u64, all);
            assert_eq!(plan.iter().filter(|delivery| delivery.first).count(), first);
        }
        assert_eq!(deliveries(3, 0, 0.3), []);
    }

    #[test]
    fn without_an_end_the_share_is_about_right() {
        let plan = Plan::new(3, None, 0.3).take(20_000);
        let repeated = plan.filter(|delivery| !delivery.first).count();
        assert!((5500..6500).contains(&repeated), "{repeated}");
    }

    #[test]
    fn repetitions_are_mixed_in_and_late() {
        let plan = deliveries(5, 10_000, 0.3);
        let mut seen = 0;
        let mut late = 0;
        for delivery in &plan {
            if delivery.first {
                assert_eq!(delivery.event, seen, "first deliveries are in order");
                seen += 1;
            } else {
                assert!(delivery.event < seen, "a repetition repeats something");
                assert!(seen - delivery.event <= WINDOW as u64);
                late += u64::from(seen - delivery.event > 100);
            }
        }
        assert!(
            late > 2000,
            "{late} of 3000 come more than 100 events later"
        );
        let (early, _) = plan.split_at(5000);
        let early = early.iter().filter(|delivery| !delivery.first).count();
        assert!((1300..1700).contains(&early), "all along the way: {early}");
    }
}
