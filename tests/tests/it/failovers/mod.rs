//! Beyond one machine: clusters and Sentinels of Redis, a PostgreSQL with a standby; what takes over, and moving there.

mod lists;
mod moving;
mod postgres;
mod redis_;
mod shards;

use reqwest::Method;
use serde_json::{Value, json};
use tests::app::App;

/// Events of which each is new.
fn events(name: &str, ids: std::ops::Range<u32>) -> Value {
    let event = |id: u32| json!({"topic": "t", "event_id": format!("{name}-{id}")});
    ids.map(event).collect()
}

/// What `/metrics` says.
async fn scrape(app: &App) -> String {
    app.ask(Method::GET, "/metrics").await.text().await.unwrap()
}
