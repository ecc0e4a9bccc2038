//! What the workers did lately, in one line of the log: a line for each claim would be thousands of lines a second.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use store::Tally;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How often there is a line, while events are stored.
const EVERY: Duration = Duration::from_secs(10);

/// What the workers did since the last line. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Summary(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    claims: AtomicU64,
    unique: AtomicU64,
    duplicate: AtomicU64,
    dead_lettered: AtomicU64,
}

impl Summary {
    /// A claim was committed.
    pub(crate) fn add(&self, tally: &Tally) {
        let counts = &self.0;
        for (counter, more) in [
            (&counts.claims, 1),
            (&counts.unique, tally.unique),
            (&counts.duplicate, tally.duplicate),
            (&counts.dead_lettered, tally.dead_lettered),
        ] {
            counter.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Logs until `stop`, and what is left then.
    pub(crate) async fn run(self, stop: CancellationToken) {
        loop {
            let stopped = timeout(EVERY, stop.cancelled()).await.is_ok();
            self.log();
            if stopped {
                return;
            }
        }
    }

    fn log(&self) {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        let counts = &self.0;
        let claims = take(&counts.claims);
        if claims == 0 {
            return;
        }
        tracing::info!(
            claims.committed = claims,
            events.unique = take(&counts.unique),
            events.duplicate = take(&counts.duplicate),
            events.dead_lettered = take(&counts.dead_lettered),
            period_s = EVERY.as_secs(),
            "stored events"
        );
    }
}
