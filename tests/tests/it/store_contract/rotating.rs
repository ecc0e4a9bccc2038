//! A store whose ledger closes a bucket after each claim, and makes its filter after every other one.

use std::{
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use event::{Claim, EventId, Topic, WorkerId};
use runtime::readiness::{Dependency, Probe, Trouble};
use store::{
    Audit, Cursor, DeadLetter, EventQuery, IdleWorker, Outdated, Page, Part, PoolUse, Recorded,
    Replayed, Rules, Sample, Span, Stats, StatsQuery, Step, Store, StoreError, StoredEvent,
    TopicPage, TopicQuery,
};

pub(super) struct Rotating {
    store: Arc<dyn Store>,
    claims: AtomicUsize,
}

/// A bucket that has any event is full.
const ALWAYS: Rules = Rules {
    bucket_events: 1,
    bucket_age: None,
    retention: None,
};

impl Rotating {
    pub(super) fn over(store: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Self {
            store,
            claims: AtomicUsize::new(0),
        })
    }

    /// A test may have made that impossible, and is about something else.
    async fn rotate(&self) {
        let steps = 1 + self.claims.fetch_add(1, Ordering::Relaxed) % 2;
        for _ in 0..steps {
            let _ = self.store.keep(&ALWAYS).await;
        }
    }
}

#[async_trait]
impl Probe for Rotating {
    async fn probe(&self) -> Result<(), Trouble> {
        self.store.probe().await
    }
}

#[async_trait]
impl Store for Rotating {
    fn dependency(&self) -> Arc<Dependency> {
        self.store.dependency()
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        self.store.migrate().await
    }

    async fn register(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.store.register(worker).await
    }

    async fn record(&self, claim: &Claim) -> Result<Recorded, StoreError> {
        let recorded = self.store.record(claim).await;
        self.rotate().await;
        recorded
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

    fn pools(&self) -> Vec<PoolUse> {
        self.store.pools()
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
