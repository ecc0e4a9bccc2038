//! Ending well on a signal.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code after a second signal: nothing was finished.
const EXIT_ABORTED: i32 = 130;

/// A token that the first SIGTERM or SIGINT cancels. The second one ends the process at once.
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
                _ = terminate.recv() => (),
                _ = interrupt.recv() => (),
            }
        };
        next().await;
        token.cancel();
        next().await;
        std::process::exit(EXIT_ABORTED);
    });
    Ok(stop)
}
