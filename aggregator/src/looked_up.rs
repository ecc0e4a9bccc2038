//! What `/metrics` looks up when somebody asks: the queue, the counters, and what the store says of itself.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use event::clock::Clock;
use metrics::{Collector, DescriptorEncoder, Metrics, Source, Writer, number};
use queue::Depth;
use store::{FilterUse, StatsQuery, Store};

use crate::snapshots::Snapshots;

/// What was found longer ago than this is left out: whoever asks now has waited in vain for an answer.
const FRESH_FOR: Duration = Duration::from_secs(5);

/// Looks it up, and writes what it has found.
#[derive(Clone)]
pub(crate) struct LookedUp(Arc<Inner>);

struct Inner {
    snapshots: Arc<Snapshots>,
    store: Arc<dyn Store>,
    queue_max_len: u64,
    clock: Arc<dyn Clock>,
    /// `None`: the queue or the store does not answer.
    found: Mutex<Option<Found>>,
    /// `None`: there is no replica, or it does not answer.
    replica_lag: Mutex<Option<Duration>>,
}

struct Found {
    when: Instant,
    queue: Depth,
    shards: Vec<(String, Depth)>,
    at: DateTime<Utc>,
    /// By the names that they have in `/stats`.
    counters: [(&'static str, &'static str, i64); 5],
}

impl Found {
    /// How long the event that waits longest has waited, in seconds.
    fn age(&self, depth: &Depth) -> f64 {
        let age = depth.oldest.map(|oldest| self.at - oldest);
        let age = age.and_then(|age| age.to_std().ok()).unwrap_or_default();
        age.as_secs_f64()
    }
}

impl LookedUp {
    /// Adds it to the metrics.
    pub(crate) fn add(
        metrics: &Metrics,
        snapshots: Arc<Snapshots>,
        store: Arc<dyn Store>,
        queue_max_len: u64,
        clock: Arc<dyn Clock>,
    ) {
        let looked_up = Self(Arc::new(Inner {
            snapshots,
            store,
            queue_max_len,
            clock,
            found: Mutex::default(),
            replica_lag: Mutex::default(),
        }));
        metrics.collect(looked_up.clone(), Some(Arc::new(looked_up)));
    }

    /// No step under the lock can panic half-way through a change.
    fn found(&self) -> MutexGuard<'_, Option<Found>> {
        self.0.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replica_lag(&self) -> MutexGuard<'_, Option<Duration>> {
        let lag = &self.0.replica_lag;
        lag.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Source for LookedUp {
    async fn read(&self) {
        let query = StatsQuery::with_largest(0);
        let outcome = self.0.snapshots.take(&query).await;
        let found = outcome.as_ref().as_ref().ok().map(|snapshot| {
            let stats = &snapshot.stats;
            Found {
                when: Instant::now(),
                queue: snapshot.queue,
                shards: snapshot.shards.clone(),
                at: self.0.clock.now(),
                counters: [
                    (
                        "events_received",
                        "Deliveries that came to a verdict",
                        stats.received,
                    ),
                    (
                        "events_unique",
                        "Events that are stored",
                        stats.unique_processed,
                    ),
                    (
                        "events_duplicate",
                        "Deliveries of events that were stored before",
                        stats.duplicate_dropped,
                    ),
                    (
                        "dead_letters",
                        "Deliveries that could not be stored; a replay lowers it",
                        stats.dead_lettered,
                    ),
                    ("topics", "Topics that have events", stats.topics_total),
                ],
            }
        });
        *self.found() = found;
        let lag = self.0.store.replica_lag().await;
        *self.replica_lag() = lag;
    }
}

impl fmt::Debug for LookedUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookedUp").finish_non_exhaustive()
    }
}

impl Collector for LookedUp {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut writer = Writer::to(&mut encoder);
        let limit = number(self.0.queue_max_len);
        writer.gauge(
            "queue_limit_events",
            "How many events may wait in the queue",
            limit,
        )?;
        if let Some(found) = &*self.found()
            && found.when.elapsed() < FRESH_FOR
        {
            write_found(&mut writer, found)?;
        }
        if let Some(lag) = *self.replica_lag() {
            let help = "How far what is read from READ_DATABASE_URL is behind, in seconds";
            writer.gauge("read_replica_lag_seconds", help, lag.as_secs_f64())?;
        }
        let pools = self.0.store.pools();
        let used = pools.iter().flat_map(|pool| {
            [("in_use", pool.in_use), ("idle", pool.idle)].map(|(state, connections)| {
                let labels = [("pool", pool.name.to_owned()), ("state", state.to_owned())];
                (labels, f64::from(connections))
            })
        });
        writer.gauges(
            "db_connections",
            "Connections to the database, by pool and state",
            used,
        )?;
        let limits = pools
            .iter()
            .map(|pool| ([("pool", pool.name.to_owned())], f64::from(pool.limit)));
        writer.gauges(
            "db_connections_limit",
            "How many connections a pool may have",
            limits,
        )?;
        let Some(cache) = self.0.store.cache() else {
            return Ok(());
        };
        for (name, help, count) in [
            (
                "dedup_cache_hits",
                "Events that this process knew to be stored, without asking the database",
                cache.hits,
            ),
            (
                "dedup_cache_misses",
                "Events that the database was asked about",
                cache.misses,
            ),
        ] {
            writer.counter(name, help, number(count))?;
        }
        let help = "Events that this process knows to be stored";
        writer.gauge("dedup_cache_entries", help, number(cache.entries))?;
        let Some(filters) = self.0.store.filters() else {
            return Ok(());
        };
        write_filters(&mut writer, &filters)
    }
}

fn write_filters(writer: &mut Writer<'_, '_>, filters: &FilterUse) -> fmt::Result {
    for (name, help, count) in [
        (
            "ledger_filters",
            "Closed buckets of the ledger whose filter is in memory",
            filters.filters,
        ),
        (
            "ledger_filter_bytes",
            "Memory of the filters of closed buckets",
            filters.bytes,
        ),
    ] {
        writer.gauge(name, help, number(count as u64))?;
    }
    for (name, help, count) in [
        (
            "ledger_lookups",
            "Events that a closed bucket was asked for, because its filter could not rule them out or was not there",
            filters.looked_up,
        ),
        (
            "ledger_lookups_found",
            "Events that were found in a closed bucket",
            filters.found,
        ),
    ] {
        writer.counter(name, help, number(count))?;
    }
    Ok(())
}

fn write_found(writer: &mut Writer<'_, '_>, found: &Found) -> fmt::Result {
    let queue = [
        ("pending", found.queue.pending),
        ("processing", found.queue.processing),
    ];
    let queue = queue.map(|(state, events)| ([("state", state.to_owned())], number(events)));
    let help =
        "Events in the queue: those that wait, and those that are claimed and not yet settled";
    writer.gauges("queue_events", help, queue)?;
    let help = "How long the event that waits longest has waited, in seconds; 0 if no event waits";
    let age = found.age(&found.queue);
    writer.gauge("queue_oldest_event_age_seconds", help, age)?;
    let shards = found.shards.iter().flat_map(|(shard, depth)| {
        let states = [("pending", depth.pending), ("processing", depth.processing)];
        states.map(|(state, events)| {
            let labels = [("shard", shard.clone()), ("state", state.to_owned())];
            (labels, number(events))
        })
    });
    writer.gauges("queue_shard_events", "The same, shard by shard", shards)?;
    let ages = found.shards.iter();
    let ages = ages.map(|(shard, depth)| ([("shard", shard.clone())], found.age(depth)));
    writer.gauges(
        "queue_shard_oldest_event_age_seconds",
        "How long the event of a shard that waits longest has waited, in seconds; 0 if no event waits",
        ages,
    )?;
    for (name, help, count) in found.counters {
        // A count is never below 0.
        writer.gauge(name, help, number(u64::try_from(count).unwrap_or(0)))?;
    }
    Ok(())
}
