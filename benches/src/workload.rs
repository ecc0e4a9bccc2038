//! The events that are measured with.
//!
//! Everything is made from an event's number, so the same stream can be had again without keeping it.

use std::io::{self, Write};

use chrono::Utc;
use event::{Event, EventTime, ReceiptId, clock::Ids};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde_json::value::RawValue;

/// Topics that events are spread over.
pub(crate) const TOPICS: u64 = 16;
/// A duplicate repeats one of so many events before it: a retry comes seconds later, not years.
pub(crate) const WINDOW: u64 = 50_000;
/// Bytes of a payload where it is not what is varied: about a line of a log.
pub(crate) const PAYLOAD_BYTES: usize = 200;
/// How long an event's id is: two numbers in hexadecimal.
pub(crate) const ID_BYTES: usize = 32;

/// Where payloads are cut from.
const TEXT_BYTES: usize = 1 << 20;
/// What a payload is besides its text: `{"n":"000000000001","text":""}`.
const FRAME_BYTES: usize = 30;
const SEED: u64 = 7;

/// What a stream of deliveries is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Mix {
    /// So many deliveries of a hundred repeat an earlier one.
    pub(crate) duplicate_percent: u8,
    /// Length of a payload; at least [`FRAME_BYTES`].
    pub(crate) payload_bytes: usize,
}

impl Mix {
    /// Every event once.
    pub(crate) const UNIQUE: Self = Self::with_duplicates(0);

    pub(crate) const fn with_duplicates(percent: u8) -> Self {
        Self {
            duplicate_percent: percent,
            payload_bytes: PAYLOAD_BYTES,
        }
    }
}

/// Deliveries in order: an event, or again one of those before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream {
    pub(crate) mix: Mix,
    /// The number of its first event; streams into the same database must not overlap.
    pub(crate) first: u64,
    /// Deliveries.
    pub(crate) count: u64,
}

impl Stream {
    /// The numbers of the events delivered.
    pub(crate) fn numbers(self) -> impl Iterator<Item = u64> {
        let mut random = SmallRng::seed_from_u64(SEED);
        let mut unique: u64 = 0;
        (0..self.count).map(move |_| {
            let repeats = random.random_range(0..100) < self.mix.duplicate_percent;
            let number = if repeats && unique > 0 {
                random.random_range(unique.saturating_sub(WINDOW)..unique)
            } else {
                unique += 1;
                unique - 1
            };
            self.first + number
        })
    }

    /// How many different events are delivered.
    pub(crate) fn unique(self) -> u64 {
        self.numbers().max().map_or(0, |last| last - self.first + 1)
    }
}

/// Makes events.
pub(crate) struct Factory {
    text: String,
    ids: Ids,
}

impl Factory {
    pub(crate) fn new() -> Self {
        let mut random = SmallRng::seed_from_u64(SEED);
        // Words: neither all the same, which a database compresses to nothing, nor noise.
        let text = std::iter::from_fn(|| {
            let gap = random.random_ratio(1, 6);
            Some(if gap {
                ' '
            } else {
                char::from(random.random_range(b'a'..=b'z'))
            })
        });
        Self {
            text: text.take(TEXT_BYTES).collect(),
            ids: Ids::default(),
        }
    }

    /// An event as the publisher accepts it now.
    pub(crate) fn event(&self, number: u64, payload_bytes: usize) -> Event {
        let now = Utc::now();
        let payload = RawValue::from_string(self.payload(number, payload_bytes));
        let payload = payload.expect("a payload is JSON");
        Event {
            receipt_id: ReceiptId(self.ids.next(now)),
            topic: topic(number).try_into().expect("a valid topic"),
            event_id: id(number).try_into().expect("a valid id"),
            timestamp: EventTime::from(now),
            source: "benches".try_into().expect("a valid source"),
            payload: payload.try_into().expect("a valid payload"),
        }
    }

    /// A JSON object of this length.
    pub(crate) fn payload(&self, number: u64, bytes: usize) -> String {
        let length = bytes.saturating_sub(FRAME_BYTES);
        let from =
            usize::try_from(scattered(number) >> 44).expect("20 bits") % (TEXT_BYTES - length);
        let text = &self.text[from..from + length];
        format!(r#"{{"n":"{number:012}","text":"{text}"}}"#)
    }
}

/// The topic of an event.
pub(crate) fn topic(number: u64) -> String {
    format!("bench/{:02}", number % TOPICS)
}

/// The id of an event. Neighbours in time are far apart in the index, as with random ids.
pub(crate) fn id(number: u64) -> String {
    format!("{:016x}{number:016x}", scattered(number))
}

/// The same, written over [`ID_BYTES`] bytes.
pub(crate) fn write_id(number: u64, place: &mut impl Write) -> io::Result<()> {
    write!(place, "{:016x}{number:016x}", scattered(number))
}

/// The finalizer of [SplitMix64](https://doi.org/10.1145/2714064.2660195): far apart for numbers that are close.
fn scattered(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn stream(duplicate_percent: u8) -> Stream {
        Stream {
            mix: Mix::with_duplicates(duplicate_percent),
            first: 1000,
            count: 20_000,
        }
    }

    #[test]
    fn a_stream_has_its_share_of_duplicates() {
        for percent in [0, 30, 90] {
            let unique: HashSet<u64> = stream(percent).numbers().collect();
            let unique = unique.len() as u64;
            assert_eq!(unique, stream(percent).unique());
            let share = 100 - unique * 100 / stream(percent).count;
            assert!(share.abs_diff(percent.into()) <= 1, "{share} of {percent}");
        }
    }

    #[test]
    fn a_stream_is_the_same_each_time() {
        assert!(stream(30).numbers().eq(stream(30).numbers()));
    }

    #[test]
    fn streams_that_begin_elsewhere_share_no_event() {
        let first: HashSet<u64> = stream(30).numbers().collect();
        let later = Stream {
            first: 1000 + 20_000,
            ..stream(30)
        };
        assert!(later.numbers().all(|number| !first.contains(&number)));
    }

    #[test]
    fn ids_differ_and_are_of_one_length() {
        let ids: HashSet<String> = (0..10_000).map(id).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.len() == ID_BYTES));
    }

    #[test]
    fn a_payload_is_json_of_the_length_asked_for() {
        let factory = Factory::new();
        for bytes in [100, PAYLOAD_BYTES, 1024, 16 * 1024] {
            let event = factory.event(123, bytes);
            assert_eq!(event.payload.as_str().len(), bytes);
        }
    }
}
