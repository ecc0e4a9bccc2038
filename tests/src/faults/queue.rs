//! A queue that breaks the protocol.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use event::{Claim, ClaimId, Verdict, WorkerId};
use queue::{Depth, Holder, Queue, QueueError, Shards};
use runtime::readiness::Watched;
use store::Store;
use uuid::Uuid;

use super::mutant::Mutant;

pub(super) struct FaultyQueue {
    pub(super) mutant: Mutant,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) store: Arc<dyn Store>,
}

/// The shards of a queue that break the protocol.
pub(super) struct FaultyShards {
    pub(super) mutant: Mutant,
    pub(super) shards: Arc<dyn Shards>,
    pub(super) store: Arc<dyn Store>,
}

impl Shards for FaultyShards {
    fn all(&self) -> Vec<Arc<dyn Queue>> {
        let faulty = |queue| {
            Arc::new(FaultyQueue {
                mutant: self.mutant,
                queue,
                store: self.store.clone(),
            }) as _
        };
        self.shards.all().into_iter().map(faulty).collect()
    }

    fn layout(&self) -> Option<(String, u16)> {
        self.shards.layout()
    }

    fn serve_also(&self, shards: u16) {
        self.shards.serve_also(shards);
    }
}

#[async_trait]
impl Queue for FaultyQueue {
    async fn adopt(&self) -> Result<Option<Claim>, QueueError> {
        let mut adopted = self.queue.adopt().await?;
        if let Some(claim) = &mut adopted
            && self.mutant == Mutant::AdoptAsNew
        {
            let worker = WorkerId(Uuid::new_v4());
            // If this fails, recording the claim fails too.
            let _ = self.store.register(worker).await;
            claim.id = ClaimId::first(worker);
        }
        Ok(adopted)
    }

    async fn renew(&self, id: ClaimId) -> Result<bool, QueueError> {
        self.queue.renew(id).await
    }

    fn recorded(&self, id: ClaimId, verdicts: &[Verdict]) {
        self.queue.recorded(id, verdicts);
    }

    async fn settle(&self, id: ClaimId) -> Result<(), QueueError> {
        self.queue.settle(id).await
    }

    async fn release(&self, id: ClaimId, holder: Holder) -> Result<bool, QueueError> {
        self.queue.release(id, holder).await
    }

    fn leave(&self, id: ClaimId) {
        self.queue.leave(id);
    }

    async fn holders(&self) -> Result<HashSet<WorkerId>, QueueError> {
        self.queue.holders().await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.queue.depth().await
    }

    fn shard(&self) -> String {
        self.queue.shard()
    }

    fn watched(&self) -> Option<Watched> {
        self.queue.watched()
    }
}
