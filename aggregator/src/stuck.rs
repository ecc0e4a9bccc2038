//! Claims that the database does not take although it takes other writes: which, since when, and why. They are tried
//! again and again, but others go first, so nobody would notice them by a queue that grows.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::SecondsFormat;
use event::{Claim, ClaimId, EventTime};
use runtime::readiness::{Probe, Trouble};
use store::StoreError;
use tokio::time::Instant;

/// A claim that this process has not tried again for so many leases belongs to another process now.
const REMEMBERED_LEASES: u32 = 4;

/// The claims of this process after which other claims went first, until they are recorded. Its [`Probe`] fails while there
/// is one.
#[derive(Clone)]
pub(crate) struct StuckClaims {
    claims: Arc<Mutex<HashMap<ClaimId, Stuck>>>,
    remembered_for: Duration,
}

struct Stuck {
    tried: Instant,
    /// When the oldest of its events was accepted.
    since: Option<EventTime>,
    events: usize,
    why: &'static str,
    detail: String,
}

impl StuckClaims {
    pub(crate) fn new(lease: Duration) -> Self {
        Self {
            claims: Arc::default(),
            remembered_for: lease * REMEMBERED_LEASES,
        }
    }

    /// Notes that other claims go before this one.
    pub(crate) fn note(&self, claim: &Claim, error: &StoreError) {
        let accepted = claim.events.iter();
        let accepted = accepted.map(|event| event.receipt_id.received_at());
        let stuck = Stuck {
            tried: Instant::now(),
            since: accepted.min().map(EventTime::from),
            events: claim.len(),
            why: why(error),
            detail: error.to_string(),
        };
        self.lock().insert(claim.id, stuck);
    }

    /// Notes that it is recorded, or handed back.
    pub(crate) fn forget(&self, id: ClaimId) {
        self.lock().remove(&id);
    }

    /// No step under the lock can panic half-way through a change.
    fn lock(&self) -> MutexGuard<'_, HashMap<ClaimId, Stuck>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Probe for StuckClaims {
    async fn probe(&self) -> Result<(), Trouble> {
        let mut claims = self.lock();
        claims.retain(|_, stuck| stuck.tried.elapsed() < self.remembered_for);
        let oldest = claims
            .iter()
            .min_by_key(|(id, stuck)| (stuck.since, id.worker, id.number));
        let Some((id, stuck)) = oldest else {
            return Ok(());
        };
        let since = stuck.since.map_or_else(String::new, |since| {
            let since = since
                .as_datetime()
                .to_rfc3339_opts(SecondsFormat::Secs, true);
            format!(", the oldest accepted at {since}")
        });
        let shown = format!(
            "claim {id} with {} events{since}, is tried again and again although the database takes other writes: {}; \
             the log has the database's answer",
            stuck.events, stuck.why
        );
        Err(Trouble::new(shown, &stuck.detail))
    }
}

/// The error, in words that anyone may read.
const fn why(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unavailable(_) | StoreError::ReadOnly(_) | StoreError::Untrusted(_) => {
            "an error that should pass comes again each time"
        }
        StoreError::Uncertain(_) => "its commit is not confirmed",
        StoreError::Refused(_) => "the database refuses it, but none of its events alone",
        StoreError::Schema(_) | StoreError::Unfit(_) | StoreError::Forbidden(_) => {
            "the tables, or a trigger of theirs, do not fit"
        }
    }
}

#[cfg(test)]
mod tests {
    use event::{
        WorkerId,
        clock::SystemClock,
        parse::{Limits, Receipts, parse},
    };
    use uuid::Uuid;

    use super::*;

    fn claim(worker: u128) -> Claim {
        let limits = Limits {
            max_events: 1,
            max_event_bytes: 256,
        };
        let receipts = Receipts::new(&SystemClock, &Arc::default());
        let parsed = parse(br#"{"id":"1"}"#.to_vec(), &limits, &receipts).unwrap();
        Claim {
            id: ClaimId::first(WorkerId(Uuid::from_u128(worker))),
            events: Arc::new(parsed.events),
            malformed: Vec::new(),
            judged: false,
        }
    }

    #[tokio::test]
    async fn a_claim_that_is_stuck_is_told_until_it_is_recorded_or_another_processes() {
        let stuck = StuckClaims::new(Duration::from_hours(1));
        assert_eq!(stuck.probe().await, Ok(()));
        let (one, other) = (claim(1), claim(2));
        let error = StoreError::Schema("made up for a test".into());
        stuck.note(&one, &error);
        stuck.note(&other, &error);
        let told = stuck.probe().await.unwrap_err();
        assert!(told.shown.contains(&one.id.to_string()), "{told:?}");
        assert!(told.shown.contains("accepted at 20"), "{told:?}");
        assert!(!told.shown.contains("made up"), "{told:?}");
        assert!(told.detail.contains("made up"), "{told:?}");

        stuck.forget(one.id);
        let told = stuck.probe().await.unwrap_err();
        assert!(told.shown.contains(&other.id.to_string()), "{told:?}");

        let long_ago = StuckClaims::new(Duration::ZERO);
        long_ago.note(&one, &error);
        assert_eq!(long_ago.probe().await, Ok(()));
    }
}
