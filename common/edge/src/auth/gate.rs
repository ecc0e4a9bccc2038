//! The keys in force. They follow their file: a key that is removed from it stops working at once, without any key
//! nobody is let in, and a file that cannot be read changes nothing.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use runtime::files;
use tokio_util::sync::CancellationToken;

use super::{
    Caller, Keyring, LocalHosts,
    file::{KeysFileError, MAX_KEYS},
    key,
};

/// A file is no longer than this, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * MAX_KEYS as u64;

/// Lets callers in, or not.
#[derive(Clone)]
pub struct Gate(Arc<State>);

enum State {
    Open,
    Local(LocalHosts),
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
    #[error("API_KEYS_FILE {}: {source}; make the file, or unset API_KEYS_FILE", shown(.path))]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is in it cannot be used.
    #[error("API_KEYS_FILE {}: {source}", shown(.path))]
    Keys {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: KeysFileError,
    },
}

impl Gate {
    /// Everybody may do everything.
    #[must_use]
    pub fn open() -> Self {
        Self(Arc::new(State::Open))
    }

    /// Everybody on this machine, which is called by its own names or by one of `hosts`, may do everything.
    #[must_use]
    pub fn local(hosts: LocalHosts) -> Self {
        Self(Arc::new(State::Local(hosts)))
    }

    /// Whether a client may call the server by this name: if there are no keys and it is for this machine only, not by
    /// any.
    #[must_use]
    pub fn allows_host(&self, host: &str) -> bool {
        match &*self.0 {
            State::Local(hosts) => hosts.allow(host),
            State::Open | State::Keys { .. } => true,
        }
    }

    /// Only holders of the keys in this file.
    ///
    /// # Errors
    /// [`GateError`] if it cannot be used.
    pub fn with_keys(path: &Path) -> Result<Self, GateError> {
        let current = Loaded::read(path)?;
        current.warn_if_empty();
        Ok(Self(Arc::new(State::Keys {
            path: path.to_owned(),
            current: RwLock::new(current),
        })))
    }

    /// Whether everybody may do everything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(*self.0, State::Open | State::Local(_))
    }

    /// Who sent this, if they are known: `sent` is the key that came with a request.
    #[must_use]
    pub fn admit(&self, sent: Option<&str>) -> Option<Caller> {
        match &*self.0 {
            State::Open | State::Local(_) => Some(Caller::Anyone),
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

    /// Follows the file until `stop`.
    pub(crate) async fn follow(&self, stop: CancellationToken) {
        let State::Keys { path, current } = &*self.0 else {
            return;
        };
        let look = || {
            let mut loaded = Loaded::read(path)?;
            let mut current = current.write().unwrap_or_else(PoisonError::into_inner);
            if loaded.text != current.text {
                // Nobody else has it yet.
                if let Some(keys) = Arc::get_mut(&mut loaded.keys) {
                    keys.go_on_from(&current.keys);
                }
                tracing::info!(keys.count = loaded.keys.len(), "API keys were read again");
                loaded.warn_if_empty();
                *current = loaded;
            }
            Ok::<_, GateError>(())
        };
        files::follow(stop, "the keys from before stay in force", look).await;
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

    fn warn_if_empty(&self) {
        if self.keys.is_empty() {
            tracing::warn!(
                "there is no key in API_KEYS_FILE, so nobody is let in; make one with the command `keys new`"
            );
        }
    }
}

/// A key in the place of the path is not repeated.
fn shown(path: &Path) -> String {
    let path = path.display().to_string();
    if key::is_in(&path) {
        "(a key stands where the path of a file should)".to_owned()
    } else {
        path
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let bytes = files::read(path, MAX_FILE_BYTES)?;
    // Without the bytes, which the error of `from_utf8` has in it.
    String::from_utf8(bytes)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}
