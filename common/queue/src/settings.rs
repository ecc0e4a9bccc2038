//! The settings of a queue.

use std::path::PathBuf;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use crate::redis::{Address, AddressError, QueueName};

/// Which queue.
#[derive(Debug, Clone, Args)]
pub struct QueueArgs {
    /// Name of the queue; its keys in Redis begin with {NAME}:
    #[arg(long, env, default_value = "events", value_name = "NAME")]
    pub queue_name: QueueName,

    /// Authorities to trust instead of the public ones, for rediss:// addresses; PEM
    #[arg(long, env, value_name = "PATH")]
    pub redis_ca_cert: Option<PathBuf>,
}

impl QueueArgs {
    /// Where the queue is, in the Redis at `url`.
    ///
    /// # Errors
    /// [`AddressError`] if that is not an address, or the authorities cannot be used.
    pub fn address(&self, url: &SecretString) -> Result<Address, AddressError> {
        let address = Address::new(url.expose_secret(), self.queue_name.clone())?;
        match &self.redis_ca_cert {
            Some(file) => address.trusting(file),
            None => Ok(address),
        }
    }
}

/// How a publisher treats the queue.
#[derive(Debug, Clone, Copy, Args)]
pub struct PublishArgs {
    /// Most events that may wait in the queue; beyond, publishing answers 503
    #[arg(long, env, default_value_t = Self::QUEUE_MAX_LEN, value_name = "EVENTS",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub queue_max_len: u64,
}

impl PublishArgs {
    /// The default of [`queue_max_len`](Self::queue_max_len).
    pub const QUEUE_MAX_LEN: u64 = 1_000_000;
}
