//! Publisher and aggregator in one process, on one port: over a queue in memory and SQLite, or over
//! Redis, or over PostgreSQL, or over both.

mod settings;

use std::sync::Arc;

use aggregator::{Aggregator, RunError};
use edge::{
    openapi::Description,
    routes::Routes,
    server::{self, Front},
    settings::ConfigError,
};
use publisher::Publish;
use queue::{
    Producer, QueueError,
    memory::MemoryQueue,
    redis::{RedisConsumer, RedisProducer},
};
use runtime::readiness::{Dependency, Probe, Readiness};
use store::{Audit, Store, postgres::Postgres, sqlite::Sqlite};
use tokio_util::sync::CancellationToken;

pub use settings::{Command, Settings};

const TITLE: &str = "Event aggregator, standalone";

/// The description of what it serves.
#[must_use]
pub fn description() -> Description {
    Description::of(TITLE, &served())
}

fn served() -> Routes {
    publisher::routes()
        .and(aggregator::routes())
        .and(server::routes())
}

/// Publisher and aggregator, their port taken and nothing started yet.
pub struct Application {
    front: Front,
    port: u16,
    publish: Publish,
    aggregator: Aggregator,
    readiness: Readiness,
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The queue's address cannot be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// PostgreSQL's address cannot be used.
    #[error(transparent)]
    Postgres(#[from] store::postgres::UrlError),
    /// SQLite's file cannot be used.
    #[error(transparent)]
    Sqlite(#[from] store::sqlite::OpenError),
    /// The system gives no socket.
    #[error("the listening socket cannot be used: {0}; try to start again")]
    Socket(#[from] std::io::Error),
}

impl Application {
    /// Takes the port. Servers that it is told to use need not be there yet. Call it within the
    /// runtime.
    ///
    /// # Errors
    /// [`BuildError`] if a setting cannot be used.
    pub fn build(settings: &Settings) -> Result<Self, BuildError> {
        let front = Front::open(settings.bind_addr, &settings.server, &settings.limits)?;
        let store = open_store(settings)?;
        let database = (store.dependency(), store.clone() as Arc<dyn Probe>);
        let mut dependencies: Vec<(Arc<Dependency>, Arc<dyn Probe>)> = Vec::new();
        let workers = settings.effective_workers();
        let max_len = settings.publishing.queue_max_len;
        let (producer, aggregator): (Arc<dyn Producer>, _) = match settings.redis_url() {
            None => {
                let queue = Arc::new(MemoryQueue::new(max_len));
                let aggregator =
                    Aggregator::in_process(queue.clone(), store, workers, settings.limits);
                (queue, aggregator)
            }
            Some(url) => {
                let address = settings.queue.address(url)?;
                let consumers =
                    RedisConsumer::for_workers(&address, workers.lease(), workers.workers.into());
                let aggregator = Aggregator::over(consumers, store, workers, settings.limits);
                let producer = RedisProducer::new(&address, max_len);
                dependencies.push(address.watched());
                (Arc::new(producer), aggregator)
            }
        };
        dependencies.push(database);
        dependencies.push(aggregator.held_up());
        Ok(Self {
            port: front.port()?,
            front,
            publish: Publish::new(producer, settings.limits),
            aggregator,
            readiness: Readiness::new(dependencies),
        })
    }

    /// Where it listens; useful if port 0 was asked for.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Waits until it can answer, but not for a database that is away.
    pub fn prepared(&self) -> impl Future<Output = ()> + Send + use<> {
        self.aggregator.prepared()
    }

    /// Works and serves until `stop` is cancelled and what was running is finished.
    ///
    /// # Errors
    /// [`RunError`] if it had to give up.
    pub async fn run_until_stopped(self, stop: CancellationToken) -> Result<(), RunError> {
        tracing::info!(server.port = self.port, "event-aggregator is listening");
        let routes = served().state(self.publish);
        let aggregator = self.aggregator;
        aggregator
            .serve(self.front, TITLE, routes, self.readiness, stop)
            .await?;
        tracing::info!("event-aggregator has stopped");
        Ok(())
    }
}

/// Compares the counters with the rows, in one snapshot, beside a running system.
///
/// # Errors
/// If the database cannot be used or has no tables.
pub async fn verify(settings: &Settings) -> anyhow::Result<Audit> {
    Ok(open_store(settings)?.audit().await?)
}

fn open_store(settings: &Settings) -> Result<Arc<dyn Store>, BuildError> {
    let url = settings.database_url.expose();
    if settings.stores_in_sqlite() {
        Ok(Arc::new(Sqlite::open(url)?))
    } else {
        let store = Postgres::from_url(url, settings.workers.workers)?;
        Ok(Arc::new(store))
    }
}
