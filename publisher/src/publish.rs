//! `POST /publish`.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use edge::{
    access::Access,
    auth::{Caller, Scope},
    batch::{self, Beside, Intake, Rejected},
    openapi::Group,
    problem::Problem,
    routes::Routes,
    settings::LimitArgs,
};
use event::{
    clock::{Clock, Ids, SystemClock},
    schema::{CloudEvent, CloudEventBatch, EventLines, Events},
};
use queue::Producer;
use runtime::readiness::Watched;
use serde::Serialize;
use utoipa::ToSchema;

/// What `POST /publish` needs: a queue, limits, and where time and ids come from.
#[derive(Clone)]
pub struct Publish(Arc<Inner>);

struct Inner {
    intake: Intake,
    limits: LimitArgs,
    clock: Arc<dyn Clock>,
    ids: Arc<Ids>,
}

#[derive(Serialize, ToSchema)]
struct Published {
    #[schema(pattern = "^accepted$")]
    status: &'static str,
    /// How many events the batch has.
    count: usize,
    /// How many of them are accepted.
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
            intake: Intake::of(producer),
            limits,
            clock,
            ids: Arc::default(),
        }))
    }

    /// What `/ready` knows of the queue.
    pub(crate) fn queue_watched(&self) -> Vec<Watched> {
        self.0.intake.watched()
    }
}

/// The path. It needs [`Publish`].
#[must_use]
pub fn routes() -> Routes {
    let access = Access::Needs(Scope::Publish);
    let routes = Routes::of(Group::EventsIn).route(__path_publish, access, publish);
    batch::described(routes)
        .schema::<Published>()
        .schema::<Rejected>()
}

/// Publish events
///
/// Accepts all of them, or none; with `partial`, those that are valid. They are stored soon; in one process with the
/// store, when this is answered. Sending an event again is safe.
#[utoipa::path(
    post,
    path = "/publish",
    params(Beside),
    request_body(
        description = batch::BODY,
        content(
            (Events = "application/json"),
            (EventLines = "application/x-ndjson"),
            (CloudEvent = "application/cloudevents+json"),
            (CloudEventBatch = "application/cloudevents-batch+json"),
        ),
    ),
    responses(
        (status = 202, description = "Accepted; on disk, where the queue is set up to be", body = Published,
            example = json!({"status": "accepted", "count": 2, "accepted": 2, "rejected": 0})),
        batch::Problems,
    ),
)]
async fn publish(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<Publish>,
) -> Result<HttpResponse, Problem> {
    let Inner {
        intake,
        limits,
        clock,
        ids,
    } = &*state.0;
    let batch = batch::read(&request, payload, &caller, limits, &**clock, ids).await?;
    let accepted = batch.admitted.events().len();
    intake.push(batch.admitted).await?;
    Ok(HttpResponse::Accepted().json(Published {
        status: "accepted",
        count: accepted + batch.rejected.count,
        accepted,
        rejected: batch.rejected,
    }))
}
