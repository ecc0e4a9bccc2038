//! What the whole-system tests stand on: servers, programs, events, and the system under test.

pub mod app;
pub mod events;
pub mod programs;
pub mod servers;

use std::time::{Duration, Instant};

/// Between two looks at something that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Looks again and again until `reached` says so.
///
/// # Panics
/// With `what`, if it has not come true after `within`.
pub async fn eventually(what: &str, within: Duration, mut reached: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !reached().await {
        assert!(Instant::now() < deadline, "not after {within:?}: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
