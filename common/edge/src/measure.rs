//! `GET /metrics`, and what is measured of every request, by the names of
//! [OpenTelemetry](https://opentelemetry.io/docs/specs/semconv/http/http-metrics/).

use std::{fmt, time::Instant};

use actix_web::{
    Error, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::Next,
    web::Data,
};
use metrics::{CONTENT_TYPE, Collector, DescriptorEncoder, Gauge, Histograms, Metrics, Writer};
use runtime::readiness::{Dependency, Readiness};

use crate::{admission::access::Access, description::openapi::Group, routes::Routes};

/// The path. It needs [`Metrics`].
#[must_use]
pub(crate) fn routes() -> Routes {
    Routes::of(Group::Server).route(__path_text, Access::Metrics, text)
}

/// Metrics
///
/// As Prometheus reads them (`OpenMetrics`). They are read now; what a dependency that is away would tell is left out.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics",
    responses((status = 200, description = "The metrics", body = String, content_type = "application/openmetrics-text")))]
async fn text(metrics: Data<Metrics>) -> HttpResponse {
    let text = metrics.text().await;
    HttpResponse::Ok().content_type(CONTENT_TYPE).body(text)
}

/// Measures requests.
#[derive(Debug, Clone)]
pub(crate) struct Requests {
    duration: Histograms<3>,
    active: Gauge,
}

impl Requests {
    pub(crate) fn of(metrics: &Metrics) -> Self {
        Self {
            duration: metrics.durations_by(
                "http_server_request_duration",
                "How long requests took to be answered, by method, route and status",
            ),
            active: metrics.gauge(
                "http_server_active_requests",
                "Requests that are being answered",
            ),
        }
    }
}

/// Counted as active for as long as it exists, also if its client goes away.
struct Active(Gauge);

impl Active {
    fn begin(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Measures a request.
pub(crate) async fn request(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let Some(requests) = request.app_data::<Data<Requests>>().cloned() else {
        return next.call(request).await;
    };
    let _active = Active::begin(&requests.active);
    let begun = Instant::now();
    let method = method(request.method());
    let response = next.call(request).await?;
    // A path that is not served has no route, however many such paths clients think of.
    let route = response.request().match_pattern().unwrap_or_default();
    let labels = [
        ("http_request_method", method.to_owned()),
        ("http_route", route),
        (
            "http_response_status_code",
            response.status().as_str().to_owned(),
        ),
    ];
    let duration = requests.duration.get_or_create(&labels);
    duration.observe(begun.elapsed().as_secs_f64());
    Ok(response)
}

/// Clients may make up methods.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "_OTHER",
    }
}

/// Says of each dependency whether it works.
pub(crate) struct Dependencies(pub(crate) Readiness);

impl fmt::Debug for Dependencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.dependencies().map(Dependency::full_name))
            .finish()
    }
}

impl Collector for Dependencies {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let up = self.0.dependencies().map(|dependency| {
            let labels = [("dependency", dependency.full_name())];
            (labels, f64::from(u8::from(dependency.check().is_ok())))
        });
        let help = "Whether what events need works, as far as /ready knows: 1 or 0";
        Writer::to(&mut encoder).gauges("dependency_up", help, up)
    }
}
