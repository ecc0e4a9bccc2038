//! `POST /ingest`: stores at once and answers a verdict per event.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use common::{
    auth::Caller,
    event::{EventId, Topic, parse::Shape},
    http::{
        batch::{self, Rejected},
        problem::{Kind, Problem},
    },
    queue::Verdict,
};
use serde::Serialize;

use super::Api;

#[derive(Serialize)]
struct Single {
    status: &'static str,
    event_id: EventId,
    topic: Topic,
}

#[derive(Serialize)]
struct Several {
    accepted: usize,
    duplicates: usize,
    dead_lettered: usize,
    results: Vec<Single>,
    #[serde(flatten)]
    rejected: Option<Rejected>,
}

pub(super) async fn ingest(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    let batch = batch::read(&request, payload, &api.limits, &*api.clock, &api.ids).await?;
    caller.check_topics(&batch.events)?;
    caller.spend_events(&request, batch.events.len())?;
    let keys: Vec<_> = batch
        .events
        .iter()
        .map(|event| (event.topic.clone(), event.event_id.clone()))
        .collect();
    let verdicts: Option<Vec<Verdict>> =
        api.ingest.submit(batch.events).await?.into_iter().collect();
    let Some(verdicts) = verdicts else {
        return Err(Problem::new(
            Kind::Unavailable,
            "the events are stored, but their verdicts were lost; send them again to get them",
        ));
    };
    let mut results: Vec<Single> = keys
        .into_iter()
        .zip(&verdicts)
        .map(|((topic, event_id), verdict)| Single {
            status: status(*verdict),
            event_id,
            topic,
        })
        .collect();
    if batch.shape == Shape::One
        && let Some(single) = results.pop()
    {
        return Ok(HttpResponse::Ok().json(single));
    }
    let count = |wanted| {
        verdicts
            .iter()
            .filter(|&&verdict| verdict == wanted)
            .count()
    };
    Ok(HttpResponse::Ok().json(Several {
        accepted: count(Verdict::Accepted),
        duplicates: count(Verdict::Duplicate),
        dead_lettered: count(Verdict::DeadLettered),
        results,
        rejected: (batch.rejected.count > 0).then_some(batch.rejected),
    }))
}

const fn status(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted => "accepted",
        Verdict::Duplicate => "duplicate",
        Verdict::DeadLettered => "dead_lettered",
    }
}
