//! The servers that runs share, one run after another, and the proxies before them.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use redis::aio::MultiplexedConnection;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::sleep;

use super::proxy::{Mode, Proxy};
use crate::servers::{OwnPostgres, OwnRedis};

/// What a proxy before Redis adds to the way there, and to the way back.
const REDIS_LATENCY: Duration = Duration::from_millis(1);
/// The same before PostgreSQL. A transaction is several requests: with this, workers are in the middle of one nearly
/// always, and that is where they are to be hit.
const POSTGRES_LATENCY: Duration = Duration::from_millis(2);
/// Between two looks at whether Redis has rewritten its file, and how many looks at most.
const REWRITE_LOOKS: (Duration, usize) = (Duration::from_millis(20), 250);

/// A Redis and a PostgreSQL, with proxies. Ends with this value.
pub struct Stage {
    pub(super) redis: OwnRedis,
    pub(super) postgres: OwnPostgres,
    /// From publishers to Redis.
    pub(super) pushes: Proxy,
    /// From aggregators to Redis.
    pub(super) claims: Proxy,
    /// From aggregators to PostgreSQL.
    pub(super) commits: Proxy,
}

impl Stage {
    /// Starts servers and proxies.
    ///
    /// # Panics
    /// If a server is not installed.
    pub async fn start() -> Self {
        let redis = OwnRedis::start().await;
        let postgres = OwnPostgres::start().await;
        let (to_redis, to_postgres) = (address(&redis.url()), address(&postgres.url()));
        Self {
            redis,
            postgres,
            pushes: Proxy::start(to_redis, REDIS_LATENCY).await,
            claims: Proxy::start(to_redis, REDIS_LATENCY).await,
            commits: Proxy::start(to_postgres, POSTGRES_LATENCY).await,
        }
    }

    /// The way to a database through the proxy.
    pub(super) fn database_url(&self, name: &str) -> String {
        format!("postgres://postgres@{}/{name}", self.commits.address())
    }

    /// The way to a database past the proxy.
    pub(super) fn direct_database_url(&self, name: &str) -> String {
        let url = self.postgres.url();
        let server = url
            .rsplit_once('/')
            .map_or(url.as_str(), |(server, _)| server);
        format!("{server}/{name}")
    }

    /// A connection to Redis past the proxies.
    pub(super) async fn direct_redis(&self) -> redis::RedisResult<MultiplexedConnection> {
        let client = redis::Client::open(self.redis.url())?;
        client.get_multiplexed_async_connection().await
    }

    /// Where Redis keeps its files.
    pub(super) async fn redis_folder(&self) -> anyhow::Result<PathBuf> {
        let mut redis = self.direct_redis().await?;
        let (_, folder): (String, String) = redis::cmd("CONFIG")
            .arg(&["GET", "dir"])
            .query_async(&mut redis)
            .await?;
        Ok(folder.into())
    }

    /// Makes a database.
    pub(super) async fn make_database(&self, name: &str) -> anyhow::Result<()> {
        self.execute(format!("CREATE DATABASE {name}")).await
    }

    /// Makes room for the next run: drops the database, and what Redis wrote down.
    pub(super) async fn tidy(&self, database: &str) -> anyhow::Result<()> {
        self.execute(format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"))
            .await?;
        let mut redis = self.direct_redis().await?;
        redis::cmd("FLUSHALL").exec_async(&mut redis).await?;
        redis::cmd("BGREWRITEAOF").exec_async(&mut redis).await?;
        let (every, looks) = REWRITE_LOOKS;
        for _ in 0..looks {
            let info: String = redis::cmd("INFO")
                .arg("persistence")
                .query_async(&mut redis)
                .await?;
            let idle = ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0"];
            if idle.iter().all(|line| info.contains(line)) {
                return Ok(());
            }
            sleep(every).await;
        }
        anyhow::bail!("Redis does not finish rewriting its file")
    }

    /// Lets everything pass again.
    pub(super) fn open(&self) {
        for proxy in [&self.pushes, &self.claims, &self.commits] {
            proxy.set(Mode::Open);
        }
    }

    async fn execute(&self, statement: String) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(&self.postgres.url()).await?;
        // Made of constants and names made here.
        sqlx::query(AssertSqlSafe(statement.clone()))
            .execute(&mut connection)
            .await
            .context(statement)?;
        Ok(connection.close().await?)
    }
}

/// The `HOST:PORT` within a URL.
fn address(url: &str) -> SocketAddr {
    let after = url.rsplit_once("//").map_or(url, |(_, after)| after);
    let host = after.rsplit_once('@').map_or(after, |(_, host)| host);
    let host = host.split('/').next().unwrap_or_default();
    host.parse()
        .expect("servers of one's own have an IP address")
}
