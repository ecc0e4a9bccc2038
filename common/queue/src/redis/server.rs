//! The server that a shard of the queue is in: how to reach it, and what is known of it. All ends of the queue that are
//! opened at one address share it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use runtime::readiness::Dependency;

use super::{
    backpressure::MemoryLimit,
    connections::Peer,
    health::Health,
    keys::{Keys, Tag},
    locator::Locator,
    replicas::Replicas,
};

/// What the server is used for by this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Events are put into the queue.
    Publish,
    /// Events are taken off it.
    Work,
}

pub(super) struct Server {
    pub(super) peer: Arc<Peer>,
    pub(super) tag: Tag,
    pub(super) keys: Keys,
    /// How many replicas must have what is pushed and claimed.
    pub(super) replicas: Replicas,
    pub(super) health: Health,
    pub(super) memory: MemoryLimit,
    publishes: AtomicBool,
    works: AtomicBool,
    is_open: AtomicBool,
}

impl Server {
    /// Contacts nobody yet. `address` is for the log; `part` is the name of the shard, if there are several.
    pub(super) fn new(
        locator: Locator,
        address: String,
        tag: &Tag,
        part: Option<String>,
        replicas: Replicas,
    ) -> Self {
        Self {
            peer: Arc::new(Peer::new(locator)),
            tag: tag.clone(),
            keys: Keys::new(tag),
            replicas,
            health: Health::new(Dependency::part("redis", part, address)),
            memory: MemoryLimit::default(),
            publishes: AtomicBool::new(false),
            works: AtomicBool::new(false),
            is_open: AtomicBool::new(false),
        }
    }

    /// Notes that an end of the queue is opened, and says whether it is the first one.
    pub(super) fn open(&self, usage: Use) -> bool {
        self.flag(usage).store(true, Ordering::Relaxed);
        !self.is_open.swap(true, Ordering::Relaxed)
    }

    /// Whether an end of this kind was opened.
    pub(super) fn is_used_to(&self, usage: Use) -> bool {
        self.flag(usage).load(Ordering::Relaxed)
    }

    fn flag(&self, usage: Use) -> &AtomicBool {
        match usage {
            Use::Publish => &self.publishes,
            Use::Work => &self.works,
        }
    }
}
