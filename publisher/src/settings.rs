use std::net::SocketAddr;

use clap::Parser;
use common::config::{LimitArgs, LogArgs, PublishArgs, QueueArgs, Secret, ServerArgs};

/// Accepts events over HTTP and queues them in Redis.
#[derive(Debug, Clone, Parser)]
#[command(name = "publisher", version)]
pub struct Settings {
    /// Address and port to listen on
    #[arg(long, env, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
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
}
