//! Workers and HTTP routes over any queue and any store.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use edge::{batch::Ingestion, settings::LimitArgs};
use event::clock::{Clock, Ids, SystemClock};
use metrics::Metrics;
use program::{Server, Service};
use queue::{Consumer, Opened, Shards, memory::MemoryQueue};
use runtime::{
    lifecycle::Backoff,
    readiness::{Dependency, Probe, Watched},
};
use store::{Rules, Store, StoreError};
use tokio::{
    sync::SetOnce,
    task::{JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    WorkerArgs,
    api::Api,
    claims::Claims,
    keeper::Keeper,
    looked_up::LookedUp,
    meters::Meters,
    recovery::{Forgetting, Recovery},
    sampler::Sampler,
    snapshots::Snapshots,
    stuck::StuckClaims,
    summary::Summary,
    worker::Worker,
};

/// Workers for `/ingest` where the queue is Redis: while one commits, the next batch gathers. With more of them the
/// batches are smaller, and each costs nearly the same.
const INGEST_WORKERS: usize = 1;
/// Most events of `/ingest` that wait in memory where the queue is Redis.
const INGEST_MAX_LEN: u64 = 100_000;
/// What workers get to finish even if requests have used up the grace period.
const SHORTEST_GRACE: Duration = Duration::from_millis(200);
/// How long the first requests wait for a database whose tables are not up to date yet.
const PREPARED_WITHIN: Duration = Duration::from_secs(1);
/// How long closing the store's connections may take.
const CLOSED_WITHIN: Duration = Duration::from_secs(2);

/// Workers and HTTP routes over a queue and a store.
///
/// `POST /ingest` goes through a queue in memory with workers of its own. Where that is the only
/// queue (standalone), `POST /publish` goes through the same.
pub struct Aggregator {
    store: Arc<dyn Store>,
    /// Of the queue that `/publish` feeds.
    shards: Arc<dyn Shards>,
    /// One for each of its workers, if other processes see it too.
    consumers: Vec<Arc<dyn Consumer>>,
    local: Arc<MemoryQueue>,
    local_workers: usize,
    workers: WorkerArgs,
    rules: Rules,
    limits: LimitArgs,
    queue_max_len: u64,
    clock: Arc<dyn Clock>,
    ids: Arc<Ids>,
    migrated: Arc<SetOnce<()>>,
    stuck: StuckClaims,
    snapshots: Arc<Snapshots>,
    meters: Option<Meters>,
    summary: Summary,
}

/// Why it stopped without being told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The tables cannot be brought to what this version needs.
    #[error("{0}; check that no newer version has used this database")]
    Schema(#[source] StoreError),
    /// The database would not store every event, or not count it rightly.
    #[error(transparent)]
    Unfit(StoreError),
    /// A worker panicked. What it had claimed is adopted after its lease.
    #[error("a worker crashed: {0}; start again, and report this as a defect")]
    Crashed(#[from] JoinError),
    /// The listener failed.
    #[error("the listening socket failed: {0}; start again")]
    Socket(#[from] std::io::Error),
}

impl Aggregator {
    /// Over a queue shared with other processes. Its publishers let so many events wait in it.
    #[must_use]
    pub fn over(
        shared: Opened,
        queue_max_len: u64,
        store: Arc<dyn Store>,
        workers: WorkerArgs,
        rules: Rules,
        limits: LimitArgs,
    ) -> Self {
        let local = Arc::new(MemoryQueue::new(INGEST_MAX_LEN));
        Self {
            snapshots: Arc::new(Snapshots::new(shared.shards.clone(), store.clone())),
            shards: shared.shards,
            consumers: shared.consumers,
            local_workers: INGEST_WORKERS,
            queue_max_len,
            ..Self::in_process(local, store, workers, rules, limits)
        }
    }

    /// Over a queue inside this process.
    #[must_use]
    pub fn in_process(
        queue: Arc<MemoryQueue>,
        store: Arc<dyn Store>,
        workers: WorkerArgs,
        rules: Rules,
        limits: LimitArgs,
    ) -> Self {
        let shards = queue.clone().shards();
        Self {
            snapshots: Arc::new(Snapshots::new(shards.clone(), store.clone())),
            meters: None,
            summary: Summary::default(),
            store,
            shards,
            consumers: Vec::new(),
            queue_max_len: queue.max_len(),
            local: queue,
            local_workers: workers.workers.into(),
            workers,
            rules,
            limits,
            clock: Arc::new(SystemClock),
            ids: Arc::default(),
            migrated: Arc::default(),
            stuck: StuckClaims::new(workers.lease()),
        }
    }

    fn api(&self) -> Api {
        Api {
            store: self.store.clone(),
            snapshots: self.snapshots.clone(),
            queue_max_len: self.queue_max_len,
            ingest: Ingestion::of(self.local.clone()),
            limits: self.limits,
            clock: self.clock.clone(),
            ids: self.ids.clone(),
            started: Instant::now(),
        }
    }

    async fn work(
        self,
        stop: CancellationToken,
        answered: CancellationToken,
    ) -> Result<(), RunError> {
        if !self.prepare(&stop).await? || !self.serve_former_shards(&stop).await {
            return Ok(());
        }
        let keeper = Keeper {
            store: self.store.clone(),
            rules: self.rules,
            stop: stop.clone(),
        };
        keeper.load().await;
        let mut workers = JoinSet::new();
        workers.spawn(keeper.run());
        for consumer in &self.consumers {
            workers.spawn(self.worker(consumer.clone(), &stop).run());
        }
        for _ in 0..self.local_workers {
            let consumer = self.local.clone().consumer();
            workers.spawn(self.worker(consumer, &answered).run());
        }
        for queue in self.shards.all() {
            let claims = self.claims(&stop);
            workers.spawn(Recovery { claims, queue }.run());
        }
        let forgetting = Forgetting {
            store: self.store.clone(),
            shards: self.shards.clone(),
            stop: stop.clone(),
        };
        workers.spawn(forgetting.run());
        let sampler = Sampler {
            store: self.store.clone(),
            clock: self.clock.clone(),
            stop,
        };
        workers.spawn(sampler.run());
        // The workers of /ingest are the last to end.
        workers.spawn(self.summary.clone().run(answered));
        while let Some(ended) = workers.join_next().await {
            ended?;
        }
        Ok(())
    }

    /// Waits for the database and brings its tables up to date. `false`: told to stop before.
    async fn prepare(&self, stop: &CancellationToken) -> Result<bool, RunError> {
        let mut backoff = Backoff::default();
        loop {
            match self.store.migrate().await {
                Ok(()) => {
                    // Nobody else sets it.
                    let _ = self.migrated.set(());
                    return Ok(true);
                }
                Err(error @ StoreError::Schema(_)) => return Err(RunError::Schema(error)),
                Err(error @ StoreError::Unfit(_)) => return Err(RunError::Unfit(error)),
                Err(error) => tracing::debug!(%error, "waiting for the database"),
            }
            if !backoff.pause(stop).await {
                return Ok(false);
            }
        }
    }

    /// What was put into the shards that the queue had when it had another number of them is taken out, too. `false`: told to
    /// stop before it was known which these are.
    async fn serve_former_shards(&self, stop: &CancellationToken) -> bool {
        let Some((queue, shards)) = self.shards.layout() else {
            return true;
        };
        let mut backoff = Backoff::default();
        loop {
            match self.store.enter_layout(&queue, shards).await {
                Ok(former) => {
                    for shards in former {
                        tracing::info!(
                            queue.name = queue,
                            queue.shards = shards,
                            "the shards of an earlier number are served, too"
                        );
                        self.shards.serve_also(shards);
                    }
                    return true;
                }
                Err(error) => tracing::debug!(%error, "waiting for the database"),
            }
            if !backoff.pause(stop).await {
                return false;
            }
        }
    }

    fn worker(&self, consumer: Arc<dyn Consumer>, stop: &CancellationToken) -> Worker {
        Worker {
            claims: self.claims(stop),
            consumer,
            batch_size: self.workers.batch_size(),
            clock: self.clock.clone(),
            ids: self.ids.clone(),
        }
    }

    fn claims(&self, stop: &CancellationToken) -> Claims {
        Claims {
            store: self.store.clone(),
            lease: self.workers.lease(),
            stuck: self.stuck.clone(),
            meters: self.meters.clone(),
            summary: self.summary.clone(),
            clock: self.clock.clone(),
            stop: stop.clone(),
        }
    }
}

impl Service for Aggregator {
    type Error = RunError;

    fn watched(&self) -> Vec<Watched> {
        let store = (
            self.store.dependency(),
            self.store.clone() as Arc<dyn Probe>,
        );
        let claims = Dependency::new("claims", "DATABASE_URL");
        let claims: Watched = (Arc::new(claims), Arc::new(self.stuck.clone()));
        let shards = self.shards.all();
        let shards = shards.iter().filter_map(|queue| queue.watched());
        shards.chain([store, claims]).collect()
    }

    fn measure(&mut self, metrics: &Metrics) {
        self.meters = Some(Meters::of(metrics));
        LookedUp::add(
            metrics,
            self.snapshots.clone(),
            self.store.clone(),
            self.queue_max_len,
            self.clock.clone(),
        );
    }

    /// Waits until the tables are up to date, so that questions can be answered, but not for a database that is away.
    /// Nothing is waited for before [`run`](Service::run) has begun.
    fn prepared(&self) -> impl Future<Output = ()> + Send + use<> {
        let migrated = self.migrated.clone();
        async move {
            // After this time, the answer is that the database is away.
            let _ = timeout(PREPARED_WITHIN, migrated.wait()).await;
        }
    }

    /// After `stop`, workers of a shared queue claim no more, then requests are answered, and last the workers that those
    /// requests wait for end, all within the grace period.
    ///
    /// # Errors
    /// [`RunError`] if it had to give up.
    async fn run(self, server: Server, stop: CancellationToken) -> Result<(), RunError> {
        let grace = server.grace();
        let answered = CancellationToken::new();
        let store = self.store.clone();
        let server = server.state(self.api());
        let prepared = self.prepared();
        let workers = tokio::spawn({
            let (stop, answered) = (stop.clone(), answered.clone());
            // However the workers end, nothing is served without them.
            let last_one_out = stop.clone().drop_guard();
            async move {
                let _last_one_out = last_one_out;
                self.work(stop, answered).await
            }
        });
        let stopped_at = tokio::spawn({
            let stop = stop.clone();
            async move {
                stop.cancelled().await;
                Instant::now()
            }
        });
        tokio::select! {
            () = prepared => {}
            () = stop.cancelled() => {}
        }
        server.serve(stop.clone()).await?;
        answered.cancel();
        // It returned because of `stop`, or at once if its listener failed: then the workers go too.
        stop.cancel();
        let left = grace.saturating_sub(stopped_at.await?.elapsed());
        let worked = timeout(left.max(SHORTEST_GRACE), workers).await;
        let closed = timeout(CLOSED_WITHIN, store.close()).await;
        if worked.is_err() || closed.is_err() {
            tracing::warn!("claims that did not finish in time are left to be adopted");
        }
        worked.unwrap_or(Ok(Ok(())))?
    }
}
