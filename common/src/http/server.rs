//! Listening, unknown paths and methods, stopping.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpServer, middleware::from_fn, web};
use tokio_util::sync::CancellationToken;

use super::{
    cors::Origins,
    docs, headers, health,
    openapi::Description,
    problem::{Kind, MAX_SHOWN_CHARS, Problem},
    routes::Routes,
};
use crate::{
    auth::Gate,
    config::{ConfigError, ServerArgs},
};

/// How long a client may take to send a request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Where requests come in, and who is let in. Nothing is served yet.
pub struct Front {
    listener: TcpListener,
    gate: Gate,
    origins: Origins,
    grace: Duration,
}

impl Front {
    /// Reads the keys and takes the address, before anything else is started.
    ///
    /// # Errors
    /// [`ConfigError`] if the settings do not go together, or one of them cannot be had.
    pub fn open(bind_addr: SocketAddr, args: &ServerArgs) -> Result<Self, ConfigError> {
        let gate = args.gate(bind_addr)?;
        let listener = TcpListener::bind(bind_addr).map_err(|source| ConfigError::Bind {
            address: bind_addr,
            source,
        })?;
        Ok(Self {
            listener,
            gate,
            origins: args.cors_allow_origin.clone(),
            grace: args.grace(),
        })
    }

    /// Which port it got; useful if port 0 was asked for.
    ///
    /// # Errors
    /// If the system does not know.
    pub fn port(&self) -> std::io::Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// How long running requests may take to finish.
    #[must_use]
    pub const fn grace(&self) -> Duration {
        self.grace
    }
}

/// The paths of every server, beside its own.
#[must_use]
pub fn routes() -> Routes {
    health::routes().and(docs::routes())
}

/// Serves `routes`, and their description under `title`, until `stop`; then takes no more connections,
/// and returns when the running requests are answered or the grace period is over.
///
/// # Errors
/// If the listener cannot be used.
pub async fn serve(
    front: Front,
    title: &str,
    routes: Routes,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let (gate, origins) = (front.gate.clone(), front.origins);
    let description = Description::of(title, &routes);
    let routes = routes.state(if gate.is_open() {
        description.without_keys()
    } else {
        description
    });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(gate.clone()))
            // The last one is the first to see a request.
            .wrap(origins.middleware())
            .wrap(from_fn(headers::add))
            .configure(|config| routes.configure(config))
            .default_service(web::to(unknown_path))
    })
    .client_request_timeout(HEAD_WITHIN)
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(front.grace.as_secs())
    .disable_signals()
    .listen(front.listener)?
    .run();
    let handle = server.handle();
    let following = tokio::spawn({
        let (gate, stop) = (front.gate, stop.clone());
        async move { gate.follow(stop).await }
    });
    tokio::spawn(async move {
        stop.cancelled().await;
        handle.stop(true).await;
    });
    server.await?;
    following.abort();
    Ok(())
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
    path.chars().take(MAX_SHOWN_CHARS).collect()
}
