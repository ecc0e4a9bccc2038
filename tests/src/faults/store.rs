//! A store that breaks the protocol.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use event::{Claim, ClaimId, EventId, Topic, WorkerId};
use queue::Shards;
use runtime::readiness::{Dependency, Probe, Trouble};
use store::{
    Audit, Cursor, DeadLetter, EventQuery, IdleWorker, Outdated, Page, Part, PoolUse, Recorded,
    Replayed, Rules, Sample, Span, Stats, StatsQuery, Step, Store, StoreError, StoredEvent,
    TopicPage, TopicQuery,
};
use uuid::Uuid;

use super::mutant::Mutant;

pub(super) struct FaultyStore {
    pub(super) mutant: Mutant,
    pub(super) store: Arc<dyn Store>,
    pub(super) shards: Arc<dyn Shards>,
}

impl FaultyStore {
    /// Under an identity that the store cannot have met.
    async fn record_as_new(&self, claim: &Claim) -> Result<Recorded, StoreError> {
        let worker = WorkerId(Uuid::new_v4());
        self.store.register(worker).await?;
        let claim = Claim {
            id: ClaimId::first(worker),
            events: claim.events.clone(),
            malformed: claim.malformed.clone(),
            judged: claim.judged,
        };
        self.store.record(&claim).await
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn record(&self, claim: &Claim) -> Result<Recorded, StoreError> {
        if self.mutant == Mutant::SettleFirst {
            for queue in self.shards.all() {
                // If this fails, the protocol is kept this once.
                let _ = queue.settle(claim.id).await;
            }
        }
        match self.store.record(claim).await? {
            Recorded::AlreadyCommitted | Recorded::UnknownWorker
                if self.mutant == Mutant::IgnoreWorkerClaims =>
            {
                self.record_as_new(claim).await
            }
            recorded => Ok(recorded),
        }
    }

    fn dependency(&self) -> Arc<Dependency> {
        self.store.dependency()
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        self.store.migrate().await
    }

    async fn register(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.store.register(worker).await
    }

    async fn stats(&self, query: &StatsQuery) -> Result<Stats, StoreError> {
        self.store.stats(query).await
    }

    async fn topics(&self, query: &TopicQuery) -> Result<TopicPage, StoreError> {
        self.store.topics(query).await
    }

    async fn take_sample(&self, moment: DateTime<Utc>) -> Result<(), StoreError> {
        self.store.take_sample(moment).await
    }

    async fn thin_history(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.store.thin_history(now).await
    }

    async fn history(&self, span: &Span) -> Result<Vec<Sample>, StoreError> {
        self.store.history(span).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>, StoreError> {
        self.store.events(query).await
    }

    async fn event(&self, topic: &Topic, id: &EventId) -> Result<Option<StoredEvent>, StoreError> {
        self.store.event(topic, id).await
    }

    async fn dead_letters(&self, part: Part) -> Result<Page<DeadLetter>, StoreError> {
        self.store.dead_letters(part).await
    }

    async fn replay_page(
        &self,
        ids: Option<&[i64]>,
        after: Option<Cursor>,
        dry_run: bool,
    ) -> Result<Replayed, StoreError> {
        self.store.replay_page(ids, after, dry_run).await
    }

    async fn discard(&self, id: i64) -> Result<bool, StoreError> {
        self.store.discard(id).await
    }

    async fn keep(&self, rules: &Rules) -> Result<Option<Step>, StoreError> {
        self.store.keep(rules).await
    }

    async fn outdated(&self, retention: Duration) -> Result<Vec<Outdated>, StoreError> {
        self.store.outdated(retention).await
    }

    async fn audit(&self) -> Result<Audit, StoreError> {
        self.store.audit().await
    }

    async fn idle_workers(&self, idle_for: Duration) -> Result<Vec<IdleWorker>, StoreError> {
        self.store.idle_workers(idle_for).await
    }

    async fn forget_workers(&self, workers: &[IdleWorker]) -> Result<u64, StoreError> {
        self.store.forget_workers(workers).await
    }

    async fn enter_layout(&self, queue: &str, shards: u16) -> Result<Vec<u16>, StoreError> {
        self.store.enter_layout(queue, shards).await
    }

    async fn replica_lag(&self) -> Option<Duration> {
        self.store.replica_lag().await
    }

    fn pools(&self) -> Vec<PoolUse> {
        self.store.pools()
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

#[async_trait]
impl Probe for FaultyStore {
    async fn probe(&self) -> Result<(), Trouble> {
        self.store.probe().await
    }
}
