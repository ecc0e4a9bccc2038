//! `docker compose`, on a project of the test's own.

use std::{env, process::Output, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::Client;
use serde_json::Value;
use tokio::{process::Command, time::timeout};

use crate::{eventually, programs::free_ports};

/// How long any command may take. The longest waits for a PostgreSQL that makes its tables.
const COMMAND_WITHIN: Duration = Duration::from_mins(3);
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long draining may take: at most two leases, and the work.
const DRAINED_WITHIN: Duration = Duration::from_mins(3);
/// How long a probe may take to come round.
const HEALTHY_WITHIN: Duration = Duration::from_mins(1);
/// How many ports each service gets.
const PORTS: u16 = 4;

/// The folder of `docker-compose.yml`.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The project named in `COMPOSE_PROJECT_NAME`.
pub struct Compose {
    file: &'static str,
    /// The services that publish the ports of publishers and aggregators.
    doors: [&'static str; 2],
    publisher_ports: String,
    aggregator_ports: String,
    http: Client,
}

impl Compose {
    /// `docker-compose.yml` on free ports, of which only the first are published until [`Compose::more_ports`].
    ///
    /// # Errors
    /// If the environment names no project: then it would be the one that people use.
    pub fn single() -> Result<Self> {
        Self::new("docker-compose.yml", ["publisher", "aggregator"])
    }

    /// `docker-compose.cluster.yml` on free ports.
    ///
    /// # Errors
    /// As with [`Compose::single`].
    pub fn cluster() -> Result<Self> {
        Self::new("docker-compose.cluster.yml", ["haproxy"; 2])
    }

    fn new(file: &'static str, doors: [&'static str; 2]) -> Result<Self> {
        env::var_os("COMPOSE_PROJECT_NAME").context("run this by scripts/test-stack")?;
        Ok(Self {
            file,
            doors,
            publisher_ports: free_ports(1).start.to_string(),
            aggregator_ports: free_ports(1).start.to_string(),
            http: crate::http::builder().timeout(ANSWER_WITHIN).build()?,
        })
    }

    /// From now on there is room for several containers of a service.
    pub fn more_ports(&mut self) {
        for ports in [&mut self.publisher_ports, &mut self.aggregator_ports] {
            let free = free_ports(PORTS);
            *ports = format!("{}-{}", free.start, free.end - 1);
        }
    }

    /// Runs `docker compose ARGUMENTS` and returns what it prints.
    pub async fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("docker");
        command
            .args(["compose", "--progress=quiet", "--file", self.file])
            .args(arguments);
        command
            .env("PUBLISHER_PORT", &self.publisher_ports)
            .env("AGGREGATOR_PORT", &self.aggregator_ports)
            .current_dir(FOLDER);
        output(command).await
    }

    /// Brings everything up and waits until it is ready.
    pub async fn up(&self, arguments: &[&str]) -> Result<()> {
        let up = ["up", "--detach", "--wait", "--no-build"];
        self.run(&[&up, arguments].concat()).await?;
        Ok(())
    }

    /// `kill -9` of a service, all of it.
    pub async fn kill(&self, service: &str) -> Result<()> {
        self.run(&["kill", "--signal=SIGKILL", service]).await?;
        Ok(())
    }

    /// Lets a paused service go on, and waits until a probe has seen that it does: until then Compose takes it for
    /// unhealthy.
    pub async fn unpause(&self, service: &str) -> Result<()> {
        self.run(&["unpause", service]).await?;
        eventually("it is healthy again", HEALTHY_WITHIN, async || {
            let status = self.run(&["ps", "--format={{.Health}}", service]).await;
            status.is_ok_and(|status| status.trim() == "healthy")
        })
        .await;
        Ok(())
    }

    /// What a command in a service prints.
    pub async fn exec(&self, service: &str, command: &[&str]) -> Result<String> {
        self.run(&[&["exec", "-T", service], command].concat())
            .await
    }

    /// What `docker inspect` says of each container, also of those that have ended.
    pub async fn inspect(&self) -> Result<Vec<Value>> {
        let ids = self.run(&["ps", "--all", "--quiet"]).await?;
        let mut command = Command::new("docker");
        command.arg("inspect").args(ids.lines());
        Ok(serde_json::from_str(&output(command).await?)?)
    }

    /// Where the publishers can be reached from outside.
    pub async fn publishers(&self, count: usize) -> Result<Vec<String>> {
        self.published(self.doors[0], "8080", count).await
    }

    /// Where the aggregators can be reached from outside.
    pub async fn aggregators(&self, count: usize) -> Result<Vec<String>> {
        self.published(self.doors[1], "8081", count).await
    }

    async fn published(&self, service: &str, port: &str, count: usize) -> Result<Vec<String>> {
        let mut urls = Vec::with_capacity(count);
        for index in 1..=count {
            let index = format!("--index={index}");
            let address = self.run(&["port", &index, service, port]).await?;
            urls.push(format!("http://{}", address.trim()));
        }
        Ok(urls)
    }

    /// The counters of one aggregator.
    pub async fn stats(&self, aggregator: &str) -> Result<Value> {
        let answer = self.http.get(format!("{aggregator}/stats")).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// The counters, once everything acknowledged is counted and nothing waits.
    pub async fn drained(&self, acknowledged: i64) -> Result<Value> {
        let aggregator = self.aggregators(1).await?.remove(0);
        let drained = eventually("the queue is drained", DRAINED_WITHIN, async || {
            let stats = self.stats(&aggregator).await.ok()?;
            let queue = &stats["queue"];
            let empty = queue["pending"] == 0 && queue["processing"] == 0;
            (empty && stats["received"].as_i64()? >= acknowledged).then_some(stats)
        });
        Ok(drained.await)
    }
}

async fn output(mut command: Command) -> Result<String> {
    let said = format!("{:?}", command.as_std());
    let running = command.kill_on_drop(true).output();
    let Output {
        status,
        stdout,
        stderr,
    } = timeout(COMMAND_WITHIN, running)
        .await
        .with_context(|| format!("{said} does not end within {COMMAND_WITHIN:?}"))?
        .context("no program docker")?;
    let errors = String::from_utf8_lossy(&stderr);
    ensure!(status.success(), "{said} ends with {status}: {errors}");
    Ok(String::from_utf8(stdout)?)
}
