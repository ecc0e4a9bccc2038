//! How long to wait before a request is repeated, and when to give up.

use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

/// How long a request is repeated, and how long the pauses in between are.
///
/// A request is repeated while the server cannot be reached, while it does not answer, and after an answer with the status
/// 429, 502, 503 or 504. Each pause is twice as long as the one before, with a random part on top. A `Retry-After` of the
/// server comes before that pause, so that clients that were told the same time do not come back all at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How long one request is repeated; no attempt begins later. Zero: it is tried once.
    pub patience: Duration,
    /// The first pause.
    pub first_pause: Duration,
    /// The longest pause, without its random part, which is at most as long again.
    pub longest_pause: Duration,
    /// The longest `Retry-After` that is followed. A server that asks for more is asked again after this time.
    pub longest_retry_after: Duration,
}

impl Default for RetryPolicy {
    /// A patience of a minute, pauses from 100 ms to 5 s, and a `Retry-After` of up to a minute.
    fn default() -> Self {
        Self {
            patience: Duration::from_mins(1),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            longest_retry_after: Duration::from_mins(1),
        }
    }
}

impl RetryPolicy {
    /// The default with another patience.
    #[must_use]
    pub fn within(patience: Duration) -> Self {
        Self {
            patience,
            ..Self::default()
        }
    }

    /// The pauses of one request that begins now.
    pub(crate) fn pauses(self) -> Pauses {
        Pauses {
            policy: self,
            backoff: ExponentialBuilder::default()
                .with_min_delay(self.first_pause)
                .with_max_delay(self.longest_pause)
                .without_max_times()
                .with_jitter()
                .build(),
            deadline: Instant::now() + self.patience,
        }
    }
}

/// The pauses of one request.
#[derive(Debug)]
pub(crate) struct Pauses {
    policy: RetryPolicy,
    backoff: ExponentialBackoff,
    deadline: Instant,
}

impl Pauses {
    /// How long to wait now; `None` if it is time to give up.
    pub(crate) fn next(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        let asked = retry_after.unwrap_or_default();
        let asked = asked.min(self.policy.longest_retry_after);
        let pause = asked + self.backoff.next().unwrap_or(self.policy.longest_pause);
        (Instant::now() + pause <= self.deadline).then_some(pause)
    }
}

/// The time that `Retry-After` asks for, which is a number of seconds or a date
/// ([RFC 9110, section 10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    // A date in the past asks for no time.
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_end_with_the_patience() {
        let policy = RetryPolicy::within(PATIENCE);
        let (mut pauses, start) = (policy.pauses(), Instant::now());
        let mut all = Vec::new();
        while let Some(pause) = pauses.next(None) {
            all.push(pause);
            tokio::time::advance(pause).await;
        }
        assert!(all[0] >= policy.first_pause && all[0] <= policy.first_pause * 2);
        assert!(all.iter().all(|pause| *pause <= policy.longest_pause * 2));
        assert!(start.elapsed() <= PATIENCE);
        assert!((6..=20).contains(&all.len()), "{all:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_is_not_asked_before_the_time_it_asked_for() {
        let mut pauses = RetryPolicy::within(PATIENCE).pauses();
        let asked = Duration::from_secs(7);
        assert!(pauses.next(Some(asked)).unwrap() > asked);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_asks_for_more_than_the_patience_is_given_up() {
        let mut pauses = RetryPolicy::within(PATIENCE).pauses();
        assert_eq!(pauses.next(Some(Duration::from_hours(1))), None);
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        let date = |time| format!("Sun, 06 Nov 1994 {time} GMT");
        let now = httpdate::parse_http_date(&date("08:49:30")).unwrap();
        let asked = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            retry_after(&headers, now)
        };
        assert_eq!(asked("3"), Some(Duration::from_secs(3)));
        assert_eq!(asked(&date("08:49:37")), Some(Duration::from_secs(7)));
        assert_eq!(asked(&date("08:49:00")), Some(Duration::ZERO));
        assert_eq!(asked("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
