//! The aggregator as a process of its own, over Redis and PostgreSQL.

use std::sync::Arc;

use edge::{
    openapi::Description,
    routes::Routes,
    server::{self, Front},
    settings::ConfigError,
};
use queue::{QueueError, redis::RedisConsumer};
use runtime::readiness::{Probe, Readiness};
use store::{
    Audit, Store, StoreError,
    postgres::{Postgres, UrlError},
};
use tokio_util::sync::CancellationToken;

use crate::{Aggregator, RunError, Settings, routes};

const TITLE: &str = "Event aggregator";

/// The description of what it serves.
#[must_use]
pub fn description() -> Description {
    Description::of(TITLE, &served())
}

fn served() -> Routes {
    routes().and(server::routes())
}

/// The aggregator, its port taken and nothing started yet.
pub struct Application {
    front: Front,
    port: u16,
    aggregator: Aggregator,
    readiness: Readiness,
}

/// Why the aggregator did not start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The queue's address cannot be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The database's address cannot be used.
    #[error(transparent)]
    Database(#[from] UrlError),
    /// The system gives no socket.
    #[error("the listening socket cannot be used: {0}; try to start again")]
    Socket(#[from] std::io::Error),
}

impl Application {
    /// Takes the port. Neither Redis nor PostgreSQL need be there yet. Call it within the runtime.
    ///
    /// # Errors
    /// [`BuildError`] if a setting cannot be used.
    pub fn build(settings: &Settings) -> Result<Self, BuildError> {
        let store: Arc<dyn Store> = Arc::new(open(settings)?);
        let address = settings.queue.address(&settings.redis_url)?;
        let consumers = RedisConsumer::for_workers(
            &address,
            settings.workers.lease(),
            settings.workers.workers.into(),
        );
        let database = (store.dependency(), store.clone() as Arc<dyn Probe>);
        let aggregator = Aggregator::over(consumers, store, settings.workers, settings.limits);
        let front = Front::open(settings.bind_addr, &settings.server, &settings.limits)?;
        Ok(Self {
            port: front.port()?,
            front,
            readiness: Readiness::new(vec![address.watched(), database, aggregator.held_up()]),
            aggregator,
        })
    }

    /// Where it listens; useful if port 0 was asked for.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Works and serves until `stop` is cancelled and what was running is finished.
    ///
    /// # Errors
    /// [`RunError`] if it had to give up.
    pub async fn run_until_stopped(self, stop: CancellationToken) -> Result<(), RunError> {
        tracing::info!(server.port = self.port, "aggregator is listening");
        let aggregator = self.aggregator;
        aggregator
            .serve(self.front, TITLE, served(), self.readiness, stop)
            .await?;
        tracing::info!("aggregator has stopped");
        Ok(())
    }
}

/// Brings the tables up to date, once, without waiting for a database that is away, and then allows `grant_to`, a role, to
/// use them.
///
/// # Errors
/// If the database is away or does not take the migrations, or there is no such role.
pub async fn migrate(settings: &Settings, grant_to: Option<&str>) -> Result<(), CommandError> {
    let store = open(settings)?;
    store.migrate().await?;
    if let Some(role) = grant_to {
        store.grant(role).await?;
    }
    Ok(())
}

/// Compares the counters with the rows, in one snapshot, beside a running system.
///
/// # Errors
/// If the database is away or has no tables.
pub async fn verify(settings: &Settings) -> Result<Audit, CommandError> {
    Ok(open(settings)?.audit().await?)
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The database's address cannot be used.
    #[error(transparent)]
    Database(#[from] UrlError),
    /// The database is away, or its tables do not fit.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn open(settings: &Settings) -> Result<Postgres, UrlError> {
    let url = settings.database_url.as_ref().ok_or(UrlError::Missing)?;
    Postgres::from_url(url.expose(), settings.workers.workers)
}
