use std::net::SocketAddr;

use clap::{Parser, Subcommand};
use edge::{
    auth::command::Keys,
    healthcheck::Healthcheck,
    settings::{LimitArgs, ServerArgs},
};
use queue::{
    QueueError,
    redis::acl::{Acl, Program},
    settings::{PublishArgs, QueueArgs},
};
use runtime::{
    settings::{self, Secret},
    telemetry::LogArgs,
};

/// Accepts events over HTTP and queues them in Redis.
#[derive(Debug, Clone, Parser)]
#[command(name = "publisher", version)]
pub struct Settings {
    /// Address and port to listen on
    #[arg(long, env, default_value = "127.0.0.1:8080", value_name = "ADDRESS",
          value_parser = settings::bind_address)]
    pub bind_addr: SocketAddr,

    /// Redis server.
    #[arg(
        long,
        help = "Redis server: redis://[USER:PASSWORD@]HOST:PORT[/DB], rediss:// for TLS",
        env,
        default_value = "redis://127.0.0.1:6379",
        value_name = "URL",
        hide_env_values = true
    )]
    pub redis_url: Secret,

    /// Which queue.
    #[command(flatten)]
    pub queue: QueueArgs,

    /// How full the queue may get.
    #[command(flatten)]
    pub publishing: PublishArgs,

    /// How large requests may be.
    #[command(flatten)]
    pub limits: LimitArgs,

    /// How it listens and stops.
    #[command(flatten)]
    pub server: ServerArgs,

    /// What it logs.
    #[command(flatten)]
    pub log: LogArgs,

    /// Instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Settings {
    /// The command that gives a Redis user the least rights that this program needs.
    ///
    /// # Errors
    /// [`QueueError`] if the address of Redis cannot be used.
    pub fn acl(&self, acl: &Acl) -> Result<String, QueueError> {
        let address = self.queue.address(&self.redis_url)?;
        Ok(address.acl(Program::Publisher, &acl.user))
    }
}

/// What to do instead of serving.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Ask the server at `BIND_ADDR` whether it is alive, and end; exit code 1 if it is not
    Healthcheck(Healthcheck),
    /// Print the `OpenAPI` description of what is served, and end
    #[command(name = "openapi")]
    OpenApi,
    /// Make API keys
    #[command(subcommand)]
    Keys(Keys),
    /// Print the command that gives a Redis user the least rights that this program needs, and end
    Acl(Acl),
}
