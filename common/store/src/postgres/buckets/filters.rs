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
    /// There is no room for filters of buckets below this one, so they need not be read again and again.
    no_room_below: i32,
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
    fn is_off(&self) -> bool {
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

    /// Keeps those of these buckets in this place, and no other. Answers which have none, the latest first, but for those that there
    /// is no room for.
    pub(super) fn missing(&self, place: Place, closed: Range<i32>) -> Vec<i32> {
        if self.is_off() {
            return Vec::new();
        }
        let mut loaded = self.lock();
        let kept = loaded
            .of
            .iter()
            .filter(|(bucket, _)| loaded.place == Some(place) && closed.contains(bucket));
        let of: BTreeMap<i32, Arc<Filter>> =
            kept.map(|(&at, filter)| (at, filter.clone())).collect();
        if loaded.place != Some(place) || of.len() != loaded.of.len() {
            *loaded = Arc::new(Loaded {
                place: Some(place),
                of,
                // What is gone has left room.
                no_room_below: i32::MIN,
            });
        }
        let is_missing =
            |bucket: &i32| *bucket >= loaded.no_room_below && !loaded.of.contains_key(bucket);
        closed.rev().filter(is_missing).collect()
    }

    /// Adds one, if there is room for it; it takes the room of older ones.
    pub(super) fn add(&self, place: Place, bucket: i32, filter: Filter) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        let mut loaded = self.lock();
        if loaded.place != Some(place) {
            return false;
        }
        let (mut of, mut no_room_below) = (loaded.of.clone(), loaded.no_room_below);
        of.insert(bucket, Arc::new(filter));
        let mut bytes: usize = of.values().map(|filter| filter.bytes()).sum();
        while bytes > limit
            && let Some((without, oldest)) = of.pop_first()
        {
            bytes -= oldest.bytes();
            no_room_below = without + 1;
        }
        let is_added = of.contains_key(&bucket);
        *loaded = Arc::new(Loaded {
            place: Some(place),
            of,
            no_room_below,
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

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use sqlx::postgres::types::Oid;

    use super::{super::filter::Of, *};

    const PLACE: Place = Place {
        started: DateTime::UNIX_EPOCH,
        events: Oid(1),
    };

    fn made(bucket: i32) -> Filter {
        let of = Of { bucket, max_id: 1 };
        Filter::make((0..1000).collect(), of).unwrap()
    }

    /// Adds what is missing, as far as it goes. Answers how many filters had to be read for that.
    fn load(filters: &Filters, closed: Range<i32>) -> usize {
        let mut read = 0;
        for bucket in filters.missing(PLACE, closed) {
            read += 1;
            if !filters.add(PLACE, bucket, made(bucket)) {
                break;
            }
        }
        read
    }

    #[test]
    fn a_filter_that_there_is_no_room_for_is_read_once_and_again_when_there_is_room() {
        let filters = Filters::default();
        filters.limit(2 * made(0).bytes());
        assert_eq!(load(&filters, 0..5), 3, "two fit");
        assert_eq!(load(&filters, 0..5), 0);
        assert_eq!(
            load(&filters, 0..6),
            1,
            "the latest takes the room of an older one"
        );
        assert_eq!(load(&filters, 0..6), 0);
        // Those of buckets 4 and 5 are there; 4 is dropped with all before it.
        assert_eq!(load(&filters, 5..7), 1);
        assert_eq!(filters.usage().filters, 2);
    }

    #[test]
    fn without_any_memory_no_filter_is_read() {
        let filters = Filters::default();
        filters.limit(0);
        assert_eq!(load(&filters, 0..5), 0);
    }
}
