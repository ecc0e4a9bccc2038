//! Why a server that answers must not be given events.

/// Why a server that answers must not be given events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// When its memory is full, it removes keys, and the queue is one of them.
    #[error(
        "its maxmemory-policy is {0}, which may throw the queue away; set it to noeviction \
         (CONFIG SET maxmemory-policy noeviction)"
    )]
    Evicts(String),
    /// It is a copy of another server and does not accept writes.
    #[error("it is a read-only replica; point REDIS_URL at its primary")]
    Replica,
    /// It does not know all commands that the queue needs.
    #[error("its version is {0}, which is too old; the queue needs Redis 7 or later")]
    TooOld(String),
    /// The sentinels that answer know no primary of this name.
    #[error("its sentinels know no primary called {0}; check the name in REDIS_URL")]
    UnknownPrimary(String),
    /// No node of the cluster serves the slot of the queue.
    #[error(
        "no node of the cluster serves slot {0}, which the queue is in; wait for a failover, or look at CLUSTER INFO"
    )]
    Unserved(u16),
}
