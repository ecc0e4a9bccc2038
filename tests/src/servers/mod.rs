//! The Redis and PostgreSQL that tests run against.
//!
//! Found in this order, each on its own: `TEST_REDIS_URL` and `TEST_DATABASE_URL`; containers, where an
//! engine answers and has or can pull the images; the servers' programs on this machine. Whatever
//! is started here ends with the process that started it, however that ends.

mod container;
mod guard;
mod local;
mod own;

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::OnceCell;
use uuid::Uuid;

pub use own::{OwnPostgres, OwnRedis};

use guard::Guard;

/// How long a server may take to answer after its start.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// How long dropping a test's database may take.
const DROPPED_WITHIN: Duration = Duration::from_secs(5);

/// A server that all tests share.
#[derive(Debug)]
pub struct Server {
    /// Its address; for PostgreSQL that of a database whose user may create others.
    pub url: String,
    _guard: Option<Guard>,
}

impl Server {
    /// The Redis for all tests, found or started.
    ///
    /// # Panics
    /// With instructions, if there is none to be had.
    pub async fn redis() -> Self {
        if let Ok(url) = std::env::var("TEST_REDIS_URL") {
            return Self { url, _guard: None };
        }
        match container::redis().await {
            Ok(server) => return server,
            Err(error) => eprintln!("tests: no Redis in a container: {error:#}"),
        }
        match local::redis().await {
            Ok(server) => server,
            Err(error) => panic!(
                "tests need Redis 7 or later, and there is none: {error:#}\n\
                 Run scripts/test, which installs it; or install redis-server; or start Docker; \
                 or set TEST_REDIS_URL=redis://HOST:PORT"
            ),
        }
    }

    /// The PostgreSQL for all tests, found or started.
    ///
    /// # Panics
    /// With instructions, if there is none to be had.
    pub async fn postgres() -> Self {
        if let Ok(url) = std::env::var("TEST_DATABASE_URL") {
            return Self { url, _guard: None };
        }
        match container::postgres().await {
            Ok(server) => return server,
            Err(error) => eprintln!("tests: no PostgreSQL in a container: {error:#}"),
        }
        match local::postgres().await {
            Ok(server) => server,
            Err(error) => panic!(
                "tests need PostgreSQL 13 or later, and there is none: {error:#}\n\
                 Run scripts/test, which installs it; or install postgresql; or start Docker; \
                 or set TEST_DATABASE_URL=postgres://USER@HOST/DATABASE"
            ),
        }
    }
}

/// The shared Redis. Use a [`queue_name`] of your own in it.
///
/// # Panics
/// If there is none.
pub async fn redis_url() -> String {
    static REDIS: OnceCell<Server> = OnceCell::const_new();
    REDIS.get_or_init(Server::redis).await.url.clone()
}

/// A name that no other test uses.
#[must_use]
pub fn queue_name() -> String {
    format!("test-{}", Uuid::new_v4().simple())
}

/// A database of the calling test's own, empty, dropped with this value.
pub struct Database {
    admin_url: String,
    name: String,
    url: String,
}

/// Makes a database in the shared PostgreSQL.
///
/// # Panics
/// If it cannot be made.
pub async fn database() -> Database {
    static POSTGRES: OnceCell<Server> = OnceCell::const_new();
    let admin_url = POSTGRES.get_or_init(Server::postgres).await.url.clone();
    let name = format!("test_{}", Uuid::new_v4().simple());
    let create = format!("CREATE DATABASE {name}");
    execute(&admin_url, create).await.expect("a new database");
    let server = admin_url.rsplit_once('/').expect("…/DATABASE").0;
    Database {
        url: format!("{server}/{name}"),
        name,
        admin_url,
    }
}

impl Database {
    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (url, drop) = (
            self.admin_url.clone(),
            format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
        );
        // A destructor may run inside a runtime, where nothing may block: hence the thread. If it
        // fails, a database is left behind in a server that is about to end anyway.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let limited = async { tokio::time::timeout(DROPPED_WITHIN, execute(&url, drop)).await };
            anyhow::Ok(runtime.block_on(limited)??)
        });
        let _ = dropping.join();
    }
}

async fn execute(url: &str, statement: String) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    // The statement is made of constants and names made here.
    sqlx::query(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await?;
    connection.close().await
}
