//! `GET /health` (the process is alive) and `GET /ready` (events get stored).

use actix_web::{HttpResponse, web};
use runtime::readiness::Readiness;
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::{
    admission::access::Access,
    description::openapi::{Answers, Group, problems},
    problem::{Kind, Problem},
    routes::Routes,
};

/// The two paths. They need [`Readiness`].
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
    /// What events need.
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
/// Says what the storing of events has met lately. 503 says what is wrong, and since when.
#[utoipa::path(get, path = "/ready",
    responses((status = 200, description = "It can", body = Ready), NotReady))]
async fn ready(readiness: web::Data<Readiness>) -> Result<HttpResponse, Problem> {
    let unwell = readiness.troubles();
    if unwell.is_empty() {
        Ok(HttpResponse::Ok().json(Ready {
            checked: readiness.names(),
            status: "ready",
        }))
    } else {
        Err(Problem::new(Kind::Unavailable, unwell.join("; ")))
    }
}
