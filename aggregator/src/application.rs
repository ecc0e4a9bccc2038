//! The aggregator as a process of its own, over Redis and PostgreSQL.

use std::{net::TcpListener, sync::Arc, time::Duration};

use actix_web::web::ServiceConfig;
use async_trait::async_trait;
use common::{
    config::ConfigError,
    http::{
        health::{Dependencies, Dependency},
        server,
    },
    queue::{
        Consumer, QueueError,
        redis::{Address, RedisConsumer},
    },
    store::{Audit, Store, StoreError},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Aggregator, RunError, Settings, StoreCheck,
    store::{Postgres, UrlError},
};

/// The aggregator, its port taken and nothing started yet.
pub struct Application {
    listener: TcpListener,
    port: u16,
    aggregator: Aggregator,
    dependencies: Dependencies,
    grace: Duration,
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
        settings.server.check_exposure(settings.bind_addr)?;
        let store: Arc<dyn Store> = Arc::new(open(settings)?);
        let address = Address::new(
            settings.redis_url.expose(),
            settings.queue.queue_name.clone(),
        )?;
        let consumers: Vec<Arc<RedisConsumer>> = RedisConsumer::for_workers(
            &address,
            settings.workers.lease(),
            settings.workers.workers.into(),
        )
        .into_iter()
        .map(Arc::new)
        .collect();
        let redis = RedisCheck(consumers[0].clone());
        let aggregator = Aggregator::over(
            consumers
                .into_iter()
                .map(|consumer| consumer as Arc<dyn Consumer>)
                .collect(),
            store,
            settings.workers,
            settings.limits,
        );
        let listener = server::bind(settings.bind_addr)?;
        Ok(Self {
            port: listener.local_addr()?.port(),
            listener,
            dependencies: Dependencies::new(vec![
                Arc::new(redis),
                Arc::new(StoreCheck::new("postgres", &aggregator)),
            ]),
            aggregator,
            grace: settings.server.grace(),
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
        let (routes, dependencies) = (self.aggregator.routes(), self.dependencies);
        let routes = move |config: &mut ServiceConfig| {
            routes(config);
            dependencies.routes(config);
        };
        self.aggregator
            .serve(self.listener, routes, stop, self.grace)
            .await?;
        tracing::info!("aggregator has stopped");
        Ok(())
    }
}

/// Brings the tables up to date, once, without waiting for a database that is away.
///
/// # Errors
/// If the database is away or does not take the migrations.
pub async fn migrate(settings: &Settings) -> Result<(), CommandError> {
    Ok(open(settings)?.migrate().await?)
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

/// `/ready` asks the queue, all of whose keys must be as they should.
struct RedisCheck(Arc<RedisConsumer>);

#[async_trait]
impl Dependency for RedisCheck {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn check(&self) -> Result<(), String> {
        match self.0.depth().await {
            Ok(_) => Ok(()),
            Err(_) => Err("does not answer as it should".to_owned()),
        }
    }
}
