//! Programs as processes: they wait for their servers, survive that those go away, and stop in order.

mod output;
mod servers_away;
mod settings;
mod stopping;

use serde_json::{Value, json};
use tests::app::App;

fn one(id: &str) -> Value {
    json!({"topic": "t", "event_id": id})
}

/// Waits until exactly so many events are counted.
async fn received(app: &App, count: i64) {
    assert_eq!(app.drained(count).await["received"], count);
}

/// The programs, with settings with which they start and have somebody to tell about.
const PROGRAMS: [(&str, &[(&str, &str)]); 3] = [
    ("publisher", &[("REDIS_URL", "redis://127.0.0.1:1")]),
    (
        "aggregator",
        &[
            ("REDIS_URL", "redis://127.0.0.1:1"),
            ("DATABASE_URL", "postgres://u@127.0.0.1:1/d"),
        ],
    ),
    ("event-aggregator", &[]),
];
