//! `GET /stats`.

use std::collections::BTreeMap;

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use chrono::SecondsFormat;
use common::{
    auth::Caller,
    http::problem::{Kind, Problem},
    queue::Depth,
};
use serde::Serialize;

use super::Api;

#[derive(Serialize)]
struct Answer {
    received: i64,
    unique_processed: i64,
    duplicate_dropped: i64,
    dead_lettered: i64,
    topics: BTreeMap<String, i64>,
    queue: Depth,
    uptime: f64,
    uptime_start: String,
}

/// The queue is read before the counters: whoever sees it empty sees final counters. Of the topics,
/// callers see theirs.
pub(super) async fn stats(caller: Caller, api: Data<Api>) -> Result<HttpResponse, Problem> {
    let queue = api.queue.depth().await.map_err(|error| {
        tracing::warn!(%error, "the queue's depth cannot be read");
        Problem::new(Kind::Unavailable, "redis does not answer; try again")
    })?;
    let mut stats = api.store.stats().await?;
    stats.topics.retain(|topic, _| caller.may_use(topic));
    let uptime = api.started.elapsed().as_secs_f64();
    Ok(HttpResponse::Ok().json(Json(Answer {
        received: stats.received,
        unique_processed: stats.unique_processed,
        duplicate_dropped: stats.duplicate_dropped,
        dead_lettered: stats.dead_lettered,
        topics: stats.topics,
        queue,
        uptime: (uptime * 1000.0).round() / 1000.0,
        uptime_start: stats
            .uptime_start
            .to_rfc3339_opts(SecondsFormat::AutoSi, true),
    })))
}
