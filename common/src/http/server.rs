//! Listening, unknown paths and methods, stopping.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    thread::available_parallelism,
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpServer, middleware::from_fn, web};
use tokio_util::sync::CancellationToken;

use super::{
    client_certificate::{self, ClientCertificates},
    cors::Origins,
    docs, headers, health, index,
    load::Load,
    nearby, open_files,
    openapi::Description,
    problem::{Kind, Problem},
    routes::Routes,
    unread,
};
use crate::{
    auth::Gate,
    config::{ConfigError, LimitArgs, ServerArgs},
    readiness::Readiness,
    tls::Identity,
};

/// How long a client may take to send a request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long a client may take for a TLS handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Where requests come in, and who is let in. Nothing is served yet.
pub struct Front {
    listener: TcpListener,
    gate: Gate,
    origins: Origins,
    load: Load,
    max_connections: usize,
    identity: Option<Identity>,
    grace: Duration,
}

impl Front {
    /// Reads keys and certificates and takes the address, before anything else is started.
    ///
    /// # Errors
    /// [`ConfigError`] if the settings do not go together, or one of them cannot be had.
    pub fn open(
        bind_addr: SocketAddr,
        args: &ServerArgs,
        limits: &LimitArgs,
    ) -> Result<Self, ConfigError> {
        let gate = args.gate(bind_addr)?;
        let identity = args.tls.identity()?;
        open_files::allow(args.max_connections);
        // A body of any allowed length can be read, if only alone.
        let max_bytes = args.max_bytes_in_flight.max(limits.max_body_bytes);
        let listener = TcpListener::bind(bind_addr).map_err(|source| ConfigError::Bind {
            address: bind_addr,
            source,
        })?;
        Ok(Self {
            listener,
            gate,
            origins: args.cors_allow_origin.clone(),
            load: Load::new(args.max_requests_in_flight as usize, max_bytes as usize),
            max_connections: args.max_connections as usize,
            identity,
            grace: args.grace(),
        })
    }

    /// Which port it got; useful if port 0 was asked for.
    ///
    /// # Errors
    /// If the system does not know.
    pub fn port(&self) -> io::Result<u16> {
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
    index::routes().and(health::routes()).and(docs::routes())
}

/// Serves `routes`, and their description under `title`, and watches what `readiness` is about, until `stop`; then takes no more connections,
/// and returns when the running requests are answered or the grace period is over.
///
/// # Errors
/// If the listener cannot be used.
pub async fn serve(
    front: Front,
    title: &str,
    routes: Routes,
    readiness: Readiness,
    stop: CancellationToken,
) -> io::Result<()> {
    let routes = routes.state(readiness.clone());
    let description = Description::of(title, &routes);
    let routes = routes.state(if front.gate.is_open() {
        description.without_keys()
    } else {
        description
    });
    let (gate, load) = (
        web::Data::new(front.gate.clone()),
        web::Data::new(front.load),
    );
    let origins = front.origins;
    let threads = available_parallelism().map_or(1, NonZeroUsize::get);
    let certificates = match &front.identity {
        Some(identity) if identity.asks_clients() => ClientCertificates::Required,
        _ => ClientCertificates::NotAsked,
    };
    let server = HttpServer::new(move || {
        App::new()
            .app_data(gate.clone())
            .app_data(load.clone())
            .app_data(certificates)
            .app_data(origins.clone())
            // The last one is the first to see a request.
            .wrap(origins.middleware())
            .wrap(from_fn(unread::hold))
            .wrap(from_fn(headers::add))
            .configure(|config| routes.configure(config))
            .default_service(web::to(unknown_path))
    })
    .workers(threads)
    .max_connections(front.max_connections.div_ceil(threads))
    .client_request_timeout(HEAD_WITHIN)
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(front.grace.as_secs())
    .disable_signals()
    .tls_handshake_timeout(HANDSHAKE_WITHIN)
    .on_connect(client_certificate::note);
    let server = match &front.identity {
        Some(identity) => {
            let config = identity.server_config().map_err(io::Error::other)?;
            server.listen_rustls_0_23(front.listener, config)?
        }
        None => server.listen(front.listener)?,
    };
    let server = server.run();
    let handle = server.handle();
    let following = tokio::spawn({
        let (gate, identity, stop) = (front.gate, front.identity, stop.clone());
        async move {
            let certificates = async {
                if let Some(identity) = identity {
                    identity.follow(stop.clone()).await;
                }
            };
            tokio::join!(
                gate.follow(stop.clone()),
                certificates,
                readiness.watch(&stop)
            );
        }
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
    client_certificate::check(&request)?;
    let description = request.app_data::<web::Data<Description>>();
    let served: Vec<_> = description
        .into_iter()
        .flat_map(|description| description.calls())
        .collect();
    let detail = nearby::detail(request.path(), &served);
    Err(Problem::new(Kind::NotFound, detail))
}

type Problem404 = Result<&'static str, Problem>;
