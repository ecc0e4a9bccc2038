//! A worker's end of the queue that breaks the protocol.

use std::{collections::HashSet, sync::Arc};

use async_trait::async_trait;
use event::{Claim, ClaimId, Verdict, WorkerId};
use queue::{Consumer, Depth, Holder, QueueError};
use store::Store;
use uuid::Uuid;

use super::mutant::Mutant;

pub(super) struct FaultyConsumer {
    pub(super) mutant: Mutant,
    pub(super) consumer: Arc<dyn Consumer>,
    pub(super) store: Arc<dyn Store>,
}

#[async_trait]
impl Consumer for FaultyConsumer {
    async fn wait(&self) -> Result<(), QueueError> {
        self.consumer.wait().await
    }

    async fn claim(&self, id: ClaimId, max: usize) -> Result<Option<Claim>, QueueError> {
        let claim = self.consumer.claim(id, max).await?;
        if self.mutant == Mutant::PlainRpop && claim.is_some() {
            self.consumer.settle(id, None).await?;
        }
        Ok(claim)
    }

    async fn renew(&self, id: ClaimId) -> Result<bool, QueueError> {
        self.consumer.renew(id).await
    }

    async fn settle(&self, id: ClaimId, verdicts: Option<&[Verdict]>) -> Result<(), QueueError> {
        self.consumer.settle(id, verdicts).await
    }

    async fn release(&self, id: ClaimId, holder: Holder) -> Result<bool, QueueError> {
        self.consumer.release(id, holder).await
    }

    async fn leave(&self, id: ClaimId) {
        self.consumer.leave(id).await;
    }

    async fn adopt(&self) -> Result<Option<Claim>, QueueError> {
        let mut adopted = self.consumer.adopt().await?;
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

    async fn holders(&self) -> Result<HashSet<WorkerId>, QueueError> {
        self.consumer.holders().await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.consumer.depth().await
    }
}
