//! Events for tests: single ones, and log lines.

mod logs;

use chrono::Utc;
use event::{Event, EventTime, Payload, ReceiptId, Source, clock::Ids};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

pub use logs::Logs;

/// A small valid event, as accepted now.
///
/// # Panics
/// If `topic` or `id` are not valid.
#[must_use]
pub fn event(topic: &str, id: &str) -> Event {
    Event {
        receipt_id: ReceiptId(Ids::default().next(Utc::now())),
        topic: topic.try_into().expect("a valid topic"),
        event_id: id.try_into().expect("a valid event id"),
        timestamp: EventTime::from(Utc::now()),
        source: Source::unknown(),
        payload: Payload::empty(),
    }
}

/// So many letters that do not repeat themselves, so that nothing compresses them much.
#[must_use]
pub fn noise(letters: usize, seed: u64) -> String {
    let mut random = SmallRng::seed_from_u64(seed);
    let letter = || char::from(random.random_range(b'a'..=b'z'));
    std::iter::repeat_with(letter).take(letters).collect()
}

/// `count` different events of a topic.
#[must_use]
pub fn events(topic: &str, count: usize) -> Vec<Event> {
    (0..count)
        .map(|n| event(topic, &format!("{n:06}")))
        .collect()
}
