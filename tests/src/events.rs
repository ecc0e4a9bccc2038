//! Events for tests: single ones, and a day's worth of log lines.

use std::{collections::BTreeMap, fs, path::PathBuf};

use chrono::Utc;
use event::{Event, EventTime, Payload, ReceiptId, Source, clock::Ids};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};

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

/// `count` different events of a topic.
#[must_use]
pub fn events(topic: &str, count: usize) -> Vec<Event> {
    (0..count)
        .map(|n| event(topic, &format!("{n:06}")))
        .collect()
}

/// Log lines as events, and what must come of them.
pub struct Logs {
    /// Each is the body of one event.
    pub events: Vec<Value>,
    /// Different events by topic.
    pub unique: BTreeMap<String, i64>,
}

impl Logs {
    /// Real log lines where they are (`TEST_LOGS`, or a folder `shared/data` beside the checkout),
    /// else generated ones of the same kind. Says which on standard error.
    #[must_use]
    pub fn load() -> Self {
        if let Some(logs) = Self::real() {
            eprintln!("tests: real log lines ({})", logs.events.len());
            return logs;
        }
        eprintln!("tests: generated log lines (set TEST_LOGS to a file of real ones)");
        Self::generated(16_000, 7)
    }

    /// How many different events there are.
    #[must_use]
    pub fn unique_total(&self) -> i64 {
        self.unique.values().sum()
    }

    fn real() -> Option<Self> {
        let beside = PathBuf::from(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../shared/data/logs.ndjson"
        ));
        let path = std::env::var_os("TEST_LOGS").map_or(beside, PathBuf::from);
        let text = fs::read_to_string(path).ok()?;
        let events = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("each line is an event"))
            .collect();
        // Counted by whoever collected the lines, not by this program.
        let unique = [
            ("logs/apache", 1461),
            ("logs/hadoop", 1985),
            ("logs/healthapp", 2000),
            ("logs/linux", 2000),
            ("logs/openssh", 2000),
            ("logs/proxifier", 1704),
            ("logs/spark", 1862),
            ("logs/zookeeper", 1999),
        ];
        Some(Self {
            events,
            unique: unique.map(|(topic, n)| (topic.to_owned(), n)).into(),
        })
    }

    /// Log-like events of eight topics, about one in sixteen of them twice.
    #[must_use]
    pub fn generated(count: usize, seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut events: Vec<Value> = Vec::with_capacity(count);
        let mut unique = BTreeMap::new();
        while events.len() < count {
            if !events.is_empty() && rng.random_ratio(1, 16) {
                let earlier = events[rng.random_range(0..events.len())].clone();
                events.push(earlier);
                continue;
            }
            let topic = format!("logs/system{}", rng.random_range(0..8));
            let number = events.len();
            *unique.entry(topic.clone()).or_default() += 1;
            events.push(json!({
                "topic": topic,
                "event_id": format!("{seed}-{number}"),
                "timestamp": "2005-12-04T04:47:44.000Z",
                "source": "generator",
                "payload": {
                    "line": format!("[notice] worker \"{number}\" child {} é 🦀 \\ ended", rng.random::<u32>()),
                },
            }));
        }
        Self { events, unique }
    }
}
