//! The settings of a queue.

use std::path::PathBuf;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use crate::redis::{Address, AddressError, MAX_SHARDS, QueueName};

/// The most replicas that are waited for.
const MAX_REPLICAS: i64 = 5;

/// Which queue.
#[derive(Debug, Clone, Args)]
pub struct QueueArgs {
    /// Name of the queue; its keys in Redis begin with {NAME}:
    #[arg(long, env, default_value = "events", value_name = "NAME")]
    pub queue_name: QueueName,

    /// Shards of the queue, of which each may be on another server of a cluster; the same number for all programs
    #[arg(long, env, default_value_t = 1, value_name = "COUNT",
          value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_SHARDS)))]
    pub queue_shards: u16,

    /// Replicas that must have a batch before it is accepted, and a claim before it is stored
    #[arg(long, env, default_value_t = 0, value_name = "COUNT",
          value_parser = clap::value_parser!(u8).range(0..=MAX_REPLICAS))]
    pub redis_wait_replicas: u8,

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
        let address = match &self.redis_ca_cert {
            Some(file) => address.trusting(file)?,
            None => address,
        };
        Ok(address
            .waiting_for_replicas(self.redis_wait_replicas)
            .in_shards(self.queue_shards))
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
