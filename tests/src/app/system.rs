//! A whole system in each of its deployments.

use super::{App, Deployment, Place};

/// A running system.
pub struct System {
    /// Those that take `POST /publish`.
    pub publishers: Vec<App>,
    /// Where its queue and its store are.
    pub place: Place,
    // Those that answer everything else, where they are others.
    aggregators: Vec<App>,
    deployment: Deployment,
}

impl Deployment {
    /// Starts it over an empty store and an empty queue; returns when it is ready.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(self) -> System {
        let mut system = System {
            publishers: Vec::new(),
            place: Place::of(self).await,
            aggregators: Vec::new(),
            deployment: self,
        };
        system.start_programs().await;
        system
    }
}

impl System {
    async fn start_programs(&mut self) {
        let workers = ["--workers=4"];
        if self.deployment == Deployment::Services {
            // All at once over an empty database: each must come up.
            self.aggregators = (0..2).map(|_| self.place.aggregator(&workers)).collect();
            self.publishers = (0..2).map(|_| self.place.publisher(&[])).collect();
        } else {
            self.publishers = vec![self.place.standalone(&workers)];
        }
        for app in self.publishers.iter().chain(&self.aggregators) {
            app.ready().await;
        }
    }

    /// A program that answers `GET /stats` and the like.
    #[must_use]
    pub fn reader(&self) -> &App {
        self.aggregators.first().unwrap_or(&self.publishers[0])
    }

    /// Stops every program and starts it again over the same data.
    pub async fn restart(&mut self) {
        self.stop_programs().await;
        self.start_programs().await;
    }

    /// Stops every program.
    pub async fn stop(mut self) {
        self.stop_programs().await;
    }

    async fn stop_programs(&mut self) {
        for app in self.publishers.drain(..).chain(self.aggregators.drain(..)) {
            app.stop().await;
        }
    }
}
