//! `POST /ingest`: stores at once and answers a verdict per event.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use edge::{
    auth::Caller,
    batch::{self, Beside},
    problem::{BatchItem, Kind, Problem},
};
use event::{
    EventId, Topic, Verdict,
    parse::Shape,
    schema::{CloudEvent, CloudEventBatch, EventLines, Events},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Api;

/// What became of a body of events.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Ingested {
    /// Of one event alone.
    One(Judged),
    /// Of several.
    Several(Several),
}

/// What became of an event.
#[derive(Serialize, ToSchema)]
#[schema(as = IngestedOne)]
pub(super) struct Judged {
    status: Status,
    event_id: EventId,
    topic: Topic,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = IngestStatus)]
enum Status {
    /// Stored: it is the first of its identity.
    Accepted,
    /// Dropped: its identity was stored before. A success.
    Duplicate,
    /// Put aside: the database refused its data.
    DeadLettered,
}

/// What became of several events.
#[derive(Serialize, ToSchema)]
#[schema(as = IngestedSeveral)]
pub(super) struct Several {
    accepted: usize,
    duplicates: usize,
    dead_lettered: usize,
    /// Of the events that were valid, in order.
    results: Vec<Judged>,
    /// Only there if any was not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rejected: Option<usize>,
    /// What is wrong with them, up to 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    errors: Vec<BatchItem>,
}

/// Store events
///
/// Stores all of them, or none; with `partial`, those that are valid. Answers when they are stored, with what became of
/// each. Sending an event again is safe.
#[utoipa::path(
    post,
    path = "/ingest",
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
        (status = 200, description = "Stored", body = Ingested, examples(
            ("one" = (value = json!({"status": "accepted", "event_id": "o-1", "topic": "orders"}))),
            ("several" = (value = json!({
                "accepted": 1, "duplicates": 1, "dead_lettered": 0,
                "results": [
                    {"status": "accepted", "event_id": "o-2", "topic": "orders"},
                    {"status": "duplicate", "event_id": "o-1", "topic": "orders"},
                ],
            }))),
        )),
        batch::Problems,
    ),
)]
pub(super) async fn ingest(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    let Api {
        limits, clock, ids, ..
    } = &**api;
    let batch = batch::read(&request, payload, &caller, limits, &**clock, ids).await?;
    let events = batch.admitted.events().iter();
    let keys: Vec<_> = events
        .map(|event| (event.topic.clone(), event.event_id.clone()))
        .collect();
    let verdicts: Option<Vec<Verdict>> = api
        .ingest
        .submit(batch.admitted)
        .await?
        .into_iter()
        .collect();
    let Some(verdicts) = verdicts else {
        return Err(Problem::new(
            Kind::Unavailable,
            "the events are stored, but their verdicts were lost; send them again to get them",
        ));
    };
    let mut results: Vec<Judged> = keys
        .into_iter()
        .zip(&verdicts)
        .map(|((topic, event_id), verdict)| Judged {
            status: status(*verdict),
            event_id,
            topic,
        })
        .collect();
    if batch.shape == Shape::One
        && let Some(single) = results.pop()
    {
        return Ok(HttpResponse::Ok().json(Ingested::One(single)));
    }
    let count = |wanted| {
        verdicts
            .iter()
            .filter(|&&verdict| verdict == wanted)
            .count()
    };
    Ok(HttpResponse::Ok().json(Ingested::Several(Several {
        accepted: count(Verdict::Accepted),
        duplicates: count(Verdict::Duplicate),
        dead_lettered: count(Verdict::DeadLettered),
        results,
        rejected: (batch.rejected.count > 0).then_some(batch.rejected.count),
        errors: batch.rejected.errors,
    })))
}

const fn status(verdict: Verdict) -> Status {
    match verdict {
        Verdict::Accepted => Status::Accepted,
        Verdict::Duplicate => Status::Duplicate,
        Verdict::DeadLettered => Status::DeadLettered,
    }
}
