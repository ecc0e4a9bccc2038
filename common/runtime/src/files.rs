//! Files that settings name: read up to a bound, and followed while the process runs.

use std::{
    fmt::Display,
    fs::File,
    future::pending,
    io::{self, Read},
    path::Path,
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// How often files are looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So many looks in a row fail before that is logged: files that belong together, such as a certificate
/// and its key, are replaced one after the other.
const FAILURES_BEFORE_LOG: u32 = 3;

/// All of a file, which has no more than `max_bytes`.
///
/// # Errors
/// If it cannot be read, or is longer.
pub fn read(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(max_bytes + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        let detail = format!("it has more than {max_bytes} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, detail));
    }
    Ok(bytes)
}

/// Calls `look` every second and on SIGHUP, until `stop`. What fails is logged once, with `kept`, which
/// says what stays in force. After a SIGHUP it does so at once, because somebody waits for it.
pub async fn follow<E: Display>(
    stop: CancellationToken,
    kept: &str,
    mut look: impl FnMut() -> Result<(), E>,
) {
    let mut hang_up = signal(SignalKind::hangup())
        .inspect_err(|error| {
            tracing::warn!(%error, "SIGHUP cannot be listened to; files are still looked at every second");
        })
        .ok();
    let (mut failures, mut logged) = (0_u32, false);
    loop {
        let told = tokio::select! {
            told = timeout(LOOK_EVERY, next(hang_up.as_mut())) => told.is_ok(),
            () = stop.cancelled() => return,
        };
        match look() {
            Ok(()) => (failures, logged) = (0, false),
            Err(error) => {
                failures = failures.saturating_add(1);
                if told || (failures >= FAILURES_BEFORE_LOG && !logged) {
                    tracing::error!("{error}; {kept}");
                    logged = true;
                }
            }
        }
    }
}

async fn next(signal: Option<&mut Signal>) {
    let received = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if received.is_none() {
        // No signal can come any more.
        pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, fs};

    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let path = std::env::temp_dir().join(format!("bound-{}", std::process::id()));
        fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        let error = read(&path, 4).unwrap_err();
        fs::remove_file(&path).unwrap();
        assert!(error.to_string().contains("more than 4 bytes"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_looked_at_again_until_the_end() {
        let (stop, looks) = (CancellationToken::new(), Cell::new(0));
        let look = || {
            looks.set(looks.get() + 1);
            if looks.get() == 5 {
                stop.cancel();
            }
            Err("broken")
        };
        follow(stop.clone(), "all stays as it was", look).await;
        assert_eq!(looks.get(), 5);
    }
}
