//! `GET /health` (the process is alive) and `GET /ready` (what it depends on answers).

use std::{sync::Arc, time::Duration};

use actix_web::{HttpResponse, web};
use async_trait::async_trait;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::timeout;

use super::{
    access::Access,
    problem::{Kind, Problem},
    server::get,
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

    /// The two paths.
    pub fn routes(&self, config: &mut web::ServiceConfig) {
        config
            .app_data(web::Data::new(self.clone()))
            .service(get("/health", Access::Open, health))
            .service(get("/ready", Access::Open, ready));
    }
}

async fn health() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "alive"}))
}

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
        let names: Vec<_> = answers.iter().map(|(name, _)| name).collect();
        Ok(HttpResponse::Ok().json(json!({"status": "ready", "checked": names})))
    } else {
        Err(Problem::new(Kind::Unavailable, away.join("; ")))
    }
}
