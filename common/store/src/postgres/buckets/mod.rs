//! The ledger's buckets: tables of their own, each with its own unique index, of which one is open. `../ground.rs` has the lock
//! under which they change.
//!
//! - `filter`: a set of identities that is never silent about one of its own; `filters`: those of the closed buckets
//! - `closed`: what a closed bucket has need not be inserted
//! - `state`: which buckets there are, and what is due; `upkeep`: closing, filtering and dropping them
//! - `copied`: the rows of a bucket, read at once; `reading`: pages of events, bucket by bucket

pub(super) mod closed;
mod copied;
mod filter;
mod filters;
pub(super) mod reading;
mod state;
pub(super) mod upkeep;

pub(super) use self::filters::Filters;
use super::dedup_cache::DedupCache;

/// What a process remembers of what is stored.
pub(super) struct Memory {
    pub(super) cache: DedupCache,
    pub(super) filters: Filters,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            cache: DedupCache::new(),
            filters: Filters::default(),
        }
    }
}

/// The table of a bucket.
pub(super) fn table(bucket: i32) -> String {
    format!("processed_events_{bucket}")
}
