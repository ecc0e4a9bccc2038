//! The counters and the queue, as `/stats` and `/metrics` tell them.

use std::{
    collections::HashMap,
    fmt::Display,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::future::try_join_all;
use queue::{Depth, Shards};
use store::{Stats, StatsQuery, Store};

use crate::shared::Shared;

/// How many questions are shared. Different questions come from keys that are for different topics.
const MAX_QUESTIONS: usize = 64;

/// The queue and the counters at a moment. The queue was read before the counters, so the counters are final if it is
/// empty.
pub(crate) struct Snapshot {
    pub(crate) queue: Depth,
    /// The same shard by shard, by name.
    pub(crate) shards: Vec<(String, Depth)>,
    pub(crate) stats: Stats,
}

/// Why there is no snapshot. It was logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The queue does not answer.
    Queue,
    /// The store does not answer.
    Store,
}

type Outcome = Result<Snapshot, Missing>;

/// Takes snapshots. Callers who ask the same at the same time share one.
pub(crate) struct Snapshots {
    shards: Arc<dyn Shards>,
    store: Arc<dyn Store>,
    shared: Mutex<HashMap<StatsQuery, Arc<Shared<Outcome>>>>,
    /// Whether the last one failed. Only the first failure in a row is a warning.
    failing: AtomicBool,
}

impl Snapshots {
    pub(crate) fn new(shards: Arc<dyn Shards>, store: Arc<dyn Store>) -> Self {
        Self {
            shards,
            store,
            shared: Mutex::default(),
            failing: AtomicBool::new(false),
        }
    }

    /// A snapshot that was not taken before this call.
    pub(crate) async fn take(&self, query: &StatsQuery) -> Arc<Outcome> {
        self.shared(query).see(self.look(query)).await
    }

    fn shared(&self, query: &StatsQuery) -> Arc<Shared<Outcome>> {
        // No step under the lock can panic half-way through a change.
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.len() == MAX_QUESTIONS && !shared.contains_key(query) {
            // Who is waiting goes on with what they have.
            shared.clear();
        }
        let new = || Arc::new(Shared::new());
        shared.entry(query.clone()).or_insert_with(new).clone()
    }

    async fn look(&self, query: &StatsQuery) -> Outcome {
        let all = self.shards.all();
        let depths = try_join_all(all.iter().map(|queue| queue.depth())).await;
        let depths = depths.map_err(|error| self.missing(Missing::Queue, &error))?;
        let queue = depths.iter().copied().fold(Depth::default(), Depth::and);
        let shards = all.iter().map(|queue| queue.shard()).zip(depths).collect();
        let stats = self.store.stats(query).await;
        let stats = stats.map_err(|error| self.missing(Missing::Store, &error))?;
        self.failing.store(false, Ordering::Relaxed);
        Ok(Snapshot {
            queue,
            shards,
            stats,
        })
    }

    fn missing(&self, what: Missing, error: &dyn Display) -> Missing {
        if self.failing.swap(true, Ordering::Relaxed) {
            tracing::debug!(%error, ?what, "the counters still cannot be read");
        } else {
            tracing::warn!(%error, ?what, "the counters cannot be read");
        }
        what
    }
}
