//! `with-servers COMMAND…` finds or starts Redis and PostgreSQL, and runs a command with their
//! addresses in `TEST_REDIS_URL` and `TEST_DATABASE_URL`. For test runners that start a process for
//! each test: they would start servers for each test too.

use std::process::{Command, ExitCode};

use anyhow::Context;
use tests::servers::Server;

const EXIT_ENDED_BY_SIGNAL: u8 = 1;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().context("usage: with-servers COMMAND…")?;
    let (redis, postgres) = (Server::redis().await, Server::postgres().await);
    let status = Command::new(&program)
        .args(arguments)
        .env("TEST_REDIS_URL", &redis.url)
        .env("TEST_DATABASE_URL", &postgres.url)
        .status()
        .with_context(|| format!("{} cannot be run", program.display()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(EXIT_ENDED_BY_SIGNAL)))
}
