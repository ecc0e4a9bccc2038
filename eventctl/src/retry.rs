//! How long to wait before an attempt is repeated, and when to give up.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

/// First pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Pauses double up to this one; jitter comes on top.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The longest `Retry-After` that is obeyed; who asks for more is asked after this time.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);

/// The pauses of one request: exponential with jitter, until the patience is over.
#[derive(Debug)]
pub struct Pauses {
    backoff: ExponentialBackoff,
    deadline: Instant,
}

impl Pauses {
    /// Pauses that start now and all end within `patience`.
    #[must_use]
    pub fn within(patience: Duration) -> Self {
        Self {
            backoff: ExponentialBuilder::default()
                .with_min_delay(FIRST_PAUSE)
                .with_max_delay(LONGEST_PAUSE)
                .without_max_times()
                .with_jitter()
                .build(),
            deadline: Instant::now() + patience,
        }
    }

    /// How long to wait now; `None`: give up. What the server asked for comes before the backoff, so
    /// that connections told the same do not come back as one.
    pub fn next(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        let pause = asked + self.backoff.next().unwrap_or(LONGEST_PAUSE);
        (Instant::now() + pause <= self.deadline).then_some(pause)
    }
}

/// What `Retry-After` asks for, in seconds or as a date
/// ([RFC 9110, section 10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(text).ok()?;
    // A date that is over asks for nothing.
    Some((at.to_utc() - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_end_with_the_patience() {
        let (mut pauses, start) = (Pauses::within(PATIENCE), Instant::now());
        let mut all = Vec::new();
        while let Some(pause) = pauses.next(None) {
            all.push(pause);
            tokio::time::advance(pause).await;
        }
        assert!(all[0] >= FIRST_PAUSE && all[0] <= FIRST_PAUSE * 2);
        assert!(all.iter().all(|pause| *pause <= LONGEST_PAUSE * 2));
        assert!(start.elapsed() <= PATIENCE);
        assert!((6..=20).contains(&all.len()), "{all:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_is_not_asked_before_it_said() {
        let mut pauses = Pauses::within(PATIENCE);
        let asked = Duration::from_secs(7);
        assert!(pauses.next(Some(asked)).unwrap() > asked);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_more_than_the_patience_is_given_up() {
        let mut pauses = Pauses::within(PATIENCE);
        assert_eq!(pauses.next(Some(Duration::from_hours(1))), None);
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        let now = "1994-11-06T08:49:30Z".parse().unwrap();
        let asked = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            retry_after(&headers, now)
        };
        assert_eq!(asked("3"), Some(Duration::from_secs(3)));
        let date = |time| format!("Sun, 06 Nov 1994 {time} GMT");
        assert_eq!(asked(&date("08:49:37")), Some(Duration::from_secs(7)));
        assert_eq!(asked(&date("08:49:00")), Some(Duration::ZERO));
        assert_eq!(asked("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
