//! `GET /events` and `GET /events/{topic}/{event_id}`.

use std::fmt::Display;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path, Query},
};
use common::{
    event::{EventId, EventTime, Source, Topic},
    http::problem::{Kind, Problem},
    store::{Cursor, EventQuery, Limit, StoredEvent},
};
use serde::{Deserialize, Serialize};

use super::Api;

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

pub(super) async fn list(request: HttpRequest, api: Data<Api>) -> Result<HttpResponse, Problem> {
    let parameters = Query::<Parameters>::from_query(request.query_string())
        .map_err(|error| Problem::new(Kind::InvalidParameter, error.to_string()))?;
    let query = parse(parameters.into_inner())?;
    let page = api.store.events(&query).await?;
    Ok(HttpResponse::Ok().json(Answer {
        count: page.events.len(),
        events: page.events,
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

pub(super) async fn one(
    path: Path<(String, String)>,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    let (topic, id) = path.into_inner();
    let topic = parameter("topic", Topic::try_from(topic))?;
    let id = parameter("event_id", EventId::try_from(id))?;
    match api.store.event(&topic, &id).await? {
        Some(event) => Ok(HttpResponse::Ok().json(event)),
        None => Err(Problem::new(
            Kind::NotFound,
            "no event with this event_id is stored in this topic",
        )),
    }
}

fn parse(parameters: Parameters) -> Result<EventQuery, Problem> {
    let limit = match parameters.limit {
        None => Limit::default(),
        Some(text) => text.parse().ok().and_then(Limit::new).ok_or_else(|| {
            let detail = format!("limit must be a number from 1 to {}", Limit::MAX);
            Problem::new(Kind::InvalidParameter, detail)
        })?,
    };
    Ok(EventQuery {
        topic: optional("topic", parameters.topic, Topic::try_from)?,
        source: optional("source", parameters.source, Source::try_from)?,
        since: optional("since", parameters.since, |text| time(&text))?,
        until: optional("until", parameters.until, |text| time(&text))?,
        limit,
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

fn optional<T, E: Display>(
    name: &str,
    text: Option<String>,
    parse: impl FnOnce(String) -> Result<T, E>,
) -> Result<Option<T>, Problem> {
    text.map(|text| parameter(name, parse(text))).transpose()
}

fn parameter<T>(name: &str, value: Result<T, impl Display>) -> Result<T, Problem> {
    value.map_err(|error| Problem::new(Kind::InvalidParameter, format!("{name} {error}")))
}
