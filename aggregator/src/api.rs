//! What the handlers of the HTTP routes need.

use std::{sync::Arc, time::Instant};

use edge::{batch::Ingestion, settings::LimitArgs};
use event::clock::{Clock, Ids};
use queue::Queue;
use store::Store;

/// What the handlers need.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) store: Arc<dyn Store>,
    /// The queue whose depth `/stats` tells.
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) ingest: Ingestion,
    pub(crate) limits: LimitArgs,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<Ids>,
    pub(crate) started: Instant,
}
