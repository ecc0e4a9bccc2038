//! `GET /stats`.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chrono::{DateTime, SecondsFormat, Utc};
use edge::{
    auth::Caller,
    openapi::{Answers, problems},
    parameters::{optional, query},
    problem::{Kind, Problem},
};
use event::schema::{from_json, or_null};
use queue::Depth;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::StatsQuery;
use utoipa::{IntoParams, IntoResponses, PartialSchema, ToSchema, openapi};

use super::lists::visible;
use crate::{
    api::Api,
    snapshots::{Missing, Snapshot},
};

/// How many topics are listed unless all are asked for.
const TOP_TOPICS: u16 = 1000;

/// Which topics are listed with the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Topics {
    /// The largest [`TOP_TOPICS`].
    #[default]
    Top,
    All,
    None,
}

impl Topics {
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "top" => Ok(Self::Top),
            "all" => Ok(Self::All),
            "none" => Ok(Self::None),
            _ => Err("must be top, all or none"),
        }
    }

    const fn largest(self) -> Option<u16> {
        match self {
            Self::Top => Some(TOP_TOPICS),
            Self::All => None,
            Self::None => Some(0),
        }
    }
}

impl PartialSchema for Topics {
    fn schema() -> openapi::RefOr<openapi::Schema> {
        from_json(json!({
            "type": "string",
            "description": "Which topics are listed: the 1000 with the most events, all, or none",
            "enum": ["top", "all", "none"],
            "default": "top"
        }))
    }
}

impl ToSchema for Topics {
    fn name() -> std::borrow::Cow<'static, str> {
        "ListedTopics".into()
    }
}

/// Each is parsed by name, by the rules of its schema.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Parameters {
    /// Which topics are listed
    #[param(value_type = Topics, required = false)]
    topics: Option<String>,
}

/// What `/stats` says.
#[derive(Serialize, ToSchema)]
pub(super) struct Counters {
    /// `unique_processed + duplicate_dropped + dead_lettered`, always.
    #[schema(minimum = 0)]
    received: i64,
    /// Events stored.
    #[schema(minimum = 0)]
    unique_processed: i64,
    /// Deliveries of events that were stored before.
    #[schema(minimum = 0)]
    duplicate_dropped: i64,
    /// Deliveries that could not be stored.
    #[schema(minimum = 0)]
    dead_lettered: i64,
    /// Unique events by topic: of the topics that the key is for, those that were asked for.
    topics: BTreeMap<String, i64>,
    /// How many topics there are that the key is for.
    #[schema(minimum = 0)]
    topics_total: i64,
    /// At most as old as the counters: if it is empty, the counters are final.
    queue: Queue,
    /// How long this process has been running, in seconds; the same as `uptime_seconds`.
    #[schema(minimum = 0)]
    uptime: f64,
    /// How long this process has been running, in seconds.
    #[schema(minimum = 0)]
    uptime_seconds: f64,
    /// When the counters began to count.
    #[schema(format = DateTime)]
    uptime_start: String,
}

/// How much is in the queue.
#[derive(Serialize, ToSchema)]
pub(super) struct Queue {
    /// Events that wait.
    pending: u64,
    /// Events that are claimed and not yet settled.
    processing: u64,
    /// How long the event that waits longest has waited, in seconds. Null: no event waits, or it is not known because
    /// another program has put it into the queue.
    #[schema(schema_with = seconds_or_null, required)]
    oldest_age_seconds: Option<f64>,
    /// How many events may wait (`QUEUE_MAX_LEN`).
    limit: u64,
}

fn seconds_or_null() -> openapi::RefOr<openapi::Schema> {
    from_json(or_null(
        &json!({"type": "number", "format": "double", "minimum": 0}),
    ))
}

impl Queue {
    fn new(depth: &Depth, limit: u64, now: DateTime<Utc>) -> Self {
        let age = |oldest: DateTime<Utc>| (now - oldest).to_std().unwrap_or_default();
        Self {
            pending: depth.pending,
            processing: depth.processing,
            oldest_age_seconds: depth
                .oldest
                .map(|oldest| in_millis(age(oldest).as_secs_f64())),
            limit,
        }
    }
}

struct Away;

impl IntoResponses for Away {
    fn responses() -> Answers {
        problems(&[Kind::InvalidParameter, Kind::Overloaded, Kind::Unavailable])
    }
}

/// The counters
///
/// In one snapshot, which was not taken before the request. The queue is read before them.
#[utoipa::path(
    get,
    path = "/stats",
    params(Parameters),
    responses(
        (status = 200, description = "The counters", body = Counters, example = json!({
            "received": 10, "unique_processed": 8, "duplicate_dropped": 2, "dead_lettered": 0,
            "topics": {"orders": 5, "logs/apache": 3}, "topics_total": 2,
            "queue": {"pending": 0, "processing": 0, "oldest_age_seconds": null, "limit": 1_000_000},
            "uptime": 123.4, "uptime_seconds": 123.4, "uptime_start": "2026-01-01T00:00:00Z",
        })),
        Away,
    ),
)]
pub(super) async fn stats(
    request: HttpRequest,
    caller: Caller,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    let parameters: Parameters = query(&request)?;
    let parse = |text: String| Topics::parse(&text);
    let topics = optional("topics", parameters.topics, parse)?.unwrap_or_default();
    let query = StatsQuery {
        largest: topics.largest(),
        visible: visible(&caller),
    };
    match &*api.snapshots.take(&query).await {
        Ok(snapshot) => Ok(HttpResponse::Ok().json(counters(snapshot, &api))),
        Err(Missing::Queue) => Err(Problem::new(
            Kind::Unavailable,
            "redis does not answer; try again",
        )),
        Err(Missing::Store) => Err(Problem::new(
            Kind::Unavailable,
            "the database does not answer as it should; try again",
        )),
    }
}

fn counters(Snapshot { queue, stats, .. }: &Snapshot, api: &Api) -> Counters {
    let uptime = in_millis(api.started.elapsed().as_secs_f64());
    Counters {
        received: stats.received,
        unique_processed: stats.unique_processed,
        duplicate_dropped: stats.duplicate_dropped,
        dead_lettered: stats.dead_lettered,
        topics: stats.topics.clone(),
        topics_total: stats.topics_total,
        queue: Queue::new(queue, api.queue_max_len, api.clock.now()),
        uptime,
        uptime_seconds: uptime,
        uptime_start: stats
            .uptime_start
            .to_rfc3339_opts(SecondsFormat::AutoSi, true),
    }
}

/// Seconds with three digits after the point.
fn in_millis(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
