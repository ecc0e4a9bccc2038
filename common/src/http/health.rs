//! `GET /health` (the process is alive) and `GET /ready` (what it depends on answers).

use std::{sync::Arc, time::Duration};

use actix_web::{HttpResponse, web};
use async_trait::async_trait;
use futures_util::future::join_all;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::{IntoResponses, ToSchema};

use super::{
    access::Access,
    openapi::{Answers, Group, problems},
    problem::{Kind, Problem},
    routes::Routes,
};

/// How long a server may take to answer before it counts as away.
const CHECK_WITHIN: Duration = Duration::from_secs(2);

/// Something this process cannot work without.
#[async_trait]
pub trait Dependency: Send + Sync {
    /// What `/ready` calls it, such as `redis`.
    fn name(&self) -> &'static str;

    /// Whether it answers, or why not, in words that may be shown to anyone.
    async fn check(&self) -> Result<(), String>;
}

/// All that `/ready` asks.
#[derive(Clone, Default)]
pub struct Dependencies(Arc<Vec<Arc<dyn Dependency>>>);

impl Dependencies {
    /// Asked all at once, reported in this order.
    #[must_use]
    pub fn new(dependencies: Vec<Arc<dyn Dependency>>) -> Self {
        Self(Arc::new(dependencies))
    }
}

/// The two paths. They need [`Dependencies`].
#[must_use]
pub fn routes() -> Routes {
    Routes::of(Group::Server)
        .route(__path_health, Access::Open, health)
        .route(__path_ready, Access::Open, ready)
        .schema::<Alive>()
        .schema::<Ready>()
}

/// What `/health` says.
#[derive(Serialize, ToSchema)]
struct Alive {
    #[schema(pattern = "^alive$")]
    status: &'static str,
}

/// What `/ready` says.
#[derive(Serialize, ToSchema)]
struct Ready {
    /// What answered.
    #[schema(value_type = Vec<String>, example = json!(["redis", "postgres"]))]
    checked: Vec<&'static str>,
    #[schema(pattern = "^ready$")]
    status: &'static str,
}

struct NotReady;

impl IntoResponses for NotReady {
    fn responses() -> Answers {
        problems(&[Kind::Unavailable])
    }
}

/// Is it alive?
#[utoipa::path(get, path = "/health",
    responses((status = 200, description = "It is", body = Alive)))]
async fn health() -> HttpResponse {
    HttpResponse::Ok().json(Alive { status: "alive" })
}

/// Can it work?
///
/// Asks what it depends on. 503 says what does not answer.
#[utoipa::path(get, path = "/ready",
    responses((status = 200, description = "It can", body = Ready), NotReady))]
async fn ready(dependencies: web::Data<Dependencies>) -> Result<HttpResponse, Problem> {
    let checks = dependencies.0.iter().map(|dependency| async move {
        let answer = match timeout(CHECK_WITHIN, dependency.check()).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", CHECK_WITHIN.as_secs())),
        };
        (dependency.name(), answer)
    });
    let answers = join_all(checks).await;
    let away: Vec<String> = answers
        .iter()
        .filter_map(|(name, answer)| Some(format!("{name}: {}", answer.as_ref().err()?)))
        .collect();
    if away.is_empty() {
        Ok(HttpResponse::Ok().json(Ready {
            checked: answers.into_iter().map(|(name, _)| name).collect(),
            status: "ready",
        }))
    } else {
        Err(Problem::new(Kind::Unavailable, away.join("; ")))
    }
}
