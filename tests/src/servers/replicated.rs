//! Servers of Redis of which some are primaries and the others follow them, whoever decides which.

use std::time::Duration;

use async_trait::async_trait;
use redis::{AsyncConnectionConfig, InfoDict, aio::MultiplexedConnection};
use tokio::time::{Instant, sleep};

use super::local::OwnRedis;

/// How long a server that runs may take to answer a question of a test.
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// How long they may take to agree, and the replicas to follow.
const SETTLED_WITHIN: Duration = Duration::from_mins(1);
/// How many bytes a replica may be behind that has nearly all: while there is load, it always is.
const NEARLY_ALL: u64 = 1024 * 1024;
/// Between two looks at whether they do.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Servers of Redis of which some are primaries. Each is known by its number.
#[async_trait]
pub trait Replicated: Send + Sync {
    /// The servers.
    fn nodes(&self) -> &[OwnRedis];

    /// The servers.
    fn nodes_mut(&mut self) -> &mut [OwnRedis];

    /// Where the programs find it: `REDIS_URL`.
    fn url(&self) -> String;

    /// How many primaries there are when all is well.
    fn primaries(&self) -> usize;

    /// The primary of the part with this number, as those who decide see it. `None`: they do not agree.
    async fn primary_of(&self, part: usize) -> Option<usize>;

    /// A connection to a server, if it answers.
    async fn connection(&self, node: usize) -> Option<MultiplexedConnection> {
        connect(&self.nodes()[node].url()).await
    }

    /// What a server says of its replication, if it answers.
    async fn replication_of(&self, node: usize) -> Option<Replication> {
        let mut redis = self.connection(node).await?;
        let mut info = redis::cmd("INFO");
        info.arg("replication");
        let info: InfoDict = info.query_async(&mut redis).await.ok()?;
        Replication::of(&info)
    }

    /// The replicas that follow this primary now, by number.
    async fn replicas_of(&self, primary: usize) -> Vec<usize> {
        let port = self.nodes()[primary].port();
        let mut replicas = Vec::new();
        for node in 0..self.nodes().len() {
            if let Some(Replication::Follows { primary, .. }) = self.replication_of(node).await
                && primary == port
            {
                replicas.push(node);
            }
        }
        replicas
    }

    /// Waits until all servers run, each part has a primary, and every other server has nearly all that its primary has.
    ///
    /// # Panics
    /// If that takes too long.
    async fn settled(&self) {
        let begun = Instant::now();
        while !self.is_settled().await {
            assert!(
                begun.elapsed() < SETTLED_WITHIN,
                "redis has not settled within {SETTLED_WITHIN:?}"
            );
            sleep(LOOK_EVERY).await;
        }
    }

    /// See [`Self::settled`].
    async fn is_settled(&self) -> bool {
        for part in 0..self.primaries() {
            if self.primary_of(part).await.is_none() {
                return false;
            }
        }
        let mut leading = 0;
        for node in 0..self.nodes().len() {
            match self.replication_of(node).await {
                Some(Replication::Leads { in_sync }) => {
                    leading += 1;
                    if in_sync * self.primaries() != self.nodes().len() - self.primaries() {
                        return false;
                    }
                }
                Some(Replication::Follows { is_up: true, .. }) => {}
                Some(Replication::Follows { is_up: false, .. }) | None => return false,
            }
        }
        leading == self.primaries()
    }
}

/// What a server says of its replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    /// It is a primary.
    Leads {
        /// So many replicas follow it and have read nearly all that it has written.
        in_sync: usize,
    },
    /// It is a replica.
    Follows {
        /// The port of its primary.
        primary: u16,
        /// Whether it reads from it.
        is_up: bool,
    },
}

impl Replication {
    fn of(info: &InfoDict) -> Option<Self> {
        let role: String = info.get("role")?;
        if role != "master" {
            return Some(Self::Follows {
                primary: info.get("master_port")?,
                is_up: info.get::<String>("master_link_status")? == "up",
            });
        }
        let offset: u64 = info.get("master_repl_offset")?;
        let connected: usize = info.get("connected_slaves")?;
        let lines = (0..connected).filter_map(|at| info.get::<String>(&format!("slave{at}")));
        let in_sync = lines.filter(|line| {
            let told = |name: &str| {
                let mut pairs = line.split(',').filter_map(|pair| pair.split_once('='));
                pairs
                    .find(|(found, _)| *found == name)
                    .map(|(_, value)| value)
            };
            let reached = told("offset").and_then(|offset| offset.parse::<u64>().ok());
            let is_near = |reached: u64| reached + NEARLY_ALL >= offset;
            told("state") == Some("online") && reached.is_some_and(is_near)
        });
        Some(Self::Leads {
            in_sync: in_sync.count(),
        })
    }
}

/// The number of the server at the port that all who were asked name, if so many have answered.
pub(super) fn agreed(nodes: &[OwnRedis], seen: &[u16], at_least: usize) -> Option<usize> {
    let port = seen.first()?;
    let all_agree = seen.len() >= at_least && seen.iter().all(|other| other == port);
    nodes
        .iter()
        .position(|node| all_agree && node.port() == *port)
}

/// Not a server that is frozen.
pub(super) async fn connect(url: &str) -> Option<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWERS_WITHIN))
        .set_response_timeout(Some(ANSWERS_WITHIN));
    let client = redis::Client::open(url).ok()?;
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    connecting.await.ok()
}
