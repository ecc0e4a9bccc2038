//! What is in the events: what shops, machines and programs say all day.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};

/// Sets the events' random numbers apart from the plan's.
const STREAM: u64 = 0x9e37_79b9_7f4a_7c15;
/// Fills payloads that must be of some size.
const FILLER: &str = "the quick brown fox jumps over the lazy dog ";

/// One kind of event: topic, source, and what its payloads are like.
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

/// Every event of a run, each a function of its number.
#[derive(Debug, Clone)]
pub struct Content {
    /// Sets the ids of this run apart from those of any other.
    pub run: String,
    /// Decides the payloads.
    pub seed: u64,
    /// How many topics there are.
    pub topics: u16,
    /// When the first event happened.
    pub start: DateTime<Utc>,
    /// How much later each next one did.
    pub spacing: TimeDelta,
    /// Payloads are filled up to about this size.
    pub payload_bytes: usize,
}

impl Content {
    /// A topic's name; there are eight kinds, and then numbered ones.
    #[must_use]
    pub fn topic(&self, number: usize) -> String {
        let (topic, ..) = KINDS[number % KINDS.len()];
        match number / KINDS.len() {
            0 => topic.to_owned(),
            round => format!("{topic}/{}", round + 1),
        }
    }

    /// Which topic an event is of.
    #[must_use]
    pub fn topic_of(&self, event: u64) -> usize {
        self.rng(event).random_range(0..usize::from(self.topics))
    }

    /// An event, the same whenever it is asked for.
    #[must_use]
    pub fn event(&self, event: u64) -> Value {
        let mut rng = self.rng(event);
        let topic = rng.random_range(0..usize::from(self.topics));
        let (_, source, payload) = KINDS[topic % KINDS.len()];
        let mut payload = payload(&mut rng);
        self.fill(&mut payload);
        let happened = i32::try_from(event).ok().and_then(|event| {
            self.start
                .checked_add_signed(self.spacing.checked_mul(event)?)
        });
        json!({
            "topic": self.topic(topic),
            "event_id": format!("{}-{event}", self.run),
            "timestamp": happened.unwrap_or(self.start).to_rfc3339_opts(SecondsFormat::Micros, true),
            "source": source,
            "payload": payload,
        })
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

    fn content(topics: u16, payload_bytes: usize) -> Content {
        Content {
            run: "r".to_owned(),
            seed: 7,
            topics,
            start: DateTime::UNIX_EPOCH,
            spacing: TimeDelta::milliseconds(20),
            payload_bytes,
        }
    }

    #[test]
    fn an_event_is_the_same_whenever_it_is_delivered() {
        let content = content(8, 0);
        for event in 0..100 {
            assert_eq!(content.event(event), content.event(event));
            let topic = content.topic(content.topic_of(event));
            assert_eq!(content.event(event)["topic"], topic);
        }
    }

    #[test]
    fn ids_are_of_the_run_and_times_go_on() {
        let event = content(1, 0).event(50);
        assert_eq!(event["event_id"], "r-50");
        assert_eq!(event["timestamp"], "1970-01-01T00:00:01.000000Z");
    }

    #[test]
    fn every_topic_has_a_name_of_its_own() {
        let content = content(20, 0);
        let names: BTreeSet<_> = (0..20).map(|number| content.topic(number)).collect();
        assert_eq!(names.len(), 20);
        assert!(names.contains("shop/orders") && names.contains("shop/orders/2"));
    }

    #[test]
    fn payloads_can_be_of_some_size() {
        let size = content(8, 2000).event(3)["payload"].to_string().len();
        assert!((2000..2020).contains(&size), "{size}");
    }
}
