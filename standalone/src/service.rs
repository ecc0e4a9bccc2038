//! Which queue and which store the settings mean.

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use aggregator::{Aggregator, RunError};
use edge::routes::Routes;
use metrics::Metrics;
use program::{BuildError, CommonArgs, Program, Server, Service};
use publisher::Publish;
use queue::{
    Producer,
    memory::MemoryQueue,
    redis::{Address, AddressError, RedisProducer, acl::Rights},
};
use runtime::readiness::Watched;
use secrecy::{ExposeSecret, SecretString};
use store::{Store, postgres::Postgres, sqlite::Sqlite};
use tokio_util::sync::CancellationToken;

use crate::{Settings, settings::Command};

/// Stands for a Redis server whose database is number 0.
const ANY_REDIS: &str = "redis://127.0.0.1";

impl Program for Settings {
    const NAME: &'static str = "event-aggregator";
    const TITLE: &'static str = "Event aggregator, standalone";
    const RIGHTS: Rights = Rights::PublishAndWork;
    type Service = Standalone;

    fn bind_addr(&self) -> SocketAddr {
        self.bind_addr
    }

    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn queue(&self) -> Result<Address, AddressError> {
        let default = SecretString::from(ANY_REDIS);
        self.queue.address(self.redis_url().unwrap_or(&default))
    }

    fn routes() -> Routes {
        publisher::routes().and(aggregator::routes())
    }

    fn open(&self) -> Result<Standalone, BuildError> {
        let store = self.store()?;
        let workers = self.effective_workers();
        let (rules, limits) = (self.ledger.rules(), self.common.limits);
        let max_len = self.publishing.queue_max_len;
        let (producer, aggregator): (Arc<dyn Producer>, _) = if self.redis_url().is_some() {
            let address = self.queue()?;
            let producer = RedisProducer::new(&address, max_len);
            let shared = workers.open(&address);
            let aggregator = Aggregator::over(shared, max_len, store, workers, rules, limits);
            (Arc::new(producer), aggregator)
        } else {
            let queue = Arc::new(MemoryQueue::new(max_len));
            let aggregator = Aggregator::in_process(queue.clone(), store, workers, rules, limits);
            (queue, aggregator)
        };
        Ok(Standalone {
            publish: Publish::new(producer, limits),
            aggregator,
        })
    }

    async fn run_command(&self) -> anyhow::Result<Option<ExitCode>> {
        Ok(match &self.command {
            None => None,
            Some(Command::Retention { dry_run }) => {
                Some(self.ledger.forget(&*self.store()?, *dry_run).await?)
            }
            Some(Command::Verify) => Some(aggregator::verify(&*self.store()?).await?),
            Some(Command::OfEveryProgram(command)) => Some(command.run(self)?),
        })
    }

    fn welcome(&self, port: u16) -> Option<String> {
        Some(self.banner(port))
    }
}

impl Settings {
    fn store(&self) -> Result<Arc<dyn Store>, BuildError> {
        let url = self.database_url.expose_secret();
        if self.stores_in_sqlite() {
            let store = Sqlite::open(url);
            Ok(Arc::new(
                store.map_err(|error| BuildError::Database(error.into()))?,
            ))
        } else {
            let store = Postgres::from_url(url, self.workers.workers);
            let store = store.map_err(|error| BuildError::Database(error.into()))?;
            Ok(Arc::new(self.ledger.apply(store)))
        }
    }
}

/// Publisher and aggregator.
pub struct Standalone {
    publish: Publish,
    aggregator: Aggregator,
}

impl Service for Standalone {
    type Error = RunError;

    fn watched(&self) -> Vec<Watched> {
        self.aggregator.watched()
    }

    fn measure(&mut self, metrics: &Metrics) {
        self.aggregator.measure(metrics);
    }

    fn prepared(&self) -> impl Future<Output = ()> + Send + use<> {
        self.aggregator.prepared()
    }

    async fn run(self, server: Server, stop: CancellationToken) -> Result<(), RunError> {
        self.aggregator.run(server.state(self.publish), stop).await
    }
}
