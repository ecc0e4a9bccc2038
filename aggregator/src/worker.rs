//! A worker: claims a batch, records it, settles it, and starts over.
//!
//! It commits its claims strictly in order. Once it gives up on one it goes on under a new identity,
//! never with the next number: the store takes a number as the word that all before it are done.

use std::{sync::Arc, time::Duration};

use common::{
    clock::{Clock, Ids},
    lifecycle::Backoff,
    queue::{Claim, ClaimId, Consumer, QueueError, Verdict, WorkerId},
    store::{Recorded, Store, StoreError},
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// A lease is renewed this many times before it would run out.
const RENEWALS_PER_LEASE: u32 = 3;
/// Attempts to settle or release a claim. After them its lease runs out, and whoever adopts it
/// records it, or finds it committed.
const END_ATTEMPTS: usize = 5;

pub(crate) struct Worker {
    pub(crate) consumer: Arc<dyn Consumer>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<Ids>,
    pub(crate) batch_size: usize,
    pub(crate) lease: Duration,
    pub(crate) stop: CancellationToken,
}

/// How working on a claim ended.
enum Worked {
    /// Committed, by this attempt or an earlier one.
    Committed(Option<Vec<Verdict>>),
    /// Certainly not committed: it may go back to the queue.
    NotCommitted,
    /// Nobody knows: it stays claimed until its lease runs out, and is adopted under its identity.
    Unknown,
}

impl Worker {
    pub(crate) async fn run(self) {
        let mut backoff = Backoff::default();
        while !self.stop.is_cancelled() {
            let id = WorkerId(self.ids.next(self.clock.now()));
            match self.store.register(id).await {
                Ok(()) => {
                    backoff = Backoff::default();
                    self.incarnation(id).await;
                }
                Err(error) => {
                    tracing::warn!(worker.id = %id, %error, "a worker cannot register");
                    backoff.pause(&self.stop).await;
                }
            }
        }
    }

    /// Works under one identity until it has to be given up.
    async fn incarnation(&self, worker: WorkerId) {
        let mut id = ClaimId::first(worker);
        let mut backoff = Backoff::default();
        while !self.stop.is_cancelled() {
            match self.consumer.claim(id, self.batch_size).await {
                Ok(Some(claim)) => {
                    if !self.work_on(&claim).await {
                        return;
                    }
                    id = id.next();
                }
                Ok(None) => {
                    let waited = tokio::select! {
                        waited = self.consumer.wait() => waited,
                        () = self.stop.cancelled() => return,
                    };
                    match waited {
                        Ok(()) => backoff = Backoff::default(),
                        Err(error) => {
                            tracing::warn!(worker.id = %worker, %error, "a worker cannot wait for events");
                            backoff.pause(&self.stop).await;
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(claim.id = %id, %error, "a worker cannot claim");
                    backoff.pause(&self.stop).await;
                    return;
                }
            }
        }
    }

    /// `false`: the claim was given up.
    async fn work_on(&self, claim: &Claim) -> bool {
        let worked = tokio::select! {
            worked = self.record(claim) => worked,
            () = self.keep_lease(claim.id) => unreachable!("a lease is renewed for as long as it is needed"),
        };
        match worked {
            Worked::Committed(verdicts) => {
                self.settle(claim.id, verdicts.as_deref()).await;
                true
            }
            Worked::NotCommitted => {
                self.release(claim.id).await;
                false
            }
            Worked::Unknown => {
                tracing::warn!(claim.id = %claim.id, "a claim with an unknown outcome is left to be adopted");
                false
            }
        }
    }

    /// Tries until the store has given an answer, or until told to stop.
    async fn record(&self, claim: &Claim) -> Worked {
        let started = Instant::now();
        let mut backoff = Backoff::default();
        let mut certain = true;
        loop {
            match self.store.record(claim).await {
                Ok(Recorded::Committed(verdicts)) => {
                    log_batch(claim, &verdicts, started.elapsed());
                    return Worked::Committed(Some(verdicts));
                }
                Ok(Recorded::AlreadyCommitted) => {
                    tracing::info!(claim.id = %claim.id, "a claim was committed before");
                    return Worked::Committed(None);
                }
                Ok(Recorded::UnknownWorker) => {
                    tracing::warn!(claim.id = %claim.id, "the store does not know this worker any more");
                    return Worked::NotCommitted;
                }
                Err(error) => {
                    certain &= !matches!(error, StoreError::Uncertain(_));
                    tracing::warn!(claim.id = %claim.id, %error, "a claim could not be recorded");
                }
            }
            if !backoff.pause(&self.stop).await {
                return if certain {
                    Worked::NotCommitted
                } else {
                    Worked::Unknown
                };
            }
        }
    }

    /// Never returns.
    async fn keep_lease(&self, id: ClaimId) {
        loop {
            sleep(self.lease / RENEWALS_PER_LEASE).await;
            match self.consumer.renew(id).await {
                Ok(true) => {}
                Ok(false) => {
                    tracing::warn!(claim.id = %id, "a claim was adopted and settled by another worker");
                }
                Err(error) => {
                    tracing::warn!(claim.id = %id, %error, "a lease could not be renewed");
                }
            }
        }
    }

    async fn settle(&self, id: ClaimId, verdicts: Option<&[Verdict]>) {
        end(id, "settled", || self.consumer.settle(id, verdicts)).await;
    }

    async fn release(&self, id: ClaimId) {
        if let Some(released) = end(id, "released", || self.consumer.release(id)).await {
            tracing::info!(claim.id = %id, claim.released = released, "a claim was handed back");
        }
    }
}

/// Both ways to end a claim may be repeated. `None`: it is left to its lease.
async fn end<T, F>(id: ClaimId, how: &str, attempt: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, QueueError>>,
{
    let mut backoff = Backoff::default();
    for _ in 0..END_ATTEMPTS {
        match attempt().await {
            Ok(done) => return Some(done),
            Err(error) => {
                tracing::warn!(claim.id = %id, %error, "a claim could not be {how}");
                backoff.sleep().await;
            }
        }
    }
    None
}

fn log_batch(claim: &Claim, verdicts: &[Verdict], duration: Duration) {
    let count = |wanted| {
        verdicts
            .iter()
            .filter(|&&verdict| verdict == wanted)
            .count()
    };
    if tracing::enabled!(tracing::Level::DEBUG) {
        for (event, _) in claim
            .events
            .iter()
            .zip(verdicts)
            .filter(|(_, verdict)| **verdict == Verdict::Duplicate)
        {
            tracing::debug!(event.topic = %event.topic, event.id = %event.event_id, "dropped a duplicate");
        }
    }
    tracing::info!(
        claim.id = %claim.id,
        batch.events = claim.len(),
        batch.unique = count(Verdict::Accepted),
        batch.duplicates = count(Verdict::Duplicate),
        batch.dead_lettered = count(Verdict::DeadLettered) + claim.malformed.len(),
        batch.duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        "committed a batch"
    );
}
