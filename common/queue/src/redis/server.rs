//! The server that the queue is in: how to reach it, and what is known of it. All ends of the queue that are opened at one
//! address share it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use redis::Client;
use runtime::readiness::{Dependency, Probe};

use super::{
    health::Health,
    keys::{Keys, QueueName},
    link::Peer,
    rehearsal::Rehearsal,
    room::Memory,
    watch::watch,
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
    pub(super) memory: Memory,
    publishes: AtomicBool,
    works: AtomicBool,
    watched: AtomicBool,
}

impl Server {
    /// Contacts nobody yet.
    pub(super) fn new(client: Client, name: &QueueName) -> Self {
        // Host and port; whatever secrets there are stand elsewhere in the address.
        let address = client.get_connection_info().addr().to_string();
        Self {
            peer: Arc::new(Peer::new(client)),
            keys: Keys::new(name),
            health: Health::new(Dependency::new("redis", address)),
            memory: Memory::default(),
            publishes: AtomicBool::new(false),
            works: AtomicBool::new(false),
            watched: AtomicBool::new(false),
        }
    }

    /// An end of the queue is opened. From the first one on the server's settings are watched, for as long as anybody
    /// holds the server.
    pub(super) fn open(self: &Arc<Self>, usage: Use) {
        let flag = match usage {
            Use::Publish => &self.publishes,
            Use::Work => &self.works,
        };
        flag.store(true, Ordering::Relaxed);
        if !self.watched.swap(true, Ordering::Relaxed) {
            tokio::spawn(watch(Arc::downgrade(self)));
        }
    }

    /// Whether an end of this kind was opened.
    pub(super) fn is_used_to(&self, usage: Use) -> bool {
        let flag = match usage {
            Use::Publish => &self.publishes,
            Use::Work => &self.works,
        };
        flag.load(Ordering::Relaxed)
    }

    /// For `/ready`.
    pub(super) fn watched(self: &Arc<Self>) -> (Arc<Dependency>, Arc<dyn Probe>) {
        let rehearsal = Rehearsal::new(self.clone());
        (self.health.dependency(), Arc::new(rehearsal))
    }
}
