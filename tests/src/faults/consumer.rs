//! A worker's end of the queue that breaks the protocol.

use std::sync::Arc;

use async_trait::async_trait;
use event::ClaimId;
use queue::{Consumer, QueueError, Taken};
use store::Store;

use super::{mutant::Mutant, queue::FaultyQueue};

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

    async fn claim(&self, id: ClaimId, max: usize) -> Result<Option<Taken>, QueueError> {
        let Some(Taken { claim, from }) = self.consumer.claim(id, max).await? else {
            return Ok(None);
        };
        if self.mutant == Mutant::PlainRpop {
            from.settle(id).await?;
        }
        let from = FaultyQueue {
            mutant: self.mutant,
            queue: from,
            store: self.store.clone(),
        };
        Ok(Some(Taken {
            claim,
            from: Arc::new(from),
        }))
    }
}
