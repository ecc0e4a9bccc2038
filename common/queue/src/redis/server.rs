//! The server that the queue is in: how to reach it, and what is known of it. All ends of the queue that are opened at one
//! address share it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use redis::Client;
use runtime::readiness::Dependency;

use super::{
    backpressure::MemoryLimit,
    connections::Peer,
    health::Health,
    keys::{Keys, QueueName},
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
    pub(super) keys: Keys,
    pub(super) health: Health,
    pub(super) memory: MemoryLimit,
    publishes: AtomicBool,
    works: AtomicBool,
    is_open: AtomicBool,
}

impl Server {
    /// Contacts nobody yet.
    pub(super) fn new(client: Client, name: &QueueName) -> Self {
        // This is host and port. The secrets of an address are in its other parts.
        let address = client.get_connection_info().addr().to_string();
        Self {
            peer: Arc::new(Peer::new(client)),
            keys: Keys::new(name),
            health: Health::new(Dependency::new("redis", address)),
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
