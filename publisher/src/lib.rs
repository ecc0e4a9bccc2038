//! The publisher: accepts batches of events over HTTP and puts them into the queue.

mod publish;
mod settings;

use std::sync::Arc;

use edge::{
    openapi::Description,
    routes::Routes,
    server::{self, Front},
    settings::ConfigError,
};
use queue::{QueueError, redis::RedisProducer};
use runtime::readiness::Readiness;
use tokio_util::sync::CancellationToken;

pub use publish::{Publish, routes};
pub use settings::{Command, Settings};

const TITLE: &str = "Event publisher";

/// The description of what it serves.
#[must_use]
pub fn description() -> Description {
    Description::of(TITLE, &served())
}

fn served() -> Routes {
    routes().and(server::routes())
}

/// The publisher as a process of its own, over Redis.
pub struct Application {
    front: Front,
    port: u16,
    publish: Publish,
    readiness: Readiness,
}

/// Why the publisher did not start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The queue's address cannot be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The system gives no socket.
    #[error("the listening socket cannot be used: {0}; try to start again")]
    Socket(#[from] std::io::Error),
}

impl Application {
    /// Takes the port. Redis need not be there yet. Call it within the runtime.
    ///
    /// # Errors
    /// [`BuildError`] if a setting cannot be used.
    pub fn build(settings: &Settings) -> Result<Self, BuildError> {
        let address = settings.queue.address(&settings.redis_url)?;
        let producer = RedisProducer::new(&address, settings.publishing.queue_max_len);
        let front = Front::open(settings.bind_addr, &settings.server, &settings.limits)?;
        Ok(Self {
            port: front.port()?,
            front,
            publish: Publish::new(Arc::new(producer), settings.limits),
            readiness: Readiness::new(vec![address.watched()]),
        })
    }

    /// Where it listens; useful if port 0 was asked for.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Serves until `stop` is cancelled and what was running is answered.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn run_until_stopped(self, stop: CancellationToken) -> std::io::Result<()> {
        tracing::info!(server.port = self.port, "publisher is listening");
        let routes = served().state(self.publish);
        server::serve(self.front, TITLE, routes, self.readiness, stop).await?;
        tracing::info!("publisher has stopped");
        Ok(())
    }
}
