//! Servers in containers.

use std::time::Duration;

use anyhow::Context;
use testcontainers_modules::{
    postgres::Postgres,
    redis::Redis,
    testcontainers::{ContainerAsync, Image, ImageExt, runners::AsyncRunner},
};
use tokio::time::timeout;

use super::{Guard, Server};

/// Tags of the images; the variables set others.
const REDIS_TAG: (&str, &str) = ("TEST_REDIS_TAG", "8");
const POSTGRES_TAG: (&str, &str) = ("TEST_POSTGRES_TAG", "17");
/// How long an image may take to be pulled and started.
const STARTED_WITHIN: Duration = Duration::from_mins(3);
const REDIS_PORT: u16 = 6379;
const POSTGRES_PORT: u16 = 5432;

pub(super) async fn redis() -> anyhow::Result<Server> {
    let tag = tag(REDIS_TAG);
    let container = start(Redis::default().with_tag(&tag).start()).await?;
    let address = address(&container, REDIS_PORT).await?;
    eprintln!("tests: Redis from the container image redis:{tag}");
    server(container, format!("redis://{address}"))
}

pub(super) async fn postgres() -> anyhow::Result<Server> {
    let tag = tag(POSTGRES_TAG);
    let image = Postgres::default().with_tag(&tag).with_cmd([
        "postgres",
        "-c",
        "max_connections=300",
        "-c",
        "fsync=off",
    ]);
    let container = start(image.start()).await?;
    let address = address(&container, POSTGRES_PORT).await?;
    eprintln!("tests: PostgreSQL from the container image postgres:{tag}");
    let url = format!("postgres://postgres:postgres@{address}/postgres");
    server(container, url)
}

fn tag((variable, default): (&str, &str)) -> String {
    std::env::var(variable).unwrap_or_else(|_| default.to_owned())
}

async fn start<I: Image, E: std::error::Error + Send + Sync + 'static>(
    starting: impl Future<Output = Result<ContainerAsync<I>, E>>,
) -> anyhow::Result<ContainerAsync<I>> {
    let started = timeout(STARTED_WITHIN, starting).await;
    Ok(started.context("the container did not start in time")??)
}

async fn address<I: Image>(container: &ContainerAsync<I>, port: u16) -> anyhow::Result<String> {
    let host = container.get_host().await?;
    let port = container.get_host_port_ipv4(port).await?;
    Ok(format!("{host}:{port}"))
}

/// The container is removed when this process ends, in whichever way.
fn server<I: Image>(container: ContainerAsync<I>, url: String) -> anyhow::Result<Server> {
    let guard = Guard::run_afterwards(&["docker", "rm", "--force", "--volumes", container.id()])?;
    // Its own destructor would need a runtime that is still there.
    std::mem::forget(container);
    Ok(Server {
        url,
        _guard: Some(guard),
    })
}
