//! Keeps the ledger fast and small: closes buckets, makes their filters, forgets what is old enough. Every aggregator does; the
//! store sees to it that each step is done once.

use std::{sync::Arc, time::Duration};

use store::{Rules, Step, Store};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How often it looks whether something is due.
const EVERY: Duration = Duration::from_secs(1);
/// How long it waits after an error.
const AFTER_ERROR: Duration = Duration::from_secs(5);

/// Looks after the ledger.
pub(crate) struct Keeper {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) rules: Rules,
    pub(crate) stop: CancellationToken,
}

/// How long workers wait for the filters at first. Without them they would ask every bucket.
const LOADED_WITHIN: Duration = Duration::from_secs(5);

impl Keeper {
    /// Loads the filters of closed buckets, before the first worker begins.
    pub(crate) async fn load(&self) {
        let loading = timeout(LOADED_WITHIN, self.store.keep(&Rules::NOTHING_DUE));
        if let Ok(Ok(Some(step))) = loading.await {
            say(&step);
        }
    }

    /// Keeps it until `stop`. A step that is under way then is given up, and nothing of it remains.
    pub(crate) async fn run(self) {
        let stop = self.stop.clone();
        let keeping = async {
            // Events that were removed, since it was last said how many.
            let mut removed = 0;
            loop {
                let kept = self.store.keep(&self.rules).await;
                match kept {
                    Ok(Some(Step::Removed { events })) => removed += events,
                    Ok(Some(step)) => say(&step),
                    Ok(None) | Err(_) if removed > 0 => {
                        tracing::info!(events = removed, "forgot old events");
                        removed = 0;
                    }
                    Ok(None) => sleep(EVERY).await,
                    // A dependency that is away is logged by those who store events.
                    Err(error) => {
                        tracing::debug!(%error, "the ledger cannot be kept now");
                        sleep(AFTER_ERROR).await;
                    }
                }
            }
        };
        tokio::select! {
            () = keeping => {}
            () = stop.cancelled() => {}
        }
    }
}

fn say(step: &Step) {
    match step {
        Step::Closed { bucket, events } => {
            tracing::info!(bucket, events, "closed a bucket and opened the next one");
        }
        Step::Filtered {
            bucket,
            identities,
            bytes,
        } => tracing::info!(bucket, identities, bytes, "made the filter of a bucket"),
        Step::Dropped { bucket, events } => {
            tracing::info!(
                bucket,
                events,
                "dropped a bucket that is older than the retention"
            );
        }
        Step::Removed { events } => tracing::info!(events, "forgot old events"),
    }
}
