use std::net::SocketAddr;

use clap::Parser;
use program::{Command, CommonArgs, RedisArgs};
use queue::settings::PublishArgs;
use runtime::settings;

/// Accepts events over HTTP and queues them in Redis.
#[derive(Debug, Clone, Parser)]
#[command(name = "publisher", version)]
pub struct Settings {
    /// Address and port to listen on
    #[arg(long, env, default_value = "127.0.0.1:8080", value_name = "ADDRESS",
          value_parser = settings::bind_address)]
    pub bind_addr: SocketAddr,

    /// Which queue, in which Redis.
    #[command(flatten)]
    pub redis: RedisArgs,

    /// How full the queue may get.
    #[command(flatten)]
    pub publishing: PublishArgs,

    /// What every program has.
    #[command(flatten)]
    pub common: CommonArgs,

    /// Instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}
