//! What happens to a primary.

use std::{fmt, time::Duration};

use rand::{RngExt, rngs::SmallRng};
use tokio::time::sleep;

use crate::{SOON, eventually, servers::Replicated};

/// How long a replica may take to take over.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(40);
/// How long a replica that is cut off falls behind.
const BEHIND_MS: std::ops::Range<u64> = 50..500;
/// How long a replica is frozen that does not take over.
const PAUSED_MS: std::ops::Range<u64> = 200..1500;

/// What happens to a primary or its replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blow {
    /// The primary ends as in a crash.
    Kill,
    /// The same after its replica was cut off, so that the replica takes over without what came since.
    KillAhead,
    /// The primary stands still until its replica has taken over, and then goes on with its connections.
    Freeze,
    /// The same after its replica was cut off.
    FreezeAhead,
    /// The replica stands still for a while, and nobody takes over.
    PauseReplica,
}

impl Blow {
    /// All there are.
    pub const ALL: [Self; 5] = [
        Self::Kill,
        Self::KillAhead,
        Self::Freeze,
        Self::FreezeAhead,
        Self::PauseReplica,
    ];

    /// Whether a replica takes over.
    #[must_use]
    pub const fn is_failover(self) -> bool {
        !matches!(self, Self::PauseReplica)
    }

    pub(super) fn random(rng: &mut SmallRng) -> Self {
        match rng.random_range(0..100) {
            0..25 => Self::Kill,
            25..60 => Self::KillAhead,
            60..75 => Self::Freeze,
            75..92 => Self::FreezeAhead,
            _ => Self::PauseReplica,
        }
    }

    /// Strikes, and returns when the replica has taken over and the former primary is back.
    ///
    /// # Panics
    /// If that does not happen in time.
    pub(super) async fn strike(self, redis: &mut dyn Replicated, part: usize, rng: &mut SmallRng) {
        // Sentinels may end the connections of a server that they have just made a replica.
        let followed = eventually("a primary has its replica", SOON, async || {
            let primary = redis.primary_of(part).await?;
            let replicas = redis.replicas_of(primary).await;
            (!replicas.is_empty()).then_some((primary, replicas))
        });
        let (primary, replicas) = followed.await;
        if self == Self::PauseReplica {
            for &replica in &replicas {
                redis.nodes_mut()[replica].freeze();
            }
            sleep(Duration::from_millis(rng.random_range(PAUSED_MS))).await;
            for &replica in &replicas {
                redis.nodes_mut()[replica].thaw();
            }
            return;
        }
        if matches!(self, Self::KillAhead | Self::FreezeAhead) {
            cut_off(redis, primary, &replicas).await;
            sleep(Duration::from_millis(rng.random_range(BEHIND_MS))).await;
        }
        if matches!(self, Self::Kill | Self::KillAhead) {
            redis.nodes_mut()[primary].stop();
        } else {
            redis.nodes_mut()[primary].freeze();
        }
        if matches!(self, Self::KillAhead | Self::FreezeAhead) {
            for &replica in &replicas {
                redis.nodes_mut()[replica].thaw();
            }
        }
        eventually("a replica takes over", TAKEN_OVER_WITHIN, async || {
            let now = redis.primary_of(part).await;
            now.is_some_and(|now| now != primary)
        })
        .await;
        if matches!(self, Self::Kill | Self::KillAhead) {
            redis.nodes_mut()[primary].restart().await;
        } else {
            redis.nodes_mut()[primary].thaw();
        }
    }
}

/// Nothing that is written from now on reaches the replicas. What the network has taken for them already, they still read when
/// they run again.
async fn cut_off(redis: &mut dyn Replicated, primary: usize, replicas: &[usize]) {
    for &replica in replicas {
        redis.nodes_mut()[replica].freeze();
    }
    if let Some(mut connection) = redis.connection(primary).await {
        // If it fails, they are less far behind.
        let _: Result<(), _> = redis::cmd("CLIENT")
            .arg(&["KILL", "TYPE", "replica"])
            .exec_async(&mut connection)
            .await;
    }
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "primary killed",
            Self::KillAhead => "primary killed after its replica was cut off",
            Self::Freeze => "primary frozen",
            Self::FreezeAhead => "primary frozen after its replica was cut off",
            Self::PauseReplica => "replica frozen for a while",
        })
    }
}
