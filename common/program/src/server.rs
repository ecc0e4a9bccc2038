//! The HTTP server of a program, ready to serve.

use std::{any::Any, io, time::Duration};

use edge::{
    routes::Routes,
    server::{self, Front},
};
use metrics::Metrics;
use runtime::readiness::Readiness;
use tokio_util::sync::CancellationToken;

/// The HTTP server of a program, ready to serve.
pub struct Server {
    front: Front,
    title: &'static str,
    routes: Routes,
    readiness: Readiness,
    metrics: Metrics,
}

impl Server {
    pub(crate) const fn new(
        front: Front,
        title: &'static str,
        routes: Routes,
        readiness: Readiness,
        metrics: Metrics,
    ) -> Self {
        Self {
            front,
            title,
            routes,
            readiness,
            metrics,
        }
    }

    /// Gives the routes something that they need.
    #[must_use]
    pub fn state<T: Any + Clone + Send + Sync>(mut self, state: T) -> Self {
        self.routes = self.routes.state(state);
        self
    }

    /// How long running requests may take to finish.
    #[must_use]
    pub const fn grace(&self) -> Duration {
        self.front.grace()
    }

    /// Serves until `stop` is cancelled and what was running is answered, or the grace period is over.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn serve(self, stop: CancellationToken) -> io::Result<()> {
        let Self {
            front,
            title,
            routes,
            readiness,
            metrics,
        } = self;
        server::serve(front, title, routes, readiness, metrics, stop).await
    }
}
