//! The aggregator's HTTP routes.

mod dead_letters;
mod events;
mod ingest;
mod parameters;
mod stats;

use std::{sync::Arc, time::Instant};

use actix_web::web::{Data, ServiceConfig};
use common::{
    auth::Scope,
    clock::{Clock, Ids},
    config::LimitArgs,
    http::{
        access::Access,
        server::{delete, get, post},
    },
    queue::{Consumer, memory::MemoryQueue},
    store::Store,
};

const PUBLISH: Access = Access::Needs(Scope::Publish);
const READ: Access = Access::Needs(Scope::Read);
const ADMIN: Access = Access::Needs(Scope::Admin);

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
            .service(post("/ingest", PUBLISH, ingest::ingest))
            .service(get("/stats", READ, stats::stats))
            .service(get("/events", READ, events::list))
            .service(get("/events/{topic}/{event_id}", READ, events::one))
            .service(get("/dead-letters", READ, dead_letters::list))
            .service(post("/dead-letters/replay", ADMIN, dead_letters::replay))
            .service(delete("/dead-letters/{id}", ADMIN, dead_letters::discard));
    }
}
