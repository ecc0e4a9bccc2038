//! What the database and the processes hold at one moment. There is one identity: every delivery is one of it.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Status {
    Open,
    Closed,
    Dropped,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Bucket {
    pub(super) status: Status,
    /// Nobody can insert any more.
    pub(super) sealed: bool,
    /// Whether the identity is in it.
    pub(super) stored: bool,
    /// Whether its filter, if there is one, has the identity.
    pub(super) filter: Option<bool>,
}

impl Bucket {
    pub(super) const fn open() -> Self {
        Self {
            status: Status::Open,
            sealed: false,
            stored: false,
            filter: None,
        }
    }

    pub(super) fn is_kept(&self) -> bool {
        self.status != Status::Dropped
    }
}

/// What is committed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Database {
    /// Which server it is, or which restored backup.
    pub(super) place: u8,
    pub(super) buckets: Vec<Bucket>,
    pub(super) unique: u8,
    pub(super) retired: u8,
}

impl Database {
    pub(super) fn open(&self) -> usize {
        self.buckets.len() - 1
    }

    pub(super) fn oldest(&self) -> usize {
        let kept = self.buckets.iter().position(Bucket::is_kept);
        kept.unwrap_or_default()
    }

    /// In how many buckets the identity is.
    pub(super) fn stored(&self) -> usize {
        let kept = self.buckets.iter().filter(|bucket| bucket.is_kept());
        kept.filter(|bucket| bucket.stored).count()
    }
}

/// Which buckets a transaction found, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Ground {
    pub(super) place: u8,
    pub(super) oldest: usize,
    pub(super) open: usize,
}

/// What a process remembers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Memory {
    /// Counts how often the cache was emptied.
    pub(super) epoch: u8,
    /// Of which place, and since which bucket.
    pub(super) home: Option<(u8, usize)>,
    /// Whether the cache has the identity.
    pub(super) known: bool,
    pub(super) filters_of: Option<u8>,
    /// By bucket.
    pub(super) filters: Vec<Option<bool>>,
}

/// What a transaction found out of the closed buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Known {
    pub(super) stored: bool,
    pub(super) epoch: u8,
}

/// How far a worker is with its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Doing {
    Idle,
    /// It has the lock; or it has looked at the buckets, which is too early.
    Begun(Option<Ground>),
    Looked(Ground),
    Planned(Ground, Known),
    /// `true`: it has inserted.
    Inserted(Ground, Known, bool),
    /// It has committed, and its process does not know that yet.
    Committed(Known),
}

impl Doing {
    pub(super) const fn holds_the_lock(self) -> bool {
        !matches!(self, Self::Idle | Self::Begun(Some(_)) | Self::Committed(_))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Worker {
    pub(super) process: usize,
    /// Deliveries that are left, with the one that it works on.
    pub(super) left: u8,
    pub(super) doing: Doing,
    /// Whether the identity was kept at any moment since its transaction looked.
    pub(super) was_kept: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) database: Database,
    pub(super) replica: Database,
    pub(super) memories: Vec<Memory>,
    pub(super) workers: Vec<Worker>,
    pub(super) drops: u8,
    pub(super) promotions: u8,
    pub(super) crashes: u8,
    /// A delivery was taken for a duplicate although the identity was not stored.
    pub(super) false_duplicate: bool,
}
