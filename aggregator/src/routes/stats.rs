//! `GET /stats`.

use std::collections::BTreeMap;

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use chrono::SecondsFormat;
use edge::{
    auth::Caller,
    openapi::{Answers, problems},
    problem::{Kind, Problem},
};
use queue::Depth;
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::api::Api;

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
    /// Unique events by topic; of the topics that the key is for.
    topics: BTreeMap<String, i64>,
    /// At most as old as the counters: if it is empty, the counters are final.
    queue: Depth,
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

struct Away;

impl IntoResponses for Away {
    fn responses() -> Answers {
        problems(&[Kind::Overloaded, Kind::Unavailable])
    }
}

/// The counters
///
/// In one snapshot. The queue is read before them.
#[utoipa::path(
    get,
    path = "/stats",
    responses(
        (status = 200, description = "The counters", body = Counters, example = json!({
            "received": 10, "unique_processed": 8, "duplicate_dropped": 2, "dead_lettered": 0,
            "topics": {"orders": 5, "logs/apache": 3},
            "queue": {"pending": 0, "processing": 0},
            "uptime": 123.4, "uptime_seconds": 123.4, "uptime_start": "2026-01-01T00:00:00Z",
        })),
        Away,
    ),
)]
// The queue is read before the counters, so that the counters are final if the queue is empty. Of the topics,
// callers see theirs.
pub(super) async fn stats(caller: Caller, api: Data<Api>) -> Result<HttpResponse, Problem> {
    let queue = api.queue.depth().await.map_err(|error| {
        tracing::warn!(%error, "the queue's depth cannot be read");
        Problem::new(Kind::Unavailable, "redis does not answer; try again")
    })?;
    let mut stats = api.store.stats().await?;
    stats.topics.retain(|topic, _| caller.may_use(topic));
    let uptime = (api.started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    Ok(HttpResponse::Ok().json(Json(Counters {
        received: stats.received,
        unique_processed: stats.unique_processed,
        duplicate_dropped: stats.duplicate_dropped,
        dead_lettered: stats.dead_lettered,
        topics: stats.topics,
        queue,
        uptime,
        uptime_seconds: uptime,
        uptime_start: stats
            .uptime_start
            .to_rfc3339_opts(SecondsFormat::AutoSi, true),
    })))
}
