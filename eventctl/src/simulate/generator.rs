//! Makes the events: orders of a shop, lines of a log, readings of sensors, and so on.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use event_aggregator_client::Event;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};

/// Keeps the random numbers of the events apart from those of the plan.
const STREAM: u64 = 0x9e37_79b9_7f4a_7c15;
/// The text that fills a payload up to its size.
const FILLER: &str = "the quick brown fox jumps over the lazy dog ";

/// One kind of event: its topic, its source, and the function that makes its payloads.
type Kind = (&'static str, &'static str, fn(&mut SmallRng) -> Value);

const KINDS: [Kind; 8] = [
    ("shop/orders", "shop", |rng| {
        let items = rng.random_range(1..9);
        json!({"order": order(rng), "items": items, "total": money(rng), "currency": "EUR"})
    }),
    ("shop/payments", "payments", |rng| {
        let method = pick(rng, &["card", "transfer", "invoice", "voucher"]);
        let status = pick(rng, &["captured", "captured", "captured", "declined"]);
        json!({"order": order(rng), "method": method, "amount": money(rng), "status": status})
    }),
    ("logs/web", "web-1", |rng| {
        let path = pick(
            rng,
            &["/", "/cart", "/search?q=tea", "/login", "/orders/17"],
        );
        let status = pick(rng, &["200", "200", "200", "304", "404", "500"]);
        let line = format!(
            "GET {path} HTTP/1.1 {status} {}ms",
            rng.random_range(1..900)
        );
        json!({ "line": line })
    }),
    ("sensors/temperature", "greenhouse", |rng| {
        let celsius = f64::from(rng.random_range(150..280)) / 10.0;
        json!({"sensor": format!("t-{:02}", rng.random_range(1..40)), "celsius": celsius})
    }),
    ("warehouse/shipments", "warehouse", |rng| {
        let carrier = pick(rng, &["by road", "by rail", "by bike"]);
        json!({"order": order(rng), "carrier": carrier, "grams": rng.random_range(80..20_000)})
    }),
    ("web/clicks", "browser", |rng| {
        let target = pick(rng, &["buy", "more", "search", "like", "close"]);
        json!({"session": rng.random::<u32>(), "target": target})
    }),
    ("warehouse/stock", "warehouse", |rng| {
        let change: i32 = rng.random_range(-20..50);
        json!({"article": rng.random_range(1000..9999), "change": change})
    }),
    ("accounts/signups", "accounts", |rng| {
        let plan = pick(rng, &["free", "free", "plus", "team"]);
        json!({"account": rng.random_range(1..1_000_000), "plan": plan, "newsletter": rng.random::<bool>()})
    }),
];

fn order(rng: &mut SmallRng) -> String {
    format!("A-{:05}", rng.random_range(0..100_000))
}

fn money(rng: &mut SmallRng) -> f64 {
    f64::from(rng.random_range(100..50_000)) / 100.0
}

fn pick(rng: &mut SmallRng, words: &[&'static str]) -> &'static str {
    words[rng.random_range(0..words.len())]
}

/// Makes every event of a run from its number.
#[derive(Debug, Clone)]
pub(super) struct EventGenerator {
    /// The prefix of all ids; no other run has it.
    pub(super) run: String,
    /// What the payloads are made from.
    pub(super) seed: u64,
    /// How many topics there are.
    pub(super) topics: u16,
    /// The timestamp of the first event.
    pub(super) start: DateTime<Utc>,
    /// The time between two events.
    pub(super) spacing: TimeDelta,
    /// Payloads are filled up to about this size.
    pub(super) payload_bytes: usize,
}

/// The name of a topic. After the eight kinds, names have numbers.
pub(super) fn topic(number: usize) -> String {
    let (topic, ..) = KINDS[number % KINDS.len()];
    match number / KINDS.len() {
        0 => topic.to_owned(),
        round => format!("{topic}/{}", round + 1),
    }
}

impl EventGenerator {
    /// The number of the topic of an event.
    pub(super) fn topic_of(&self, event: u64) -> usize {
        self.rng(event).random_range(0..usize::from(self.topics))
    }

    /// An event; it is the same each time.
    pub(super) fn event(&self, event: u64) -> Event {
        let mut rng = self.rng(event);
        let topic = rng.random_range(0..usize::from(self.topics));
        let (_, source, payload) = KINDS[topic % KINDS.len()];
        let mut payload = payload(&mut rng);
        self.fill(&mut payload);
        let happened = i32::try_from(event).ok().and_then(|event| {
            self.start
                .checked_add_signed(self.spacing.checked_mul(event)?)
        });
        let happened = happened.unwrap_or(self.start);
        Event {
            topic: self::topic(topic),
            event_id: format!("{}-{event}", self.run),
            timestamp: Some(happened.to_rfc3339_opts(SecondsFormat::Micros, true)),
            source: Some(source.to_owned()),
            payload,
        }
    }

    fn fill(&self, payload: &mut Value) {
        let missing = self.payload_bytes.saturating_sub(payload.to_string().len());
        if missing > 0 {
            payload["note"] = FILLER
                .chars()
                .cycle()
                .take(missing)
                .collect::<String>()
                .into();
        }
    }

    fn rng(&self, event: u64) -> SmallRng {
        SmallRng::seed_from_u64(self.seed ^ event.wrapping_add(1).wrapping_mul(STREAM))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn generator(topics: u16, payload_bytes: usize) -> EventGenerator {
        EventGenerator {
            run: "r".to_owned(),
            seed: 7,
            topics,
            start: DateTime::UNIX_EPOCH,
            spacing: TimeDelta::milliseconds(20),
            payload_bytes,
        }
    }

    #[test]
    fn an_event_is_the_same_each_time() {
        let generator = generator(8, 0);
        for event in 0..100 {
            assert_eq!(generator.event(event), generator.event(event));
            let topic = topic(generator.topic_of(event));
            assert_eq!(generator.event(event).topic, topic);
        }
    }

    #[test]
    fn ids_begin_with_the_run_and_times_advance() {
        let event = generator(1, 0).event(50);
        assert_eq!(event.event_id, "r-50");
        let timestamp = event.timestamp.as_deref();
        assert_eq!(timestamp, Some("1970-01-01T00:00:01.000000Z"));
    }

    #[test]
    fn every_topic_has_a_name_of_its_own() {
        let names: BTreeSet<_> = (0..20).map(topic).collect();
        assert_eq!(names.len(), 20);
        assert!(names.contains("shop/orders") && names.contains("shop/orders/2"));
    }

    #[test]
    fn payloads_are_filled_up_to_their_size() {
        let size = generator(8, 2000).event(3).payload.to_string().len();
        assert!((2000..2020).contains(&size), "{size}");
    }
}
