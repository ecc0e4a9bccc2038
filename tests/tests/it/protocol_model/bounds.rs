//! The bounds of each exploration.

/// The bounds of one exploration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The event that each delivery is one of, in the order of their pushes.
    pub(super) deliveries: &'static [u8],
    /// So many of them are pushed when the exploration begins.
    pub(super) pushed: usize,
    pub(super) batch_size: usize,
    pub(super) workers: usize,
    pub(super) adopters: usize,
    pub(super) faults: u8,
    /// Whether one of the faults may be that a replica takes over.
    pub(super) failover: bool,
}

/// One worker with claim after claim, and the most faults.
pub(super) const ONE_WORKER: Bounds = Bounds {
    deliveries: &[0, 0],
    pushed: 2,
    batch_size: 1,
    workers: 1,
    adopters: 1,
    faults: 3,
    failover: false,
};

/// Two workers, each of which takes a part.
pub(super) const TWO_WORKERS: Bounds = Bounds {
    workers: 2,
    faults: 2,
    ..ONE_WORKER
};

/// Two adopters that take the same claim from its owner and from each other.
pub(super) const TWO_ADOPTERS: Bounds = Bounds {
    batch_size: 2,
    adopters: 2,
    ..ONE_WORKER
};

/// One worker with claim after claim, while replicas take over.
pub(super) const FAILOVERS: Bounds = Bounds {
    failover: true,
    ..ONE_WORKER
};

/// Two workers, while replicas take over.
pub(super) const FAILOVERS_OF_TWO_WORKERS: Bounds = Bounds {
    failover: true,
    ..TWO_WORKERS
};

/// Pushes that go on while replicas take over.
pub(super) const FAILOVERS_AND_PUSHES: Bounds = Bounds {
    failover: true,
    ..LATER_PUSHES
};

/// Pushes that go on meanwhile, so that claims differ in size.
pub(super) const LATER_PUSHES: Bounds = Bounds {
    deliveries: &[0, 0, 1],
    pushed: 0,
    batch_size: 2,
    faults: 2,
    ..ONE_WORKER
};
