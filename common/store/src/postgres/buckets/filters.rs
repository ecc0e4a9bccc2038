//! The filters of the closed buckets that this process has in memory.
//!
//! A filter is of a bucket in one place ([`Place`]). Behind the same address there may be another server the next time, such as a
//! restored backup, whose bucket of the same number has other events; so filters of another place are as good as none. A bucket
//! without a filter is looked up with a query: whether an event is stored never depends on a filter being there.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use event::Event;

use super::filter::{self, Filter};
use crate::{
    FilterUse,
    postgres::ground::{Ground, Place},
};

/// Most bytes of filters in memory, unless something else is set: those of about 119 million events.
const MEMORY: usize = 256 * 1024 * 1024;

/// Of one process.
pub(in crate::postgres) struct Filters {
    limit: AtomicUsize,
    loaded: Mutex<Arc<Loaded>>,
    looked_up: AtomicU64,
    found: AtomicU64,
}

/// Those of one place, by bucket.
#[derive(Default)]
struct Loaded {
    place: Option<Place>,
    of: BTreeMap<i32, Arc<Filter>>,
}

/// Events that may be in a closed bucket, by position.
pub(super) struct Suspects {
    pub(super) bucket: i32,
    pub(super) events: Vec<usize>,
}

impl Default for Filters {
    fn default() -> Self {
        Self {
            limit: AtomicUsize::new(MEMORY),
            loaded: Mutex::default(),
            looked_up: AtomicU64::new(0),
            found: AtomicU64::new(0),
        }
    }
}

impl Filters {
    /// From now on they take at most so many bytes.
    pub(in crate::postgres) fn limit(&self, bytes: usize) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    /// Whether there is room for none.
    pub(super) fn is_off(&self) -> bool {
        self.limit.load(Ordering::Relaxed) == 0
    }

    /// How they are used.
    pub(in crate::postgres) fn usage(&self) -> FilterUse {
        let loaded = self.loaded();
        FilterUse {
            filters: loaded.of.len(),
            bytes: loaded.of.values().map(|filter| filter.bytes()).sum(),
            looked_up: self.looked_up.load(Ordering::Relaxed),
            found: self.found.load(Ordering::Relaxed),
        }
    }

    /// Whether no closed bucket has any of these events that is not known already.
    pub(in crate::postgres) fn rule_out(
        &self,
        ground: &Ground,
        events: &[Event],
        known: &[bool],
    ) -> bool {
        self.suspects(ground, events, known).is_empty()
    }

    /// Which events that are not known yet may be in which closed bucket, the latest first: all of them where there is no filter.
    pub(super) fn suspects(
        &self,
        ground: &Ground,
        events: &[Event],
        known: &[bool],
    ) -> Vec<Suspects> {
        if ground.closed().is_empty() {
            return Vec::new();
        }
        let unknown = (0..events.len()).filter(|&at| known.get(at) != Some(&true));
        let hashed: Vec<(usize, u64)> = unknown
            .map(|at| {
                let (topic, id) = events[at].key();
                (at, filter::hash(topic.as_bytes(), id.as_bytes()))
            })
            .collect();
        let loaded = self.loaded();
        let is_here = loaded.place == Some(ground.home.place);
        let buckets = ground.closed().rev();
        buckets
            .filter_map(|bucket| {
                let filter = loaded.of.get(&bucket).filter(|_| is_here);
                let may_have = |hash| filter.is_none_or(|filter| filter.may_have(hash));
                let events: Vec<usize> = hashed
                    .iter()
                    .filter(|&&(_, hash)| may_have(hash))
                    .map(|&(at, _)| at)
                    .collect();
                (!events.is_empty()).then_some(Suspects { bucket, events })
            })
            .collect()
    }

    /// A closed bucket was asked for so many events, and has found some.
    pub(super) fn asked(&self, events: usize, found: usize) {
        self.looked_up.fetch_add(events as u64, Ordering::Relaxed);
        self.found.fetch_add(found as u64, Ordering::Relaxed);
    }

    /// Keeps those of these buckets in this place, and no other. Answers which have none, the latest first, as long as there is
    /// room: new events are mostly repeated soon.
    pub(super) fn missing(&self, place: Place, closed: Range<i32>) -> Vec<i32> {
        let mut loaded = self.lock();
        let kept = loaded
            .of
            .iter()
            .filter(|(bucket, _)| loaded.place == Some(place) && closed.contains(bucket));
        let of: BTreeMap<i32, Arc<Filter>> =
            kept.map(|(&at, filter)| (at, filter.clone())).collect();
        let missing = closed
            .rev()
            .filter(|bucket| !of.contains_key(bucket))
            .collect();
        if loaded.place != Some(place) || of.len() != loaded.of.len() {
            *loaded = Arc::new(Loaded {
                place: Some(place),
                of,
            });
        }
        missing
    }

    /// Adds one, if there is room for it; it takes the room of older ones.
    pub(super) fn add(&self, place: Place, bucket: i32, filter: Filter) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        let mut loaded = self.lock();
        if loaded.place != Some(place) {
            return false;
        }
        let mut of = loaded.of.clone();
        of.insert(bucket, Arc::new(filter));
        let mut bytes: usize = of.values().map(|filter| filter.bytes()).sum();
        while bytes > limit
            && let Some((_, oldest)) = of.pop_first()
        {
            bytes -= oldest.bytes();
        }
        let is_added = of.contains_key(&bucket);
        *loaded = Arc::new(Loaded {
            place: Some(place),
            of,
        });
        is_added
    }

    fn loaded(&self) -> Arc<Loaded> {
        self.lock().clone()
    }

    /// No step under the lock can panic half-way through a change.
    fn lock(&self) -> std::sync::MutexGuard<'_, Arc<Loaded>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
