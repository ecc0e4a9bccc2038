//! The aggregator's HTTP routes.

mod dead_letters;
mod events;
mod ingest;
mod parameters;
mod stats;

use std::{sync::Arc, time::Instant};

use actix_web::web::{Data, ServiceConfig};
use common::{
    clock::{Clock, Ids},
    config::LimitArgs,
    http::server::{delete, get, post},
    queue::{Consumer, memory::MemoryQueue},
    store::Store,
};

/// What the handlers need.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) store: Arc<dyn Store>,
    /// The queue whose depth `/stats` tells.
    pub(crate) queue: Arc<dyn Consumer>,
    pub(crate) ingest: Arc<MemoryQueue>,
    pub(crate) limits: LimitArgs,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<Ids>,
    pub(crate) started: Instant,
}

impl Api {
    pub(crate) fn routes(self, config: &mut ServiceConfig) {
        config
            .app_data(Data::new(self))
            .service(post("/ingest", ingest::ingest))
            .service(get("/stats", stats::stats))
            .service(get("/events", events::list))
            .service(get("/events/{topic}/{event_id}", events::one))
            .service(get("/dead-letters", dead_letters::list))
            .service(post("/dead-letters/replay", dead_letters::replay))
            .service(delete("/dead-letters/{id}", dead_letters::discard));
    }
}
