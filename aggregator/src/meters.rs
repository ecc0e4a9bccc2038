//! What the workers measure: once a claim, never once an event.

use std::time::Duration;

use chrono::{DateTime, Utc};
use event::Claim;
use metrics::{Counter, Counters, Histogram, Labels, Metrics};
use store::StoreError;

/// What the workers measure.
#[derive(Debug, Clone)]
pub(crate) struct Meters {
    claim_events: Histogram,
    claim_age: Histogram,
    record: Histogram,
    settle: Histogram,
    retries: Counters<1>,
    adoptions: Counter,
}

/// Why an attempt to record a claim may fail.
const REASONS: [&str; 8] = [
    "unavailable",
    "untrusted",
    "read_only",
    "forbidden",
    "uncertain",
    "refused",
    "schema",
    "unfit",
];

impl Meters {
    pub(crate) fn of(metrics: &Metrics) -> Self {
        let retries = metrics.counters(
            "record_retries",
            "Attempts to record a claim that failed, by reason",
        );
        for reason in REASONS {
            // What is 0 is told, too, so that the first failure is a change.
            drop(retries.get_or_create(&labels(reason)));
        }
        Self {
            retries,
            claim_events: metrics.events("claim_events", "Events in a claim"),
            claim_age: metrics.ages(
                "claim_event_age",
                "How long before its claim was recorded the oldest event of a claim was accepted",
            ),
            record: metrics.durations(
                "record_duration",
                "How long it took to record a claim, with all attempts",
            ),
            settle: metrics.durations("settle_duration", "How long it took to settle a claim"),
            adoptions: metrics.counter("claims_adopted", "Claims that were adopted"),
        }
    }

    /// A claim was recorded.
    pub(crate) fn recorded(&self, claim: &Claim, duration: Duration, now: DateTime<Utc>) {
        self.claim_events
            .observe(metrics::number(claim.len() as u64));
        self.record.observe(duration.as_secs_f64());
        if let Some(oldest) = claim.events.first() {
            let age = now - oldest.receipt_id.received_at();
            // The clocks of two machines differ.
            self.claim_age
                .observe(age.to_std().unwrap_or_default().as_secs_f64());
        }
    }

    /// A claim was settled.
    pub(crate) fn settled(&self, duration: Duration) {
        self.settle.observe(duration.as_secs_f64());
    }

    /// An attempt to record a claim failed.
    pub(crate) fn retries(&self, error: &StoreError) {
        let at = match error {
            StoreError::Unavailable(_) => 0,
            StoreError::Untrusted(_) => 1,
            StoreError::ReadOnly(_) => 2,
            StoreError::Forbidden(_) => 3,
            StoreError::Uncertain(_) => 4,
            StoreError::Refused(_) => 5,
            StoreError::Schema(_) => 6,
            StoreError::Unfit(_) => 7,
        };
        self.retries.get_or_create(&labels(REASONS[at])).inc();
    }

    /// A claim was adopted.
    pub(crate) fn adopted(&self) {
        self.adoptions.inc();
    }
}

fn labels(reason: &str) -> Labels<1> {
    [("reason", reason.to_owned())]
}
