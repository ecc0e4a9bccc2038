//! Runs a command with a Redis and a PostgreSQL for the tests, and stops them afterwards:
//! `with-servers cargo nextest run`. A test runner that gives each test a process of its own would
//! otherwise start servers for every test.

use std::{
    env,
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus},
    time::Duration,
};

use anyhow::{Context, Result};
use tests::{
    programs,
    servers::{Kind, Postgres, Redis, Server},
};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    time::timeout,
};

/// How long the command may take to end after a signal.
const ENDS_WITHIN: Duration = Duration::from_secs(30);
/// As shells have it: the exit code for a command that a signal ended is this and its number.
const SIGNALLED: i32 = 128;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let program = arguments
        .next()
        .context("usage: with-servers COMMAND [ARGUMENT…]")?;
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );

    let servers = async { tokio::join!(Server::find::<Redis>(), Server::find::<Postgres>()) };
    let (redis, postgres) = tokio::select! {
        servers = servers => servers,
        _ = interrupt.recv() => return Ok(exit_code(SIGNALLED + 2)),
        _ = terminate.recv() => return Ok(exit_code(SIGNALLED + 15)),
    };
    let mut command = Command::new(&program)
        .args(arguments)
        .env(Redis::VARIABLE, redis.url())
        .env(Postgres::VARIABLE, postgres.url())
        .spawn()
        .with_context(|| format!("{} cannot be started", program.display()))?;
    let status = tokio::select! {
        status = command.wait() => status?,
        // The terminal has sent it to the command, too.
        _ = interrupt.recv() => end(&mut command).await?,
        _ = terminate.recv() => {
            if let Some(id) = command.id() {
                programs::signal(id, "TERM");
            }
            end(&mut command).await?
        }
    };
    Ok(exit_code(status.code().unwrap_or_else(|| {
        SIGNALLED + status.signal().unwrap_or_default()
    })))
}

async fn end(command: &mut Child) -> Result<ExitStatus> {
    if let Ok(status) = timeout(ENDS_WITHIN, command.wait()).await {
        return Ok(status?);
    }
    command.kill().await?;
    Ok(command.wait().await?)
}

fn exit_code(code: i32) -> ExitCode {
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}
