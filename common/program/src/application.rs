//! A program that has its port, and runs until it is stopped.

use edge::server::Front;
use metrics::Metrics;
use runtime::readiness::Readiness;
use tokio_util::sync::CancellationToken;

use crate::{BuildError, Program, Server, Service, program::served};

/// A program that has its port. It has not started anything yet.
pub struct Application<P: Program> {
    port: u16,
    server: Server,
    service: P::Service,
}

impl<P: Program> Application<P> {
    /// Takes the port. The servers that it works with need not be there yet. Call it within the runtime.
    ///
    /// # Errors
    /// [`BuildError`] if a setting cannot be used.
    pub fn build(settings: &P) -> Result<Self, BuildError> {
        Self::build_with(settings, P::open)
    }

    /// Like [`Application::build`], with a service that the caller opens. The port is taken before.
    ///
    /// # Errors
    /// [`BuildError`] if a setting cannot be used.
    pub fn build_with(
        settings: &P,
        open: impl FnOnce(&P) -> Result<P::Service, BuildError>,
    ) -> Result<Self, BuildError> {
        let common = settings.common();
        let front = Front::open(settings.bind_addr(), &common.server, &common.limits)?;
        let port = front.port()?;
        let mut service = open(settings)?;
        let readiness = Readiness::new(service.watched());
        let metrics = Metrics::new(P::NAME, env!("CARGO_PKG_VERSION"));
        service.measure(&metrics);
        Ok(Self {
            port,
            server: Server::new(front, P::TITLE, served::<P>(), readiness, metrics),
            service,
        })
    }

    /// Where it listens; useful if port 0 was asked for.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Waits until it can answer requests, for a bounded time.
    pub fn prepared(&self) -> impl Future<Output = ()> + Send + use<P> {
        self.service.prepared()
    }

    /// Works and serves until `stop` is cancelled and what was running is finished.
    ///
    /// # Errors
    /// If it has to give up.
    pub async fn run_until_stopped(
        self,
        stop: CancellationToken,
    ) -> Result<(), <P::Service as Service>::Error> {
        let name = P::NAME;
        tracing::info!(server.port = self.port, "{name} is listening");
        self.service.run(self.server, stop).await?;
        tracing::info!("{name} has stopped");
        Ok(())
    }
}
