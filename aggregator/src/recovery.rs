//! Recovery: adopts claims whose lease has run out, under their own identity, shard by shard, and forgets workers that
//! are long gone.
//!
//! A lease can run out although the owner is only slow. Both then record the same claim; the store
//! lets the first one count, and both settle. Nothing here needs to know which it is.

use std::{collections::HashSet, sync::Arc, time::Duration};

use event::WorkerId;
use queue::{Queue, QueueError, Shards, Taken};
use runtime::faults::{Point, crash_at};
use store::{IdleWorker, Store};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::claims::Claims;

/// Leases are looked at this often within the length of one.
const LOOKS_PER_LEASE: u32 = 2;
/// A worker that has committed nothing for so long is forgotten, unless it has a claim.
const FORGET_AFTER: Duration = Duration::from_hours(24);
/// How often to look for such workers.
const FORGET_EVERY: Duration = Duration::from_hours(1);

/// Adopts claims of one shard.
pub(crate) struct Recovery {
    pub(crate) claims: Claims,
    pub(crate) queue: Arc<dyn Queue>,
}

impl Recovery {
    pub(crate) async fn run(self) {
        let pause = self.claims.lease / LOOKS_PER_LEASE;
        loop {
            self.adopt_all().await;
            let stopped = self.claims.stop.cancelled();
            if timeout(pause, stopped).await.is_ok() {
                return;
            }
        }
    }

    async fn adopt_all(&self) {
        while !self.claims.stop.is_cancelled() {
            match self.queue.adopt().await {
                Ok(Some(claim)) => {
                    crash_at(Point::AfterAdopt);
                    if let Some(meters) = &self.claims.meters {
                        meters.adopted();
                    }
                    tracing::warn!(claim.id = %claim.id, claim.events = claim.len(), "adopted a claim whose lease had run out");
                    let from = self.queue.clone();
                    self.claims.work_on_adopted(&Taken { claim, from }).await;
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(%error, "leases cannot be looked at");
                    return;
                }
            }
        }
    }
}

/// Forgets workers that are long gone and have a claim in no shard.
pub(crate) struct Forgetting {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) shards: Arc<dyn Shards>,
    pub(crate) stop: CancellationToken,
}

impl Forgetting {
    pub(crate) async fn run(self) {
        loop {
            self.forget_long_gone().await;
            if timeout(FORGET_EVERY, self.stop.cancelled()).await.is_ok() {
                return;
            }
        }
    }

    /// The workers that have a claim in any shard. If one shard does not answer, nobody is forgotten.
    async fn holders(&self) -> Result<HashSet<WorkerId>, QueueError> {
        let mut holders = HashSet::new();
        for queue in self.shards.all() {
            holders.extend(queue.holders().await?);
        }
        Ok(holders)
    }

    /// First who is idle, then who has a claim, then forget the others: see
    /// [`store::Store::forget_workers`].
    async fn forget_long_gone(&self) {
        let store = &self.store;
        let forgotten = async {
            let mut forgotten = 0;
            loop {
                let idle = store.idle_workers(FORGET_AFTER).await?;
                let holders = self.holders().await?;
                let gone: Vec<IdleWorker> = idle
                    .into_iter()
                    .filter(|worker| !holders.contains(&worker.id))
                    .collect();
                let page = store.forget_workers(&gone).await?;
                forgotten += page;
                // Ends: each round removes some, and none becomes idle for so long meanwhile.
                if page == 0 || self.stop.is_cancelled() {
                    return anyhow::Ok(forgotten);
                }
            }
        };
        match forgotten.await {
            Ok(0) => {}
            Ok(count) => tracing::info!(workers.forgotten = count, "forgot workers long gone"),
            Err(error) => tracing::warn!(%error, "workers long gone cannot be forgotten"),
        }
    }
}
