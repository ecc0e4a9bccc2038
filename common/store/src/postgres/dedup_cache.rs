//! Events that this process knows to be stored: the database need not be asked about them again. Clients repeat
//! themselves soon, so the most recent ones are enough.
//!
//! Nothing rests on what is forgotten here, but on what is known: it must be stored, for good. Therefore an event is
//! learnt only after the commit that stored it or found it stored, and only for the server and the table of that
//! transaction ([`Home`]): behind the same address there may be another one the next time, such as a promoted replica or a
//! restored backup, and an older connection may still commit on the one before. Each transaction says where it is. When a bucket
//! is dropped, all is forgotten, because what was in it is stored no more.
//! Everything is also forgotten when a connection is made, because somebody may have repaired the tables meanwhile.

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use event::Event;
use siphasher::sip128::{Hasher128, SipHasher13};

use super::ground::{Ground, Home};
use crate::CacheUse;

/// So many events make a generation. Two are kept, which takes 10 MB when both are full.
const GENERATION: usize = 200_000;

/// Recently stored events.
///
/// Of each there are the 128 bits of a keyed hash ([SipHash](https://www.aumasson.jp/siphash/)). The key is new in each process
/// and never shown, so nobody can make two events that look the same, and by chance it happens once in 2¹²⁸ / 400,000 events.
/// With so many bits the identity itself need not be compared.
pub(super) struct DedupCache {
    hasher: SipHasher13,
    generations: Mutex<Generations>,
    asked: Asked,
}

/// Hashes that are spread already.
type Hashes = HashSet<u128, BuildHasherDefault<Spread>>;

#[derive(Default)]
struct Generations {
    /// Counts how often everything was forgotten.
    epoch: u64,
    /// Where these are stored, and what else the last transaction has told.
    ground: Option<Ground>,
    young: Hashes,
    old: Hashes,
}

/// How often it was asked for an event.
#[derive(Default)]
struct Asked {
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What is known of the events of a batch.
pub(super) struct Glance {
    epoch: u64,
    hashes: Vec<u128>,
    /// Whether it is stored, for each event in order.
    pub(super) known: Vec<bool>,
}

impl DedupCache {
    pub(super) fn new() -> Self {
        Self {
            hasher: SipHasher13::new_with_key(&rand::random()),
            generations: Mutex::default(),
            asked: Asked::default(),
        }
    }

    /// How it is used.
    pub(super) fn usage(&self) -> CacheUse {
        let generations = self.lock();
        CacheUse {
            hits: self.asked.hits.load(Ordering::Relaxed),
            misses: self.asked.misses.load(Ordering::Relaxed),
            entries: (generations.young.len() + generations.old.len()) as u64,
        }
    }

    /// What the last transaction worked on.
    pub(super) fn ground(&self) -> Option<Ground> {
        self.lock().ground
    }

    /// To be called within a transaction, which works on this ground.
    pub(super) fn glance(&self, ground: &Ground, events: &[Event]) -> Glance {
        let hashes: Vec<u128> = events.iter().map(|event| self.hash(event)).collect();
        let mut generations = self.lock();
        if generations.home() != Some(ground.home) {
            generations.forget();
        }
        generations.ground = Some(*ground);
        let known: Vec<bool> = hashes.iter().map(|hash| generations.know(*hash)).collect();
        let epoch = generations.epoch;
        drop(generations);
        let hits = known.iter().filter(|known| **known).count();
        let misses = known.len() - hits;
        self.asked.hits.fetch_add(hits as u64, Ordering::Relaxed);
        self.asked
            .misses
            .fetch_add(misses as u64, Ordering::Relaxed);
        Glance {
            epoch,
            hashes,
            known,
        }
    }

    /// To be called after the commit, with the positions of those among the same events that it did not store.
    pub(super) fn learn(&self, glance: Glance, refused: &[usize]) {
        let mut generations = self.lock();
        if generations.epoch != glance.epoch {
            return;
        }
        for (at, hash) in glance.hashes.into_iter().enumerate() {
            if !refused.contains(&at) {
                generations.learn(hash);
            }
        }
    }

    pub(super) fn forget(&self) {
        self.lock().forget();
    }

    fn hash(&self, event: &Event) -> u128 {
        let mut hasher = self.hasher;
        event.key().hash(&mut hasher);
        hasher.finish128().as_u128()
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    /// Where these are stored.
    fn home(&self) -> Option<Home> {
        self.ground.map(|ground| ground.home)
    }

    fn forget(&mut self) {
        *self = Self {
            epoch: self.epoch + 1,
            ..Self::default()
        };
    }

    fn know(&self, hash: u128) -> bool {
        self.young.contains(&hash) || self.old.contains(&hash)
    }

    /// What is repeated stays young.
    fn learn(&mut self, hash: u128) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash);
    }
}

/// Takes a hash as it is.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write_u128(&mut self, hash: u128) {
        let [half, _] = halves(hash);
        self.0 = half;
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[expect(clippy::cast_possible_truncation, reason = "both halves are given")]
const fn halves(whole: u128) -> [u64; 2] {
    [whole as u64, (whole >> 64) as u64]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;
    use event::{
        clock::SystemClock,
        parse::{Limits, Receipts, parse},
    };
    use sqlx::postgres::types::Oid;

    use super::{super::ground::Place, *};

    fn events(ids: std::ops::Range<usize>) -> Vec<Event> {
        let body: Vec<String> = ids.map(|id| format!("{{\"id\":\"{id}\"}}")).collect();
        let limits = Limits {
            max_events: usize::MAX,
            max_event_bytes: 256,
        };
        let receipts = Receipts::new(&SystemClock, &Arc::default());
        let body = format!("[{}]", body.join(","));
        let parsed = parse(body.into(), &limits, &receipts).unwrap();
        assert_eq!(parsed.invalid.count, 0);
        parsed.events
    }

    fn ground(events: u32, oldest: i32) -> Ground {
        let place = Place {
            started: DateTime::UNIX_EPOCH,
            events: Oid(events),
        };
        Ground {
            home: Home { place, oldest },
            open: 5,
            has_triggers: false,
        }
    }

    fn known(known: &DedupCache, events: &[Event]) -> usize {
        let glance = known.glance(&ground(1, 0), events);
        glance.known.iter().filter(|known| **known).count()
    }

    #[test]
    fn what_was_committed_is_known_and_what_was_refused_is_not() {
        let memory = DedupCache::new();
        let batch = events(0..3);
        let glance = memory.glance(&ground(1, 0), &batch);
        assert_eq!(glance.known, [false; 3]);
        memory.learn(glance, &[1]);
        assert_eq!(
            memory.glance(&ground(1, 0), &batch).known,
            [true, false, true]
        );
        assert_eq!(known(&memory, &events(3..100)), 0);
    }

    #[test]
    fn nothing_that_was_seen_before_a_new_connection_is_known_after_it() {
        let memory = DedupCache::new();
        let batch = events(0..2);
        memory.learn(memory.glance(&ground(1, 0), &batch), &[]);
        let before = memory.glance(&ground(1, 0), &batch);
        memory.forget();
        assert_eq!(known(&memory, &batch), 0);
        memory.learn(before, &[]);
        assert_eq!(known(&memory, &batch), 0, "its commit was before, too");
    }

    #[test]
    fn what_an_older_connection_commits_elsewhere_is_not_known_here() {
        let memory = DedupCache::new();
        let batch = events(0..2);
        // It has begun before the new connection was made, or it begins only now.
        let early = memory.glance(&ground(2, 0), &batch);
        memory.forget();
        assert_eq!(known(&memory, &batch), 0);
        memory.learn(early, &[]);
        assert_eq!(known(&memory, &batch), 0);
        let late = memory.glance(&ground(2, 0), &batch);
        memory.learn(late, &[]);
        assert_eq!(known(&memory, &batch), 0);
    }

    #[test]
    fn nothing_is_known_once_a_bucket_is_dropped() {
        let memory = DedupCache::new();
        let batch = events(0..2);
        memory.learn(memory.glance(&ground(1, 0), &batch), &[]);
        let before = memory.glance(&ground(1, 0), &batch);
        assert_eq!(before.known, [true; 2]);
        assert_eq!(memory.glance(&ground(1, 1), &batch).known, [false; 2]);
        memory.learn(before, &[]);
        assert_eq!(memory.glance(&ground(1, 1), &batch).known, [false; 2]);
    }

    #[test]
    fn memory_is_bounded_and_the_recent_ones_are_kept() {
        let memory = DedupCache::new();
        let all = events(0..3 * GENERATION);
        for batch in all.chunks(1000) {
            memory.learn(memory.glance(&ground(1, 0), batch), &[]);
        }
        assert_eq!(known(&memory, &all[2 * GENERATION..]), GENERATION);
        assert!(known(&memory, &all) <= 2 * GENERATION);
    }
}
