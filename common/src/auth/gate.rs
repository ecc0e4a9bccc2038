//! The keys in force. They follow their file: a key that is removed from it stops working at once, and
//! a file that cannot be read changes nothing.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    Caller, Keyring,
    keyring::{KeyringError, MAX_KEYS},
};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A file is no longer than this, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * MAX_KEYS as u64;

/// Lets callers in, or not.
#[derive(Clone)]
pub struct Gate(Arc<State>);

enum State {
    Open,
    Keys {
        path: PathBuf,
        current: RwLock<Loaded>,
    },
}

struct Loaded {
    text: String,
    keys: Arc<Keyring>,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// It cannot be read.
    #[error("API_KEYS_FILE {}: {source}; make the file, or unset API_KEYS_FILE", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is in it cannot be used.
    #[error("API_KEYS_FILE {}: {source}", .path.display())]
    Keys {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: KeyringError,
    },
}

impl Gate {
    /// Everybody may do everything.
    #[must_use]
    pub fn open() -> Self {
        Self(Arc::new(State::Open))
    }

    /// Only holders of the keys in this file.
    ///
    /// # Errors
    /// [`GateError`] if it cannot be used.
    pub fn with_keys(path: &Path) -> Result<Self, GateError> {
        let current = Loaded::read(path)?;
        Ok(Self(Arc::new(State::Keys {
            path: path.to_owned(),
            current: RwLock::new(current),
        })))
    }

    /// Whether everybody may do everything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(*self.0, State::Open)
    }

    /// Who sent this, if they are known: `sent` is the key that came with a request.
    #[must_use]
    pub fn admit(&self, sent: Option<&str>) -> Option<Caller> {
        match &*self.0 {
            State::Open => Some(Caller::Anyone),
            State::Keys { current, .. } => {
                let keys = current
                    .read()
                    .unwrap_or_else(PoisonError::into_inner)
                    .keys
                    .clone();
                keys.find(sent?).cloned().map(Caller::Holder)
            }
        }
    }

    /// Follows the file until `stop`: looks at it every second, and on SIGHUP.
    ///
    /// # Errors
    /// If the signal cannot be listened to.
    pub async fn follow(&self, stop: CancellationToken) -> io::Result<()> {
        let State::Keys { path, current } = &*self.0 else {
            return Ok(());
        };
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut failing = false;
        loop {
            tokio::select! {
                // Once a second, or earlier if told to.
                _ = timeout(LOOK_EVERY, hang_up.recv()) => {}
                () = stop.cancelled() => return Ok(()),
            }
            match Loaded::read(path) {
                Ok(loaded) => {
                    failing = false;
                    let mut current = current.write().unwrap_or_else(PoisonError::into_inner);
                    if loaded.text != current.text {
                        tracing::info!(keys.count = loaded.keys.len(), "API keys were read again");
                        *current = loaded;
                    }
                }
                Err(error) => {
                    if !failing {
                        tracing::error!("{error}; the keys from before stay in force");
                    }
                    failing = true;
                }
            }
        }
    }
}

impl Loaded {
    fn read(path: &Path) -> Result<Self, GateError> {
        let text = read_text(path).map_err(|source| GateError::File {
            path: path.to_owned(),
            source,
        })?;
        let keys = Keyring::parse(&text).map_err(|source| GateError::Keys {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            text,
            keys: Arc::new(keys),
        })
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut file = File::open(path)?.take(MAX_FILE_BYTES + 1);
    file.read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        let detail = format!("it has more than {MAX_FILE_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, detail));
    }
    Ok(text)
}
