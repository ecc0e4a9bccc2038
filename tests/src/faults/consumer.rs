//! A worker's end of the queue that breaks the protocol.

use std::sync::Arc;

use async_trait::async_trait;
use event::{Claim, ClaimId};
use queue::{Consumer, Queue, QueueError};

use super::mutant::Mutant;

pub(super) struct FaultyConsumer {
    pub(super) mutant: Mutant,
    pub(super) consumer: Arc<dyn Consumer>,
    pub(super) queue: Arc<dyn Queue>,
}

#[async_trait]
impl Consumer for FaultyConsumer {
    async fn wait(&self) -> Result<(), QueueError> {
        self.consumer.wait().await
    }

    async fn claim(&self, id: ClaimId, max: usize) -> Result<Option<Claim>, QueueError> {
        let claim = self.consumer.claim(id, max).await?;
        if self.mutant == Mutant::PlainRpop && claim.is_some() {
            self.queue.settle(id).await?;
        }
        Ok(claim)
    }
}
