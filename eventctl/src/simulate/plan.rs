//! Decides which event is delivered when. The seed alone decides it.

use std::collections::VecDeque;

use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// A duplicate follows at most this many new events after the first delivery.
const WINDOW: usize = 1024;

/// One delivery of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivery {
    /// The number of the event, from 0.
    pub(super) event: u64,
    /// Whether this is the first delivery of the event.
    pub(super) is_first: bool,
}

/// The deliveries of a run, one after the other. Duplicates come between new events and late, as when clients send again
/// after a lost answer. If the plan has an end, their share is exact.
#[derive(Debug)]
pub(super) struct Plan {
    rng: SmallRng,
    duplicates: f64,
    /// How many first deliveries and how many duplicates are left; `None` if the plan has no end.
    left: Option<(u64, u64)>,
    next_event: u64,
    recent: VecDeque<u64>,
}

impl Plan {
    /// A plan of this many deliveries (`None`: without end), of which this share are duplicates.
    pub(super) fn new(seed: u64, deliveries: Option<u64>, duplicates: f64) -> Self {
        let left = deliveries.map(|all| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a share of a number of events"
            )]
            let duplicates = (all as f64 * duplicates).round() as u64;
            // A duplicate needs an event before it.
            let duplicates = duplicates.min(all.saturating_sub(1));
            (all - duplicates, duplicates)
        });
        Self {
            rng: SmallRng::seed_from_u64(seed),
            duplicates,
            left,
            next_event: 0,
            recent: VecDeque::with_capacity(WINDOW),
        }
    }

    /// Whether the next delivery is a duplicate; `None` at the end.
    fn next_is_duplicate(&mut self) -> Option<bool> {
        let drawn = match &self.left {
            Some((0, 0)) => return None,
            // It is drawn from what is left, so that all of it is delivered.
            Some((first, duplicates)) => self.rng.random_range(0..first + duplicates) < *duplicates,
            None => self.rng.random_bool(self.duplicates),
        };
        let is_duplicate = drawn && !self.recent.is_empty();
        match &mut self.left {
            Some((_, duplicates)) if is_duplicate => *duplicates -= 1,
            Some((first, _)) => *first -= 1,
            None => (),
        }
        Some(is_duplicate)
    }
}

impl Iterator for Plan {
    type Item = Delivery;

    fn next(&mut self) -> Option<Delivery> {
        if self.next_is_duplicate()? {
            let event = self.recent[self.rng.random_range(0..self.recent.len())];
            return Some(Delivery {
                event,
                is_first: false,
            });
        }
        let event = self.next_event;
        self.next_event += 1;
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(event);
        Some(Delivery {
            event,
            is_first: true,
        })
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
    fn the_share_of_duplicates_is_exact() {
        for (all, duplicates, first) in
            [(10_000, 0.3, 7000), (7, 0.0, 7), (10, 0.99, 1), (1, 0.9, 1)]
        {
            let plan = deliveries(3, all, duplicates);
            assert_eq!(plan.len() as u64, all);
            assert_eq!(
                plan.iter().filter(|delivery| delivery.is_first).count(),
                first
            );
        }
        assert_eq!(deliveries(3, 0, 0.3), []);
    }

    #[test]
    fn without_an_end_the_share_is_about_right() {
        let plan = Plan::new(3, None, 0.3).take(20_000);
        let duplicates = plan.filter(|delivery| !delivery.is_first).count();
        assert!((5500..6500).contains(&duplicates), "{duplicates}");
    }

    #[test]
    fn duplicates_come_between_new_events_and_late() {
        let plan = deliveries(5, 10_000, 0.3);
        let mut seen = 0;
        let mut late = 0;
        for delivery in &plan {
            if delivery.is_first {
                assert_eq!(delivery.event, seen, "first deliveries are in order");
                seen += 1;
            } else {
                assert!(
                    delivery.event < seen,
                    "a duplicate repeats an earlier event"
                );
                assert!(seen - delivery.event <= WINDOW as u64);
                late += u64::from(seen - delivery.event > 100);
            }
        }
        assert!(
            late > 2000,
            "{late} of 3000 come more than 100 events later"
        );
        let (early, _) = plan.split_at(5000);
        let early = early.iter().filter(|delivery| !delivery.is_first).count();
        assert!(
            (1300..1700).contains(&early),
            "they are spread over the plan: {early}"
        );
    }
}
