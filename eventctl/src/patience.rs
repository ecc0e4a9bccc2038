//! Tells a person that a command waits for a server.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use event_aggregator_client::{Observer, Waiting};

use crate::output;

/// How often it is told while a command waits, however many requests wait.
const EVERY: Duration = Duration::from_secs(10);

/// Tells it on standard error.
pub(crate) fn observer() -> Observer {
    let told: Mutex<Option<Instant>> = Mutex::default();
    Observer::new(move |waiting| {
        // No step under the lock can panic.
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= EVERY) {
            *told = Some(Instant::now());
            output::tell(said(waiting));
        }
    })
}

fn said(waiting: &Waiting) -> String {
    let left = waiting.patience.saturating_sub(waiting.waited);
    format!(
        "waiting for {}: {}; trying for another {} s (--patience)",
        waiting.url,
        waiting.reason,
        left.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_for_how_long() {
        let said = said(&Waiting {
            url: "http://a:1".to_owned(),
            reason: "connection refused".to_owned(),
            waited: Duration::from_millis(400),
            patience: Duration::from_mins(1),
        });
        assert_eq!(
            said,
            "waiting for http://a:1: connection refused; trying for another 59 s (--patience)"
        );
    }
}
