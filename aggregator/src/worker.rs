//! A worker: claims a batch, works on it, and starts over.
//!
//! It commits its claims strictly in order. After a claim that it gives up, it goes on under a new identity,
//! never with the next number, because to the store a number means that all claims before it are done.

use std::sync::Arc;

use event::{
    ClaimId, WorkerId,
    clock::{Clock, Ids},
};
use queue::Consumer;
use runtime::{
    faults::{Point, crash_at},
    lifecycle::Backoff,
};

use crate::claims::{Claims, Worked};

pub(crate) struct Worker {
    pub(crate) claims: Claims,
    pub(crate) consumer: Arc<dyn Consumer>,
    pub(crate) batch_size: usize,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<Ids>,
}

impl Worker {
    pub(crate) async fn run(self) {
        let Claims { store, stop, .. } = &self.claims;
        // All incarnations share it. Each of them leaves a row in the store, so they must not follow each other quickly for long.
        let mut backoff = Backoff::default();
        while !stop.is_cancelled() {
            let id = WorkerId(self.ids.next(self.clock.now()));
            match store.register(id).await {
                Ok(()) => self.incarnation(id, &mut backoff).await,
                Err(error) => {
                    tracing::debug!(worker.id = %id, %error, "a worker cannot register");
                    backoff.pause(stop).await;
                }
            }
        }
    }

    /// Works under one identity until it has to be given up.
    async fn incarnation(&self, worker: WorkerId, backoff: &mut Backoff) {
        let (consumer, stop) = (&self.consumer, &self.claims.stop);
        let mut id = ClaimId::first(worker);
        while !stop.is_cancelled() {
            crash_at(Point::BeforeClaim);
            match consumer.claim(id, self.batch_size).await {
                Ok(Some(taken)) => {
                    crash_at(Point::AfterClaim);
                    if self.claims.work_on_own(&taken).await == Worked::GivenUp {
                        backoff.pause(stop).await;
                        return;
                    }
                    *backoff = Backoff::default();
                    id = id.next();
                }
                Ok(None) => {
                    let waited = tokio::select! {
                        waited = consumer.wait() => waited,
                        () = stop.cancelled() => return,
                    };
                    crash_at(Point::AfterWait);
                    match waited {
                        Ok(()) => *backoff = Backoff::default(),
                        Err(error) => {
                            tracing::debug!(worker.id = %worker, %error, "a worker cannot wait for events");
                            backoff.pause(stop).await;
                        }
                    }
                }
                Err(error) => {
                    tracing::debug!(claim.id = %id, %error, "a worker cannot claim");
                    backoff.pause(stop).await;
                    return;
                }
            }
        }
    }
}
