//! How much is measured. The bounds on events and seconds bound the time of a whole run: `all` takes up to 30 minutes on a
//! machine that stores 20 000 events per second, and `quick` takes up to 3.

use std::time::Duration;

/// The bounds of each measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// How often each pair is measured.
    pub(crate) pairs: usize,
    /// Events of one drain, and rows of the floor that it is compared with.
    pub(crate) drain_events: u64,
    /// Rows with which one method to insert is tried.
    pub(crate) trial_events: u64,
    /// Bytes that their payloads have at most.
    pub(crate) trial_bytes: u64,
    /// Rows per statement that are tried.
    pub(crate) trial_batches: &'static [usize],
    /// Numbers of connections that are tried.
    pub(crate) trial_connections: &'static [usize],
    /// How long one load lasts.
    pub(crate) load: Duration,
    /// How long latencies are measured.
    pub(crate) latency: Duration,
    /// Events that go all the way from a request to the database.
    pub(crate) end_to_end_events: u64,
    /// Events that a worker of others stores.
    pub(crate) peer_events: u64,
    /// Numbers of rows that the database has before a drain.
    pub(crate) growth_rows: &'static [u64],
    /// Events after which a bucket is closed there.
    pub(crate) growth_bucket: u64,
    /// Rounds over all of these numbers.
    pub(crate) growth_rounds: usize,
    /// Events that wait in the deep queue.
    pub(crate) depth_events: u64,
    /// How many of them are drained.
    pub(crate) depth_drained: u64,
    /// Events of one drain in small claims.
    pub(crate) small_claims_events: u64,
    /// Rounds over all numbers of workers, and pairs for each size of payload.
    pub(crate) rounds: usize,
    /// Bytes that the payloads of one drain have at most: a drain of large payloads has fewer events.
    pub(crate) payload_bytes: u64,
}

impl Budget {
    /// The budget of `all`.
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
        peer_events: 20_000,
        growth_rows: &[0, 1_000_000, 6_000_000, 21_000_000],
        growth_bucket: 5_000_000,
        growth_rounds: 3,
        depth_events: 10_000_000,
        depth_drained: 500_000,
        small_claims_events: 40_000,
        rounds: 3,
        payload_bytes: 256 << 20,
    };

    /// The budget of `quick`.
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
        peer_events: 3_000,
        growth_rows: &[0, 20_000, 220_000],
        growth_bucket: 100_000,
        growth_rounds: 1,
        depth_events: 200_000,
        depth_drained: 50_000,
        small_claims_events: 5_000,
        rounds: 1,
        payload_bytes: 16 << 20,
    };
}
