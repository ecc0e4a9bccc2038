//! `GET /events` and `GET /events/{topic}/{event_id}`.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use common::{
    auth::Caller,
    event::{EventId, EventTime, Source, Topic},
    http::{
        parameters::{named, optional, query},
        problem::{Kind, Problem},
    },
    store::{Cursor, EventQuery, StoredEvent},
};
use serde::{Deserialize, Serialize};

use super::{Api, parameters::limit};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    topic: Option<String>,
    source: Option<String>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct Answer {
    events: Vec<StoredEvent>,
    count: usize,
    next_cursor: Option<String>,
}

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
    Ok(HttpResponse::Ok().json(Answer {
        count: page.items.len(),
        events: page.items,
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

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
        limit: limit(parameters.limit)?,
        after: optional("cursor", parameters.cursor, |text| text.parse::<Cursor>())?,
    })
}

/// In a query string `+` stands for a space, so an offset such as `+02:00` arrives with one unless
/// it was encoded.
fn time(text: &str) -> Result<EventTime, <EventTime as std::str::FromStr>::Err> {
    match text.rsplit_once(' ') {
        Some((time, offset)) if time.contains(['T', 't']) => format!("{time}+{offset}").parse(),
        _ => text.parse(),
    }
}
