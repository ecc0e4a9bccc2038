//! Where a system has its queue and its store, and the programs over them.

use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

use super::{App, Deployment, running::SQLITE_FILE};
use crate::servers;

/// A queue and a store that the programs of one system share.
pub struct Place {
    redis_url: String,
    queue_name: String,
    database_url: String,
    // Both are removed with it.
    _database: Option<servers::Database>,
    folder: TempDir,
}

impl Place {
    /// A new queue in this Redis (in memory, if there is none), and the database at this address.
    ///
    /// # Panics
    /// If there is no temporary folder.
    #[must_use]
    pub fn at(redis_url: &str, database_url: &str) -> Self {
        Self {
            redis_url: redis_url.to_owned(),
            queue_name: servers::queue_name(),
            database_url: database_url.to_owned(),
            _database: None,
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    /// An empty queue and an empty store, as this deployment has them.
    ///
    /// # Panics
    /// If there is no server for them.
    pub async fn of(deployment: Deployment) -> Self {
        let redis_url = if deployment.queues_in_redis() {
            servers::redis_url().await
        } else {
            String::new()
        };
        if deployment.stores_in_postgres() {
            Self::over(&redis_url, servers::database().await)
        } else {
            let mut place = Self::at(&redis_url, "");
            let file = place.folder.path().join(SQLITE_FILE);
            place.database_url = format!("sqlite://{}", file.display());
            place
        }
    }

    /// A new queue in this Redis, and an empty database.
    ///
    /// # Panics
    /// If there is no PostgreSQL.
    pub async fn with_redis(redis_url: &str) -> Self {
        Self::over(redis_url, servers::database().await)
    }

    /// A new queue, and the database at this address.
    ///
    /// # Panics
    /// If there is no Redis.
    pub async fn with_database(database_url: &str) -> Self {
        Self::at(&servers::redis_url().await, database_url)
    }

    fn over(redis_url: &str, database: servers::Database) -> Self {
        let place = Self::at(redis_url, database.url());
        Self {
            _database: Some(database),
            ..place
        }
    }

    /// The same with this name of the queue.
    #[must_use]
    pub fn named(self, queue_name: &str) -> Self {
        Self {
            queue_name: queue_name.to_owned(),
            ..self
        }
    }

    /// The address of Redis; empty for a queue in memory.
    #[must_use]
    pub fn redis_url(&self) -> &str {
        &self.redis_url
    }

    /// The address of the database.
    #[must_use]
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// The key of the queue in Redis that has this name: `queue`, `leases`.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("{{{}}}:{name}", self.queue_name)
    }

    /// A connection to its Redis.
    ///
    /// # Panics
    /// If there is none.
    pub async fn redis(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.redis_url.as_str()).expect("an address of Redis");
        let connection = client.get_multiplexed_async_connection().await;
        connection.expect("a connection to Redis")
    }

    /// A publisher, in this process.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn publisher(&self, more: &[&str]) -> App {
        let queue = self.queue_arguments();
        App::publisher(&[&queue.each_ref().map(String::as_str), more].concat())
    }

    /// An aggregator, in this process.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn aggregator(&self, more: &[&str]) -> App {
        let (queue, store) = (self.queue_arguments(), self.store_argument());
        let own = [queue[0].as_str(), &queue[1], &store];
        App::aggregator(&[&own, more].concat())
    }

    /// The standalone program, in this process.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn standalone(&self, more: &[&str]) -> App {
        let (queue, store) = (self.queue_arguments(), self.store_argument());
        let own = [queue[0].as_str(), &queue[1], &store];
        App::standalone(&[&own, more].concat())
    }

    /// A program as a process of its own, with these further settings.
    ///
    /// # Panics
    /// If it was not built or cannot be started.
    #[must_use]
    pub fn process(&self, program: &str, more: &[(&str, &str)]) -> App {
        let own = [
            ("REDIS_URL", self.redis_url.as_str()),
            ("QUEUE_NAME", &self.queue_name),
            ("DATABASE_URL", &self.database_url),
        ];
        App::process(program, &[&own, more].concat())
    }

    fn queue_arguments(&self) -> [String; 2] {
        [
            format!("--redis-url={}", self.redis_url),
            format!("--queue-name={}", self.queue_name),
        ]
    }

    fn store_argument(&self) -> String {
        format!("--database-url={}", self.database_url)
    }
}
