//! How much is measured. Events and seconds have a bound here, so the whole ends in time: all within 30 minutes on a machine
//! that stores 20 000 events a second, quick within 3.

use std::time::Duration;

/// The bounds of each measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// How often a pair is measured.
    pub(crate) pairs: usize,
    /// Events of one drain, and rows of the floor beside it.
    pub(crate) drain_events: u64,
    /// Rows to try one way of inserting with.
    pub(crate) trial_events: u64,
    /// And bytes of their payloads, at most.
    pub(crate) trial_bytes: u64,
    /// Statement sizes and connections to try.
    pub(crate) trial_batches: &'static [usize],
    pub(crate) trial_connections: &'static [usize],
    /// How long one load lasts.
    pub(crate) load: Duration,
    /// How long latencies are measured.
    pub(crate) latency: Duration,
    /// Events that go all the way, with everything at once.
    pub(crate) end_to_end_events: u64,
    /// Rows present, one after the other.
    pub(crate) growth_rows: &'static [u64],
    /// Rounds over all of these.
    pub(crate) growth_rounds: usize,
    /// Events waiting, and how many of them are drained.
    pub(crate) depth_events: u64,
    pub(crate) depth_drained: u64,
    /// Rounds over numbers of workers, and pairs of each payload.
    pub(crate) rounds: usize,
    /// Bytes of payloads in one drain, at most: large ones are fewer.
    pub(crate) payload_bytes: u64,
}

impl Budget {
    pub(crate) const ALL: Self = Self {
        pairs: 5,
        drain_events: 150_000,
        trial_events: 40_000,
        trial_bytes: 64 << 20,
        trial_batches: &[100, 500, 1000, 5000],
        trial_connections: &[1, 2, 4, 8],
        load: Duration::from_secs(2),
        latency: Duration::from_secs(8),
        end_to_end_events: 200_000,
        growth_rows: &[0, 1_000_000, 5_000_000, 20_000_000],
        growth_rounds: 3,
        depth_events: 10_000_000,
        depth_drained: 500_000,
        rounds: 3,
        payload_bytes: 256 << 20,
    };

    pub(crate) const QUICK: Self = Self {
        pairs: 1,
        drain_events: 30_000,
        trial_events: 10_000,
        trial_bytes: 8 << 20,
        trial_batches: &[1000],
        trial_connections: &[2, 4],
        load: Duration::from_millis(500),
        latency: Duration::from_secs(1),
        end_to_end_events: 30_000,
        growth_rows: &[0, 100_000, 300_000],
        growth_rounds: 1,
        depth_events: 200_000,
        depth_drained: 50_000,
        rounds: 1,
        payload_bytes: 16 << 20,
    };
}
