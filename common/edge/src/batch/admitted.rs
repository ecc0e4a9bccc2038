//! Events that may go into a queue: admission has let them through.
//!
//! A route has no other way into a queue than an [`Intake`] or an [`Ingestion`], and these take nothing but an
//! [`Admitted`], which only [`read`](super::read) makes. So a route that forgets a topic, a rate or a limit does not compile.

use std::sync::Arc;

use event::Event;
use queue::{
    Producer, PushError,
    memory::{MemoryQueue, Verdicts},
};
use runtime::{hold::Hold, readiness::Watched};

use super::meter::Meter;

/// Events that were read within the server's limits, whose topics are the caller's, and which the caller's rate allows.
#[derive(Debug)]
pub struct Admitted {
    events: Vec<Event>,
    /// What they take of the server's bounds, for as long as they are in memory.
    hold: Hold,
    meter: Meter,
}

impl Admitted {
    /// Admission has let these through.
    pub(super) const fn new(events: Vec<Event>, hold: Hold, meter: Meter) -> Self {
        Self {
            events,
            hold,
            meter,
        }
    }

    /// The events, in the client's order.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }
}

/// The way of `POST /publish` into a queue.
#[derive(Clone)]
pub struct Intake(Arc<dyn Producer>);

impl Intake {
    /// The way into this queue.
    #[must_use]
    pub fn of(producer: Arc<dyn Producer>) -> Self {
        Self(producer)
    }

    /// Accepts all of the events durably, or none of them.
    ///
    /// # Errors
    /// See [`Producer::push`].
    pub async fn push(&self, admitted: Admitted) -> Result<(), PushError> {
        let Admitted {
            events,
            hold,
            meter,
        } = admitted;
        let count = events.len();
        let pushing = self.0.push(events, hold);
        meter.push("/publish", count, pushing).await
    }

    /// What `/ready` knows of the servers that hold the queue. None: no other process holds it.
    #[must_use]
    pub fn watched(&self) -> Vec<Watched> {
        self.0.watched()
    }
}

/// The way of `POST /ingest` into a queue in memory.
#[derive(Clone)]
pub struct Ingestion(Arc<MemoryQueue>);

impl Ingestion {
    /// The way into this queue.
    #[must_use]
    pub fn of(queue: Arc<MemoryQueue>) -> Self {
        Self(queue)
    }

    /// Waits until the events are stored, and answers what came of each.
    ///
    /// # Errors
    /// See [`MemoryQueue::submit`].
    pub async fn submit(&self, admitted: Admitted) -> Result<Verdicts, PushError> {
        let Admitted {
            events,
            hold,
            meter,
        } = admitted;
        let count = events.len();
        let submitting = self.0.submit(events, hold);
        meter.push("/ingest", count, submitting).await
    }
}
