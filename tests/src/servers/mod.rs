//! Redis and PostgreSQL for tests: found or started, shared, and never left behind.
//!
//! Each is looked for on its own, in this order:
//!
//! 1. `TEST_REDIS_URL`, `TEST_DATABASE_URL`;
//! 2. a container, where a Docker engine answers and has or can pull the image;
//! 3. the server's program on this machine, on a free port, in a temporary folder.
//!
//! What a test starts ends with the test's process, however that ends.

mod account;
mod cluster;
mod containers;
mod database;
mod guard;
mod kind;
mod local;
mod names;
mod pgbouncer;
mod postgres;
mod programs;
mod redis;
mod replicated;
mod sentinel;
mod standby;

use std::{any::Any, env, time::Duration};

use anyhow::{Context, Result, anyhow};
use reqwest::Url;
use tokio::{sync::OnceCell, time::timeout};

pub use cluster::RedisCluster;
pub use containers::{POSTGRES_IMAGE, REDIS_IMAGE};
pub use database::Database;
pub use kind::Kind;
pub use local::{Own, OwnPostgres, OwnRedis};
pub use names::queue_name;
pub use pgbouncer::PgBouncer;
pub use postgres::Postgres;
pub use redis::Redis;
pub use replicated::Replicated;
pub use sentinel::RedisSentinel;
pub use standby::PostgresPair;

/// How long a server that is there may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

static REDIS: OnceCell<Server> = OnceCell::const_new();
static POSTGRES: OnceCell<Server> = OnceCell::const_new();

/// The address of the Redis that the tests share; take a [`queue_name`] of your own there.
///
/// # Panics
/// If there is none.
pub async fn redis_url() -> String {
    REDIS.get_or_init(Server::find::<Redis>).await.url.clone()
}

/// A new, empty database of the caller's own on the PostgreSQL that the tests share.
///
/// # Panics
/// If there is no PostgreSQL, or it does not let this user create databases.
pub async fn database() -> Database {
    let server = POSTGRES.get_or_init(Server::find::<Postgres>).await;
    Database::create(&server.url)
        .await
        .unwrap_or_else(|e| panic!("{e:#}"))
}

/// A server for many tests. If it was started for them, it ends when this is dropped, or with the
/// process.
pub struct Server {
    url: String,
    // What keeps it alive, until dropped.
    _started: Option<Box<dyn Any + Send + Sync>>,
}

impl Server {
    /// Finds or starts a server, and says on standard error which.
    ///
    /// # Panics
    /// With what to do, if there is none.
    pub async fn find<K: Kind + Send + Sync + 'static>() -> Self {
        let found = Self::try_find::<K>().await;
        found.unwrap_or_else(|e| panic!("no {} for the tests: {e:#}", K::NAME))
    }

    async fn try_find<K: Kind + Send + Sync + 'static>() -> Result<Self> {
        if let Some(url) = address_in(K::VARIABLE)? {
            let answer = timeout(ANSWERS_WITHIN, K::ping(url.as_str())).await;
            answer
                .context("it does not answer")
                .flatten()
                .with_context(|| {
                    format!(
                        "it is not at the address in {0}: start it there, or unset {0}",
                        K::VARIABLE
                    )
                })?;
            say::<K>(&format!("{}, {}", K::VARIABLE, without_secrets(&url)));
            return Ok(Self {
                url: url.into(),
                _started: None,
            });
        }
        let no_container = match K::container().await {
            Ok(container) => {
                say::<K>(&container.origin);
                return Ok(Self {
                    url: container.url.clone(),
                    _started: Some(Box::new(container)),
                });
            }
            Err(reason) => reason,
        };
        let server = Own::<K>::try_start(&[], &[]).await.map_err(|no_program| {
            anyhow!(
                "{} is not set; in containers: {no_container:#}; on this machine: {no_program:#}. \
                 scripts/test installs what is missing",
                K::VARIABLE
            )
        })?;
        say::<K>(&format!(
            "{} (not in a container: {no_container:#})",
            server.origin()
        ));
        Ok(Self {
            url: server.url(),
            _started: Some(Box::new(server)),
        })
    }

    /// Its address; of PostgreSQL, that of a database whose user may create others.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// The address in an environment variable; an empty one counts as unset.
fn address_in(variable: &str) -> Result<Option<Url>> {
    let value = env::var(variable).ok().filter(|value| !value.is_empty());
    let url = value.map(|value| value.parse()).transpose();
    url.with_context(|| format!("{variable} is no address such as scheme://127.0.0.1:1234"))
}

fn without_secrets(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn say<K: Kind>(origin: &str) {
    eprintln!("tests: {} from {origin}", K::NAME);
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, PgConnection};

    use super::*;

    #[tokio::test]
    async fn a_new_database_is_empty_and_the_callers_own() {
        let (one, other) = (database().await, database().await);
        let mut in_one = PgConnection::connect(one.url()).await.unwrap();
        let mut in_other = PgConnection::connect(other.url()).await.unwrap();
        let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
        for connection in [&mut in_one, &mut in_other] {
            let count: i64 = sqlx::query_scalar(tables)
                .fetch_one(connection)
                .await
                .unwrap();
            assert_eq!(count, 0);
        }

        sqlx::query("CREATE TABLE mine (id int)")
            .execute(&mut in_one)
            .await
            .unwrap();

        let seen: i64 = sqlx::query_scalar(tables)
            .fetch_one(&mut in_other)
            .await
            .unwrap();
        assert_eq!(seen, 0, "a table made in one is not in the other");
    }

    #[tokio::test]
    async fn a_database_is_gone_with_its_owner_even_while_in_use() {
        let kept = database().await;
        let dropped = database().await;
        let url = dropped.url().to_owned();
        let _in_use = PgConnection::connect(&url).await.unwrap();

        drop(dropped);

        assert!(PgConnection::connect(&url).await.is_err());
        assert!(PgConnection::connect(kept.url()).await.is_ok());
    }

    #[tokio::test]
    async fn the_shared_redis_answers() {
        Redis::ping(&redis_url().await).await.unwrap();
    }

    #[test]
    fn addresses_are_shown_without_secrets() {
        let url = "postgres://u:s3cret@db:5433/x?password=s3cret"
            .parse()
            .unwrap();
        assert_eq!(without_secrets(&url), "db:5433");
    }
}
