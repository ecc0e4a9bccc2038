//! A Redis that Sentinels watch, of a test's own.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use futures_util::future::join_all;
use redis::InfoDict;

use super::{
    containers::Container,
    kind::Kind,
    local::{Own, OwnRedis},
    redis::Redis,
    replicated::{Replicated, agreed, connect},
};
use crate::{SOON, eventually};

/// The user of Redis that the programs are, and its password. Tests and replicas need none.
const USER: &str = "events";
const PASSWORD: &str = "of-redis";
/// The Sentinels let nobody in without it.
const SENTINEL_PASSWORD: &str = "of-sentinels";
/// What the Sentinels call it.
const NAME: &str = "queue";
/// How many of the Sentinels must agree that the primary is down.
const QUORUM: usize = 2;
const SENTINELS: usize = 3;
/// How long the primary may be silent before a replica replaces it. It must be well over a second: a Sentinel sends its first PING
/// to a new primary only after a second, and counts the silence from the moment that it learned of it.
const DOWN_AFTER: Duration = Duration::from_secs(2);
/// The file in which a Sentinel keeps what it knows.
const FILE: &str = "sentinel.conf";

/// A primary with replicas, and three Sentinels. It ends with this value.
pub struct RedisSentinel {
    nodes: Vec<OwnRedis>,
    sentinels: Vec<Own<Sentinel>>,
}

impl RedisSentinel {
    /// Starts a primary with so many replicas, and the Sentinels, and waits until all is well.
    ///
    /// # Panics
    /// If Redis is not installed, or they do not find each other in time.
    pub async fn start(replicas: usize) -> Self {
        let password = format!(">{PASSWORD}");
        let user = ["--user", USER, "on", &password, "~*", "&*", "+@all"];
        let settings = [&["--repl-diskless-sync-delay", "0"], &user[..]].concat();
        let primary = OwnRedis::start_with(&settings).await;
        let port = primary.port().to_string();
        let following = [&settings[..], &["--replicaof", "127.0.0.1", &port]].concat();
        let mut nodes = vec![primary];
        nodes.extend(join_all((0..replicas).map(|_| OwnRedis::start_with(&following))).await);
        let sentinels = (0..SENTINELS).map(|_| start_sentinel(&port));
        let watched = Self {
            nodes,
            sentinels: join_all(sentinels).await,
        };
        eventually("the Sentinels know each other", SOON, async || {
            watched.know_each_other(replicas).await
        })
        .await;
        watched.settled().await;
        watched
    }

    async fn know_each_other(&self, replicas: usize) -> bool {
        for sentinel in &self.sentinels {
            let count = async |what: &str| {
                let mut redis = connect(&sentinel.url()).await?;
                let mut command = redis::cmd("SENTINEL");
                command.arg(what).arg(NAME);
                let listed: Vec<redis::Value> = command.query_async(&mut redis).await.ok()?;
                Some(listed.len())
            };
            if count("SENTINELS").await != Some(SENTINELS - 1)
                || count("REPLICAS").await != Some(replicas)
            {
                return false;
            }
        }
        true
    }

    async fn seen_by(&self, sentinel: &Own<Sentinel>) -> Option<u16> {
        let mut redis = connect(&sentinel.url()).await?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(NAME);
        let (_, port): (String, u16) = command.query_async(&mut redis).await.ok()?;
        Some(port)
    }
}

#[async_trait]
impl Replicated for RedisSentinel {
    fn nodes(&self) -> &[OwnRedis] {
        &self.nodes
    }

    fn nodes_mut(&mut self) -> &mut [OwnRedis] {
        &mut self.nodes
    }

    fn url(&self) -> String {
        let sentinels = self.sentinels.iter();
        let sentinels: Vec<String> = sentinels
            .map(|sentinel| format!("127.0.0.1:{}", sentinel.port()))
            .collect();
        let sentinels = sentinels.join(",");
        format!(
            "redis-sentinel://{USER}:{PASSWORD}@{sentinels}/{NAME}?sentinel_password={SENTINEL_PASSWORD}"
        )
    }

    fn primaries(&self) -> usize {
        1
    }

    async fn primary_of(&self, _part: usize) -> Option<usize> {
        let asking = self.sentinels.iter().map(|sentinel| self.seen_by(sentinel));
        let seen: Vec<u16> = join_all(asking).await.into_iter().flatten().collect();
        agreed(&self.nodes, &seen, QUORUM)
    }
}

/// A Sentinel, which is a Redis in another mode.
struct Sentinel;

async fn start_sentinel(primary: &str) -> Own<Sentinel> {
    let down_after = DOWN_AFTER.as_millis();
    let settings = format!(
        "sentinel monitor {NAME} 127.0.0.1 {primary} {QUORUM}\n\
         sentinel down-after-milliseconds {NAME} {down_after}\n\
         sentinel failover-timeout {NAME} 2000\n\
         sentinel parallel-syncs {NAME} 1\n\
         sentinel sentinel-pass {SENTINEL_PASSWORD}\n\
         requirepass {SENTINEL_PASSWORD}\n"
    );
    Own::start_with_files(&[(FILE, &settings)], &[]).await
}

impl Kind for Sentinel {
    const NAME: &str = "sentinel";
    const VARIABLE: &str = Redis::VARIABLE;
    const KILL: &str = Redis::KILL;

    fn program() -> Result<PathBuf> {
        Redis::program()
    }

    fn command(program: &Path, port: u16) -> Result<Vec<String>> {
        let program = program.to_str().context("its path is not UTF-8")?;
        let port = port.to_string();
        let command = [
            program,
            FILE,
            "--sentinel",
            "--bind",
            "127.0.0.1",
            "--port",
            &port,
        ];
        Ok(command.map(str::to_owned).to_vec())
    }

    fn url(address: &str) -> String {
        Redis::url(&format!(":{SENTINEL_PASSWORD}@{address}"))
    }

    async fn ping(url: &str) -> Result<()> {
        Redis::ping(url).await
    }

    async fn folder(url: &str) -> Result<PathBuf> {
        let mut redis = connect(url).await.context("it does not answer")?;
        let info: InfoDict = redis::cmd("INFO")
            .arg("server")
            .query_async(&mut redis)
            .await?;
        let file: PathBuf = info
            .get::<String>("config_file")
            .context("it has a file")?
            .into();
        Ok(file.parent().context("it is in a folder")?.to_owned())
    }

    async fn container() -> Result<Container> {
        bail!("a Sentinel runs as a program of this machine")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_replica_takes_over_when_the_primary_is_killed_and_the_former_one_follows_it() {
        let mut watched = RedisSentinel::start(1).await;
        assert_eq!(watched.primary_of(0).await, Some(0));
        watched.nodes_mut()[0].stop();
        eventually("a replica has taken over", SOON, async || {
            watched.primary_of(0).await == Some(1)
        })
        .await;
        watched.nodes_mut()[0].restart().await;
        watched.settled().await;
        // Sentinels may end the connections of a server that they have just made a replica.
        eventually("the former primary follows it", SOON, async || {
            watched.replicas_of(1).await == [0]
        })
        .await;
    }
}
