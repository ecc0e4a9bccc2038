//! `GET /events` and `GET /events/{topic}/{event_id}`.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use edge::{
    auth::Caller,
    openapi::{Answers, problems},
    parameters::{named, optional, query},
    problem::{Kind, Problem},
};
use event::{EventId, EventTime, Source, Topic};
use serde::{Deserialize, Serialize};
use store::{Cursor, EventQuery, Order, StoredEvent};
use utoipa::{IntoParams, IntoResponses, ToSchema};

use super::{
    lists::{ListProblems, part},
    moments::time,
};
use crate::api::Api;

/// Each is parsed by name, by the rules of its schema.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Parameters {
    /// Only of this topic; needed if the key is for some topics only
    #[param(value_type = Topic, required = false)]
    topic: Option<String>,
    /// Only of this source
    #[param(value_type = Source, required = false)]
    source: Option<String>,
    /// Only with this `timestamp` or a later one
    #[param(value_type = EventTime, required = false)]
    since: Option<String>,
    /// Only with an earlier `timestamp`
    #[param(value_type = EventTime, required = false)]
    until: Option<String>,
    /// Only what was received at this moment or later
    #[param(value_type = EventTime, required = false)]
    received_since: Option<String>,
    /// Only what was received earlier
    #[param(value_type = EventTime, required = false)]
    received_until: Option<String>,
    /// Which end of the list comes first
    #[param(value_type = Order, required = false)]
    order: Option<String>,
    /// At most so many
    #[param(value_type = u16, required = false, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
    /// Only after this place
    #[param(value_type = Cursor, required = false)]
    cursor: Option<String>,
}

/// A part of the events.
#[derive(Serialize, ToSchema)]
pub(super) struct EventPage {
    #[schema(max_items = 1000)]
    events: Vec<StoredEvent>,
    /// How many are in this part.
    count: usize,
    /// Where the next part begins, also after an empty one; null at the end.
    #[schema(value_type = Option<Cursor>, required)]
    next_cursor: Option<String>,
}

/// Stored events
///
/// Going on with `cursor` until `next_cursor` is null meets every event once, also while events arrive. A page with a filter
/// looks at 50000 events at most, so it may hold less than `limit`, even nothing, before the end.
#[utoipa::path(get, path = "/events", operation_id = "list_events", params(Parameters),
    responses((status = 200, description = "A part of them", body = EventPage), ListProblems))]
pub(super) async fn list(
    request: HttpRequest,
    caller: Caller,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    let query = parse(query(&request)?)?;
    match &query.topic {
        Some(topic) => caller.check_topic(topic.as_str())?,
        None => caller.check_all_topics()?,
    }
    let page = api.store.events(&query).await?;
    Ok(HttpResponse::Ok().json(EventPage {
        count: page.items.len(),
        events: page.items,
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

struct OneProblems;

impl IntoResponses for OneProblems {
    fn responses() -> Answers {
        problems(&[
            Kind::InvalidParameter,
            Kind::NotFound,
            Kind::Overloaded,
            Kind::Unavailable,
        ])
    }
}

/// One event
#[utoipa::path(get, path = "/events/{topic}/{event_id}", operation_id = "get_event",
    params(("topic" = Topic, Path), ("event_id" = EventId, Path)),
    responses((status = 200, description = "The event", body = StoredEvent), OneProblems))]
pub(super) async fn one(
    path: Path<(String, String)>,
    caller: Caller,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    let (topic, id) = path.into_inner();
    let topic = named("topic", Topic::try_from(topic))?;
    caller.check_topic(topic.as_str())?;
    let id = named("event_id", EventId::try_from(id))?;
    match api.store.event(&topic, &id).await? {
        Some(event) => Ok(HttpResponse::Ok().json(event)),
        None => Err(Problem::new(
            Kind::NotFound,
            "no event with this event_id is stored in this topic",
        )),
    }
}

fn parse(parameters: Parameters) -> Result<EventQuery, Problem> {
    Ok(EventQuery {
        topic: optional("topic", parameters.topic, Topic::try_from)?,
        source: optional("source", parameters.source, Source::try_from)?,
        since: optional("since", parameters.since, |text| time(&text))?,
        until: optional("until", parameters.until, |text| time(&text))?,
        received_since: optional("received_since", parameters.received_since, |text| {
            time(&text)
        })?,
        received_until: optional("received_until", parameters.received_until, |text| {
            time(&text)
        })?,
        part: part(parameters.order, parameters.limit, parameters.cursor)?,
    })
}
