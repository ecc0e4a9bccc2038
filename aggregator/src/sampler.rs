//! The history of the counters: a sample at every moment that is a multiple of ten seconds.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use event::clock::Clock;
use store::{
    Store, StoreError,
    history::{self, COARSE, EVERY},
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a sample may take. The next one is due by then.
const WITHIN: Duration = EVERY;

/// Takes samples, and drops those that are too old. Every aggregator does; of each moment the first sample is kept.
pub(crate) struct Sampler {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: CancellationToken,
}

impl Sampler {
    /// Samples until `stop`.
    pub(crate) async fn run(self) {
        let mut last = None;
        loop {
            let now = self.clock.now();
            let moment = history::moment(now);
            if last != Some(moment) {
                last = Some(moment);
                // A dependency that is away is logged by those who store events.
                match timeout(WITHIN, self.sample(moment)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "no sample of the counters"),
                    Err(late) => tracing::debug!(error = %late, "no sample of the counters"),
                }
            }
            let next = moment + EVERY - self.clock.now();
            let pause = next.to_std().unwrap_or_default().min(EVERY);
            if timeout(pause, self.stop.cancelled()).await.is_ok() {
                return;
            }
        }
    }

    async fn sample(&self, moment: DateTime<Utc>) -> Result<(), StoreError> {
        self.store.take_sample(moment).await?;
        let coarse = i64::try_from(COARSE.as_secs()).unwrap_or(i64::MAX);
        if moment.timestamp() % coarse == 0 {
            self.store.thin_history(moment).await?;
        }
        Ok(())
    }
}
