//! The counters as they were.

use chrono::{DateTime, TimeDelta, Utc};
use store::{
    Sample, Span,
    history::{COARSE, EVERY, FINE_FOR, KEPT_FOR, MAX_SAMPLES},
};
use tests::events::event;

use super::Tested;

contract![
    samples_say_what_was_counted_in_between,
    the_first_sample_of_a_moment_stays,
    of_each_step_the_first_sample_is_shown,
    old_samples_are_thinned_and_older_ones_dropped,
];

fn start() -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

async fn samples_say_what_was_counted_in_between(tested: Tested) {
    tested.store.take_sample(start()).await.unwrap();
    tested.tables.refuse().await;
    let events = [event("a", "1"), event("a", "1"), event("refused", "1")];
    tested.add(&events).await;
    tested.store.take_sample(start() + EVERY).await.unwrap();
    let counted = |sample: &Sample| {
        let parts = sample.unique_processed + sample.duplicate_dropped + sample.dead_lettered;
        assert_eq!(sample.received, parts);
        (
            sample.unique_processed,
            sample.duplicate_dropped,
            sample.dead_lettered,
        )
    };
    let samples = all(&tested, EVERY.as_secs()).await;
    let counted: Vec<_> = samples.iter().map(counted).collect();
    assert_eq!(counted, [(0, 0, 0), (1, 1, 1)]);
}

async fn the_first_sample_of_a_moment_stays(tested: Tested) {
    tested.store.take_sample(start()).await.unwrap();
    tested.add(&[event("a", "1")]).await;
    tested.store.take_sample(start()).await.unwrap();
    let samples = all(&tested, EVERY.as_secs()).await;
    assert_eq!(samples.len(), 1);
    assert_eq!(samples[0].received, 0);
}

async fn of_each_step_the_first_sample_is_shown(tested: Tested) {
    // The one at the beginning of the second minute is missing.
    for seconds in [0, 10, 50, 70, 80, 120] {
        let moment = start() + TimeDelta::seconds(seconds);
        tested.store.take_sample(moment).await.unwrap();
    }
    assert_eq!(seconds(&all(&tested, 60).await), [0, 70, 120]);
    let span = Span {
        since: start() + TimeDelta::seconds(10),
        until: start() + TimeDelta::seconds(80),
        step_seconds: 10,
    };
    let samples = tested.store.history(&span).await.unwrap();
    assert_eq!(seconds(&samples), [10, 50, 70]);
}

async fn old_samples_are_thinned_and_older_ones_dropped(tested: Tested) {
    let coarse = TimeDelta::from_std(COARSE).unwrap();
    for moment in [
        start(),
        start() + EVERY,
        start() + coarse,
        start() + coarse + EVERY,
    ] {
        tested.store.take_sample(moment).await.unwrap();
    }
    let thin = async |now| {
        tested.store.thin_history(now).await.unwrap();
        seconds(&all(&tested, 10).await)
    };
    assert_eq!(thin(start() + FINE_FOR).await, [0, 10, 300, 310]);
    assert_eq!(thin(start() + FINE_FOR + coarse).await, [0, 300, 310]);
    assert_eq!(thin(start() + FINE_FOR + coarse * 2).await, [0, 300]);
    assert_eq!(thin(start() + KEPT_FOR).await, [0, 300]);
    assert_eq!(thin(start() + KEPT_FOR + coarse).await, [300]);
    assert!(thin(start() + KEPT_FOR + coarse * 2).await.is_empty());
}

/// All samples, by steps of so many seconds.
async fn all(tested: &Tested, step_seconds: u64) -> Vec<Sample> {
    let span = Span {
        since: start(),
        until: start() + KEPT_FOR,
        step_seconds: step_seconds.try_into().unwrap(),
    };
    let samples = tested.store.history(&span).await.unwrap();
    assert!(samples.len() <= usize::from(MAX_SAMPLES));
    samples
}

/// The moments of samples, in seconds since the start.
fn seconds(samples: &[Sample]) -> Vec<i64> {
    let seconds = |sample: &Sample| (sample.at.as_datetime() - start()).num_seconds();
    samples.iter().map(seconds).collect()
}
