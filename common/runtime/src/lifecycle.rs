//! Starting and stopping: signals, and retrying what is away.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// First pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Pauses double up to this one; jitter comes on top.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Exit code after a second signal: nothing was finished.
const EXIT_ABORTED: i32 = 130;

/// SIGHUP ends nothing from now on, whether somebody follows files or not. Call it within the runtime, first thing.
///
/// # Errors
/// If the signal handler cannot be installed.
pub fn outlive_hang_ups() -> std::io::Result<()> {
    // The handler stays for as long as the process lives. Code that follows files gets the signal, too.
    signal(SignalKind::hangup()).map(drop)
}

/// A token that the first SIGTERM or SIGINT cancels. The second one ends the process at once. Stopping comes before
/// telling: it does not depend on whether the log can be written.
///
/// # Errors
/// If the signal handlers cannot be installed.
pub fn stop_on_signal() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let name = next().await;
        token.cancel();
        tracing::info!(signal.name = name, "stopping; a second signal ends at once");
        next().await;
        std::process::exit(EXIT_ABORTED);
    });
    Ok(stop)
}

/// Pauses between attempts: exponential with jitter, each bounded. The number of attempts is not:
/// a caller that retries also watches a token.
#[derive(Debug)]
pub struct Backoff(ExponentialBackoff);

impl Default for Backoff {
    fn default() -> Self {
        Self(
            ExponentialBuilder::default()
                .with_min_delay(FIRST_PAUSE)
                .with_max_delay(LONGEST_PAUSE)
                .without_max_times()
                .with_jitter()
                .build(),
        )
    }
}

impl Backoff {
    /// Pauses. `false`: `stop` was cancelled meanwhile.
    pub async fn pause(&mut self, stop: &CancellationToken) -> bool {
        tokio::select! {
            () = self.sleep() => true,
            () = stop.cancelled() => false,
        }
    }

    /// Pauses whatever happens; for a bounded number of attempts.
    pub async fn sleep(&mut self) {
        let pause = self.0.next().unwrap_or(LONGEST_PAUSE);
        tokio::time::sleep(pause).await;
    }
}
