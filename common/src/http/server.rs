//! Listening, unknown paths and methods, stopping.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use actix_web::{
    App, FromRequest, Handler, HttpRequest, HttpServer, Resource, Responder,
    guard::{self, Guard},
    http::Method,
    web,
};
use tokio_util::sync::CancellationToken;

use super::problem::{Kind, Problem};
use crate::config::ConfigError;

/// How long a client may take to send a request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Takes the address, before anything else is started.
///
/// # Errors
/// [`ConfigError::Bind`] if it cannot be had.
pub fn bind(address: SocketAddr) -> Result<TcpListener, ConfigError> {
    TcpListener::bind(address).map_err(|source| ConfigError::Bind { address, source })
}

/// Serves `routes` until `stop`; then takes no more connections, and returns when the running
/// requests are answered or `grace` is over.
///
/// # Errors
/// If the listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    stop: CancellationToken,
    grace: Duration,
) -> std::io::Result<()> {
    let server = HttpServer::new(move || {
        App::new()
            .configure(&routes)
            .default_service(web::to(unknown_path))
    })
    .client_request_timeout(HEAD_WITHIN)
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(grace.as_secs())
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    tokio::spawn(async move {
        stop.cancelled().await;
        handle.stop(true).await;
    });
    server.await
}

/// A path that answers `GET` and `HEAD`.
pub fn get<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let reading = guard::Any(guard::Get()).or(guard::Head());
    resource(path, reading, handler, "GET, HEAD")
}

/// A path that answers `POST`.
pub fn post<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    resource(path, guard::Post(), handler, "POST")
}

/// A path that answers `DELETE`.
pub fn delete<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    resource(path, guard::Delete(), handler, "DELETE")
}

fn resource<F, Args>(
    path: &str,
    guard: impl Guard + 'static,
    handler: F,
    allowed: &'static str,
) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let refuse = move |method: Method| async move {
        Err::<&str, _>(Problem::method_not_allowed(&method, allowed))
    };
    web::resource(path)
        .route(web::route().guard(guard).to(handler))
        .default_service(web::to(refuse))
}

async fn unknown_path(request: HttpRequest) -> Problem404 {
    Err(Problem::new(
        Kind::NotFound,
        format!("there is nothing at {}", shown(request.path())),
    ))
}

type Problem404 = Result<&'static str, Problem>;

/// Clients choose the path: it is not echoed at any length.
fn shown(path: &str) -> String {
    const MAX_SHOWN_CHARS: usize = 100;
    path.chars().take(MAX_SHOWN_CHARS).collect()
}
