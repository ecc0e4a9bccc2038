//! Signals: the first one ends a command well, the second one ends it at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code after a second signal: the command was not finished.
const EXIT_ABORTED: i32 = 130;

/// A token that the first SIGTERM or SIGINT cancels. The second one ends the process.
///
/// # Errors
/// If the signal handlers cannot be installed.
pub(crate) fn stop_on_signal() -> std::io::Result<CancellationToken> {
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
