//! Identities, and sets of deliveries.

use std::fmt;

/// A set of deliveries, one bit each: the position in [`Bounds::deliveries`]. Lists keep the order of
/// the pushes, and what is handed back goes to the front again, so a set says it all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Deliveries(pub(super) u8);

impl Deliveries {
    pub(super) const fn first(count: usize) -> Self {
        Self((1 << count) - 1)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        (0..8).filter(move |at| self.0 & (1 << at) != 0)
    }

    pub(super) fn add(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// Takes the oldest, up to `max`.
    pub(super) fn take(&mut self, max: usize) -> Self {
        let taken = Self(self.iter().take(max).map(|at| 1 << at).sum());
        self.0 &= !taken.0;
        taken
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// An incarnation of a worker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct WorkerId {
    pub(super) worker: usize,
    pub(super) incarnation: u8,
}

impl WorkerId {
    pub(super) const fn next(self) -> Self {
        Self {
            incarnation: self.incarnation + 1,
            ..self
        }
    }
}

impl fmt::Debug for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "W{}.{}", self.worker, self.incarnation)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ClaimId {
    pub(super) worker: WorkerId,
    pub(super) number: u8,
}

impl fmt::Debug for ClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{}", self.worker, self.number)
    }
}
