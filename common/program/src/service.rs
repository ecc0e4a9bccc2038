//! What a program does.

use std::error::Error;

use metrics::Metrics;
use runtime::readiness::Watched;
use tokio_util::sync::CancellationToken;

use crate::Server;

/// What a program does.
pub trait Service: Send + Sized + 'static {
    /// Why it stops without being told to.
    type Error: Error + Send + Sync + 'static;

    /// What it depends on.
    fn watched(&self) -> Vec<Watched>;

    /// Adds what it measures of itself.
    fn measure(&mut self, _metrics: &Metrics) {}

    /// Waits until it can answer requests, for a bounded time.
    fn prepared(&self) -> impl Future<Output = ()> + Send + use<Self> {
        std::future::ready(())
    }

    /// Works, and serves, until `stop` is cancelled and what was running is finished.
    ///
    /// # Errors
    /// If it has to give up.
    fn run(
        self,
        server: Server,
        stop: CancellationToken,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
