//! Settings that programs share.

use clap::Args;
use edge::settings::{LimitArgs, ServerArgs};
use queue::{
    redis::{Address, AddressError},
    settings::QueueArgs,
};
use runtime::telemetry::LogArgs;
use secrecy::SecretString;

/// Settings that every program has.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// How large requests may be.
    #[command(flatten)]
    pub limits: LimitArgs,

    /// How it listens and stops.
    #[command(flatten)]
    pub server: ServerArgs,

    /// What it logs.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Settings of a program that needs Redis.
#[derive(Debug, Clone, Args)]
pub struct RedisArgs {
    /// Redis server.
    #[arg(
        long,
        help = "Redis: redis://[USER:PASSWORD@]HOST:PORT[/DB], redis-sentinel://HOST,HOST/NAME or redis-cluster://HOST,HOST; rediss for TLS",
        env,
        default_value = "redis://127.0.0.1:6379",
        value_name = "URL",
        hide_env_values = true
    )]
    pub redis_url: SecretString,

    /// Which queue.
    #[command(flatten)]
    pub queue: QueueArgs,
}

impl RedisArgs {
    /// Where the queue is.
    ///
    /// # Errors
    /// [`AddressError`] if the address cannot be used.
    pub fn address(&self) -> Result<Address, AddressError> {
        self.queue.address(&self.redis_url)
    }
}
