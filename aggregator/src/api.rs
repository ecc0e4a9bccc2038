//! What the handlers of the HTTP routes need.

use std::{sync::Arc, time::Instant};

use edge::{batch::Ingestion, settings::LimitArgs};
use event::clock::{Clock, Ids};
use store::Store;

use crate::snapshots::Snapshots;

/// What the handlers need.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) store: Arc<dyn Store>,
    /// What `/stats` tells.
    pub(crate) snapshots: Arc<Snapshots>,
    /// How many events may wait in the queue.
    pub(crate) queue_max_len: u64,
    pub(crate) ingest: Ingestion,
    pub(crate) limits: LimitArgs,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<Ids>,
    pub(crate) started: Instant,
}
