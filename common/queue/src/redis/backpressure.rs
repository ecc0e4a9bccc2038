//! Whether more events are accepted. Their number is limited, and so is the server's memory.
//!
//! Once a limit is reached, nothing is accepted until a tenth has become free, so that publishers do not accept one batch
//! and refuse the next.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The share of the server's `maxmemory`, in percent, from which on nothing is accepted.
const MEMORY_FULL_PERCENT: u64 = 90;
/// Nothing is accepted again before the use has fallen to this share of the limit, in percent.
const ROOM_AGAIN_PERCENT: u64 = 90;

/// What a publisher knows about the length of the queue.
pub(super) struct LengthLimit {
    max_len: u64,
    /// The length that each shard told last.
    lens: Box<[AtomicU64]>,
    too_long: AtomicBool,
}

/// What is known about the server's memory: nothing, at first.
#[derive(Default)]
pub(super) struct MemoryLimit {
    full: AtomicBool,
}

impl LengthLimit {
    /// Of a queue of so many shards.
    pub(super) fn new(max_len: u64, shards: usize) -> Self {
        Self {
            max_len,
            lens: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            too_long: AtomicBool::new(false),
        }
    }

    pub(super) fn max_len(&self) -> u64 {
        self.max_len
    }

    /// How long the queue is, as far as is known.
    pub(super) fn len(&self) -> u64 {
        let lens = self.lens.iter().map(|len| len.load(Ordering::Relaxed));
        lens.fold(0, u64::saturating_add)
    }

    /// Whether a batch fits for certain, as far as is known without asking the servers.
    pub(super) fn fits(&self, batch: u64) -> bool {
        !self.too_long.load(Ordering::Relaxed) && self.len().saturating_add(batch) <= self.max_len
    }

    /// Whether a batch fits into the queue, whose shards have just told their lengths.
    pub(super) fn has_room(&self, batch: u64) -> bool {
        let len = self.len();
        let limit = if self.too_long.load(Ordering::Relaxed) {
            percent(self.max_len, ROOM_AGAIN_PERCENT)
        } else {
            self.max_len
        };
        // A batch that is larger than the tenth that is kept free must fit into an empty queue.
        let fits = len.saturating_add(batch) <= limit || (len == 0 && batch <= self.max_len);
        self.too_long.store(!fits, Ordering::Relaxed);
        fits
    }

    pub(super) fn set_len(&self, shard: usize, len: u64) {
        if let Some(known) = self.lens.get(shard) {
            known.store(len, Ordering::Relaxed);
        }
    }
}

impl MemoryLimit {
    /// Both in bytes; a `max` of 0 is no limit.
    pub(super) fn set(&self, used: u64, max: u64) {
        let full = percent(max, MEMORY_FULL_PERCENT);
        let limit = if self.is_full() {
            percent(full, ROOM_AGAIN_PERCENT)
        } else {
            full
        };
        self.full.store(max > 0 && used > limit, Ordering::Relaxed);
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }
}

fn percent(of: u64, share: u64) -> u64 {
    of / 100 * share + of % 100 * share / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    impl LengthLimit {
        fn fits_into(&self, len: u64, batch: u64) -> bool {
            self.set_len(0, len);
            self.has_room(batch)
        }
    }

    #[test]
    fn a_queue_that_was_full_accepts_again_once_a_tenth_is_free() {
        let limit = LengthLimit::new(1000, 1);
        assert!(limit.fits(1000) && limit.fits_into(900, 100));
        assert!(!limit.fits_into(901, 100));
        assert!(!limit.fits(1), "ask first");
        assert!(!limit.fits_into(895, 10));
        assert!(limit.fits_into(890, 10));
        assert!(limit.fits_into(900, 100));
    }

    #[test]
    fn a_batch_as_large_as_the_queue_fits_into_an_empty_one() {
        let limit = LengthLimit::new(10, 1);
        assert!(!limit.fits_into(1, 10));
        assert!(limit.fits_into(0, 10));
    }

    #[test]
    fn the_limit_is_for_all_shards_together() {
        let limit = LengthLimit::new(1000, 3);
        for (shard, len) in [(0, 200), (1, 300), (2, 400)] {
            limit.set_len(shard, len);
        }
        assert!(limit.fits(100) && !limit.fits(101));
        limit.set_len(2, 0);
        assert!(limit.fits(500));
    }

    #[test]
    fn memory_is_full_from_nine_tenths_until_a_tenth_of_those_is_free() {
        let memory = MemoryLimit::default();
        let full = |used| {
            memory.set(used, 1000);
            memory.is_full()
        };
        assert!(!full(900));
        assert!(full(901));
        assert!(full(811));
        assert!(!full(810));
        assert!(!full(900));
        memory.set(u64::MAX, 0);
        assert!(!memory.is_full(), "without a limit it is never full");
    }
}
