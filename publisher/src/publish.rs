//! `POST /publish`.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload, ServiceConfig},
};
use common::{
    auth::{Caller, Scope},
    clock::{Clock, Ids, SystemClock},
    config::LimitArgs,
    http::{
        access::Access,
        batch::{self, Rejected},
        problem::Problem,
        server::post,
    },
    queue::Producer,
};
use serde::Serialize;

/// What `POST /publish` needs: a queue, limits, and where time and ids come from.
#[derive(Clone)]
pub struct Publish(Arc<Inner>);

struct Inner {
    producer: Arc<dyn Producer>,
    limits: LimitArgs,
    clock: Arc<dyn Clock>,
    ids: Ids,
}

#[derive(Serialize)]
struct Answer {
    status: &'static str,
    count: usize,
    accepted: usize,
    #[serde(flatten)]
    rejected: Rejected,
}

impl Publish {
    /// Publishes into `producer`.
    #[must_use]
    pub fn new(producer: Arc<dyn Producer>, limits: LimitArgs) -> Self {
        Self::with_clock(producer, limits, Arc::new(SystemClock))
    }

    /// The same with a clock of the caller's.
    #[must_use]
    pub fn with_clock(
        producer: Arc<dyn Producer>,
        limits: LimitArgs,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self(Arc::new(Inner {
            producer,
            limits,
            clock,
            ids: Ids::default(),
        }))
    }

    /// Adds the path to a server.
    pub fn routes(&self, config: &mut ServiceConfig) {
        config.app_data(Data::new(self.clone())).service(post(
            "/publish",
            Access::Needs(Scope::Publish),
            publish,
        ));
    }
}

async fn publish(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<Publish>,
) -> Result<HttpResponse, Problem> {
    let Inner {
        producer,
        limits,
        clock,
        ids,
    } = &*state.0;
    let batch = batch::read(&request, payload, limits, &**clock, ids).await?;
    caller.check_topics(&batch.events)?;
    let accepted = batch.events.len();
    caller.spend_events(&request, accepted)?;
    producer.push(batch.events).await?;
    Ok(HttpResponse::Accepted().json(Answer {
        status: "accepted",
        count: accepted + batch.rejected.count,
        accepted,
        rejected: batch.rejected,
    }))
}
