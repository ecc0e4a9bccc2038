//! Why a program did not start.

use std::error::Error;

use edge::settings::ConfigError;
use queue::redis::AddressError;

/// Why a program did not start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A setting of the server cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The queue's address cannot be used.
    #[error(transparent)]
    Queue(#[from] AddressError),
    /// The database's address, or its file, cannot be used.
    #[error(transparent)]
    Database(Box<dyn Error + Send + Sync>),
    /// The system gives no socket.
    #[error("the listening socket cannot be used: {0}; try to start again")]
    Socket(#[from] std::io::Error),
}
