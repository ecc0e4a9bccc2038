//! Working on a claim: record it under its lease, then settle it or hand it back. The same for its
//! owner and for a worker that adopts it.

use std::{sync::Arc, time::Duration};

use event::{Claim, ClaimId, Verdict, clock::Clock};
use queue::{Holder, Queue, QueueError, Taken};
use runtime::{
    faults::{Point, crash_at},
    lifecycle::Backoff,
};
use store::{Recorded, Store, StoreError};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{meters::Meters, stuck::StuckClaims, summary::Summary};

/// A lease is renewed this many times before it would run out.
const RENEWALS_PER_LEASE: u32 = 3;
/// How long one attempt to record may take, well over what the database itself allows a lock to
/// take. Beyond, the connection counts as dead, and what became of the attempt as unknown.
const RECORD_WITHIN: Duration = Duration::from_mins(1);
/// After so many failures, which take about ten seconds, other claims go first, if the database takes other writes.
const GIVES_WAY_AFTER: u32 = 8;
/// How long the database may take to show that it takes other writes.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);
/// Attempts to settle or release a claim. After them its lease runs out, and the worker that adopts it
/// records it, or finds it committed.
const END_ATTEMPTS: usize = 5;

/// What working on claims takes.
#[derive(Clone)]
pub(crate) struct Claims {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) lease: Duration,
    pub(crate) stuck: StuckClaims,
    /// `None`: nothing is measured.
    pub(crate) meters: Option<Meters>,
    pub(crate) summary: Summary,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: CancellationToken,
}

/// How working on a claim ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worked {
    /// Committed, by this attempt or an earlier one, and settled.
    Done,
    /// Not committed as far as is known, and not to be tried again under this identity by its owner.
    GivenUp,
}

/// What the store made of a claim.
enum Outcome {
    Committed(Option<Vec<Verdict>>),
    /// Certainly not committed by this process; somebody who adopted it may still do so.
    NotCommitted,
    /// Never committed, and by nobody any more.
    Disowned,
    /// It may have been committed: only its identity can tell, later.
    Unknown,
    /// Others go first; whether it was committed does not matter.
    GivesWay,
}

impl Claims {
    /// Works on a claim of one's own.
    pub(crate) async fn work_on_own(&self, taken: &Taken) -> Worked {
        let Taken { claim, from } = taken;
        match self.record_under_lease(taken).await {
            Outcome::Committed(verdicts) => {
                crash_at(Point::AfterCommit);
                if let Some(verdicts) = verdicts {
                    from.recorded(claim.id, &verdicts);
                }
                self.settle(claim.id, &**from).await;
                Worked::Done
            }
            Outcome::NotCommitted => {
                release(claim.id, &**from, Holder::Owner).await;
                Worked::GivenUp
            }
            Outcome::Disowned => {
                release(claim.id, &**from, Holder::Anyone).await;
                Worked::GivenUp
            }
            Outcome::Unknown | Outcome::GivesWay => {
                tracing::warn!(claim.id = %claim.id, "a claim is left to be adopted");
                from.leave(claim.id);
                Worked::GivenUp
            }
        }
    }

    /// Works on an adopted claim. Unless it is disowned it is never handed back: its former owner may
    /// be committing it at this moment.
    pub(crate) async fn work_on_adopted(&self, taken: &Taken) -> Worked {
        let Taken { claim, from } = taken;
        match self.record_under_lease(taken).await {
            Outcome::Committed(_) => {
                crash_at(Point::AfterAdoptedCommit);
                self.settle(claim.id, &**from).await;
                Worked::Done
            }
            Outcome::Disowned => {
                release(claim.id, &**from, Holder::Anyone).await;
                Worked::GivenUp
            }
            Outcome::NotCommitted | Outcome::Unknown | Outcome::GivesWay => Worked::GivenUp,
        }
    }

    async fn record_under_lease(&self, taken: &Taken) -> Outcome {
        tokio::select! {
            outcome = self.record(&taken.claim) => outcome,
            () = self.keep_lease(taken) => unreachable!("a lease is kept for as long as it is needed"),
        }
    }

    async fn record(&self, claim: &Claim) -> Outcome {
        let outcome = self.try_to_record(claim).await;
        if matches!(outcome, Outcome::Committed(_) | Outcome::Disowned) {
            self.stuck.forget(claim.id);
        }
        outcome
    }

    /// Tries until the store has given an answer, or others go first, or until told to stop.
    async fn try_to_record(&self, claim: &Claim) -> Outcome {
        let started = Instant::now();
        let mut backoff = Backoff::default();
        let mut certain = true;
        for failures in 1_u32.. {
            let attempt = timeout(RECORD_WITHIN, self.store.record(claim));
            let recorded = attempt
                .await
                .unwrap_or_else(|late| Err(StoreError::Uncertain(late.into())));
            match recorded {
                Ok(Recorded::Committed(tally)) => {
                    if let Some(meters) = &self.meters {
                        meters.recorded(claim, started.elapsed(), self.clock.now());
                    }
                    self.summary.add(&tally);
                    log_batch(claim, &tally.verdicts, started.elapsed());
                    return Outcome::Committed(Some(tally.verdicts));
                }
                Ok(Recorded::AlreadyCommitted) => {
                    tracing::info!(claim.id = %claim.id, "a claim was committed before");
                    return Outcome::Committed(None);
                }
                Ok(Recorded::UnknownWorker) => {
                    tracing::warn!(claim.id = %claim.id, "the store does not know a claim's worker any more");
                    // An attempt of ours whose answer was lost may have committed it before the worker was forgotten.
                    return if certain {
                        Outcome::Disowned
                    } else {
                        Outcome::Unknown
                    };
                }
                Err(error) => {
                    if let Some(meters) = &self.meters {
                        meters.retries(&error);
                    }
                    certain &= !matches!(error, StoreError::Uncertain(_));
                    // The store has told its dependency, which logs it.
                    tracing::debug!(claim.id = %claim.id, failures, %error, "a claim could not be recorded");
                    if failures >= GIVES_WAY_AFTER && self.others_can_go_first().await {
                        self.stuck.note(claim, &error);
                        return Outcome::GivesWay;
                    }
                }
            }
            if !backoff.pause(&self.stop).await {
                break;
            }
        }
        if certain {
            Outcome::NotCommitted
        } else {
            Outcome::Unknown
        }
    }

    /// While the database takes nothing from anybody, a claim is as well kept as left.
    async fn others_can_go_first(&self) -> bool {
        let shown = timeout(SHOWN_WITHIN, self.store.probe()).await;
        matches!(shown, Ok(Ok(())))
    }

    /// Never returns.
    async fn keep_lease(&self, taken: &Taken) {
        let id = taken.claim.id;
        loop {
            sleep(self.lease / RENEWALS_PER_LEASE).await;
            crash_at(Point::BeforeRenew);
            match taken.from.renew(id).await {
                Ok(true) => crash_at(Point::AfterRenew),
                Ok(false) => {
                    tracing::warn!(claim.id = %id, "a claim was adopted and settled by another process");
                }
                Err(error) => {
                    tracing::debug!(claim.id = %id, %error, "a lease could not be renewed");
                }
            }
        }
    }

    async fn settle(&self, id: ClaimId, from: &dyn Queue) {
        let begun = Instant::now();
        end(id, "settled", || from.settle(id)).await;
        if let Some(meters) = &self.meters {
            meters.settled(begun.elapsed());
        }
        crash_at(Point::AfterSettle);
    }
}

async fn release(id: ClaimId, from: &dyn Queue, holder: Holder) {
    crash_at(Point::BeforeRelease);
    if let Some(released) = end(id, "released", || from.release(id, holder)).await {
        crash_at(Point::AfterRelease);
        tracing::info!(claim.id = %id, claim.released = released, "a claim was handed back");
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
                tracing::debug!(claim.id = %id, %error, "a claim could not be {how}");
                backoff.sleep().await;
            }
        }
    }
    tracing::warn!(claim.id = %id, "a claim could not be {how}; it is adopted when its lease has run out");
    None
}

fn log_batch(claim: &Claim, verdicts: &[Verdict], duration: Duration) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let judged = claim.events.iter().zip(verdicts);
    for (event, _) in judged.filter(|(_, verdict)| **verdict == Verdict::Duplicate) {
        tracing::debug!(event.topic = %event.topic, event.id = %event.event_id, "dropped a duplicate");
    }
    tracing::debug!(
        claim.id = %claim.id,
        claim.events = claim.len(),
        record.duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        "committed a claim"
    );
}
