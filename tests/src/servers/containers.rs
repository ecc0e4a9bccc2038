//! Servers in containers, where there is a Docker engine.

use std::{env, sync::LazyLock, time::Duration};

use anyhow::{Context, Result, ensure};
use testcontainers_modules::testcontainers::{
    self, ContainerRequest, ImageExt, runners::AsyncRunner,
};
use tokio::{process::Command, runtime::Runtime, time::timeout};

use super::{guard::Guard, names::unique};

/// How long the engine may take to say that it is there.
const ENGINE_ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// How long a container may take to be ready, with the download of its image.
const READY_WITHIN: Duration = Duration::from_mins(3);

/// All tests of a process share the engine's client, so it lives in a runtime that outlives a test's.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Runtime::new().expect("a runtime for the Docker client"));

/// The Redis that tests run in a container, unless `TEST_REDIS_IMAGE` names another: that of `docker-compose.yml`.
pub const REDIS_IMAGE: &str = "redis:8";
/// The PostgreSQL, unless `TEST_POSTGRES_IMAGE` names another.
pub const POSTGRES_IMAGE: &str = "postgres:17";

/// An image.
pub(super) struct Image {
    /// The environment variable that names another image to use.
    pub(super) variable: &'static str,
    /// The image to use if that is not set: NAME:TAG.
    pub(super) default: &'static str,
    /// The port that its server listens on.
    pub(super) port: u16,
}

/// A server in a container, which is removed when this is dropped.
pub struct Container {
    pub(super) url: String,
    /// What it is, for people.
    pub(super) origin: String,
    _guard: Guard,
}

/// Starts a container of `image`, as `request` says for its name and tag. `url` makes the address for clients of HOST:PORT.
pub(super) async fn start<I: testcontainers::Image + 'static>(
    image: &Image,
    url: fn(&str) -> String,
    request: impl FnOnce(&str, &str) -> ContainerRequest<I>,
) -> Result<Container> {
    engine_answers().await?;
    let (variable, port) = (image.variable, image.port);
    let image = env::var(variable).unwrap_or_else(|_| image.default.to_owned());
    let (name, tag) = image
        .rsplit_once(':')
        .with_context(|| format!("{variable}={image} has no tag: write NAME:TAG"))?;
    let container = unique("container");
    let request = request(name, tag)
        .with_container_name(&container)
        .with_startup_timeout(READY_WITHIN);
    // Before the container, so that a test can be killed at any moment.
    let guard = Guard::container(&container)?;
    let starting = RUNTIME.spawn(async move {
        let container = request.start().await?;
        let host = container.get_host().await?;
        let port = container.get_host_port_ipv4(port).await?;
        // The guard removes it. Its destructor would need the runtime of whoever drops it.
        std::mem::forget(container);
        anyhow::Ok((host, port))
    });
    let stop = starting.abort_handle();
    let (host, port) = timeout(READY_WITHIN, starting)
        .await
        .inspect_err(|_| stop.abort())
        .with_context(|| format!("{image} is not ready within {READY_WITHIN:?}"))??
        .with_context(|| format!("{image} does not start"))?;
    Ok(Container {
        url: url(&format!("{host}:{port}")),
        origin: format!("a container of {image} on port {port}"),
        _guard: guard,
    })
}

async fn engine_answers() -> Result<()> {
    let mut docker = Command::new("docker");
    docker
        .args(["version", "--format", "{{.Server.Version}}"])
        .kill_on_drop(true);
    let answer = timeout(ENGINE_ANSWERS_WITHIN, docker.output()).await;
    let answer = answer
        .context("the Docker engine does not answer")?
        .context("no program docker")?;
    ensure!(answer.status.success(), "no Docker engine answers");
    Ok(())
}
