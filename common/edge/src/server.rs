//! Listening, unknown paths and methods, stopping.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    rc::Rc,
    thread::available_parallelism,
    time::Duration,
};

use actix_http::{HttpService, error::DispatchError};
use actix_server::Server;
use actix_service::{ServiceFactoryExt as _, fn_service, map_config};
use actix_web::{
    App, HttpRequest,
    dev::{AppConfig, Extensions},
    middleware::from_fn,
    rt::net::TcpStream,
    web,
};
use metrics::Metrics;
use runtime::readiness::Readiness;
use tls::Identity;
use tokio_util::sync::CancellationToken;

use crate::{
    admission::{access::MetricsArePublic, cors::Origins, in_flight::InFlight, unread, unsent},
    auth::Gate,
    batch::Meter,
    connection::{
        client_certificate::{self, ClientCertificates},
        handshake::Handshake,
        open_files,
        places::Places,
        stream::{HEAD_WITHIN, Stream},
    },
    description::{docs, index, openapi::Description, suggestions},
    headers, health,
    measure::{self, Dependencies, Requests},
    problem::{Kind, Problem},
    routes::Routes,
    settings::{ConfigError, LimitArgs, ServerArgs},
};

/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a client whose request was refused may take to stop sending it.
const DISCONNECT_WITHIN: Duration = Duration::from_secs(1);
/// Connections of a thread, beside its places, that wait for one; others wait in the system.
const AT_THE_DOOR: usize = 64;

/// Where requests come in, and who is let in. Nothing is served yet.
pub struct Front {
    listener: TcpListener,
    gate: Gate,
    origins: Origins,
    load: InFlight,
    max_connections: usize,
    metrics_are_public: bool,
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
        let listener = TcpListener::bind(bind_addr).map_err(|source| ConfigError::Bind {
            address: bind_addr,
            source,
        })?;
        Ok(Self {
            listener,
            origins: args.cors_allow_origin.clone(),
            load: InFlight::new(
                args.max_requests_in_flight as usize,
                args.max_bytes_in_flight as usize,
                limits.largest_request(),
                !gate.is_open(),
            ),
            gate,
            max_connections: args.max_connections as usize,
            metrics_are_public: args.metrics_public,
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
    index::routes()
        .and(health::routes())
        .and(measure::routes())
        .and(docs::routes())
}

/// Serves `routes`, and their description under `title`, and watches what `readiness` is about, until `stop`; then takes no
/// more connections, and returns when the running requests are answered or the grace period is over. What it measures is
/// added to `metrics`.
///
/// # Errors
/// If the listener cannot be used.
pub async fn serve(
    front: Front,
    title: &str,
    routes: Routes,
    readiness: Readiness,
    metrics: Metrics,
    stop: CancellationToken,
) -> io::Result<()> {
    let routes = with_state(routes, title, &front.gate, &readiness, metrics);
    let metrics_are_public = MetricsArePublic(front.metrics_are_public);
    let (gate, load) = (
        web::Data::new(front.gate.clone()),
        web::Data::new(front.load),
    );
    let origins = front.origins;
    let threads = available_parallelism().map_or(1, NonZeroUsize::get);
    let (certificates, tls) = match &front.identity {
        None => (ClientCertificates::NotAsked, None),
        Some(identity) => {
            let config = identity.server_config().map_err(io::Error::other)?;
            let asked = if identity.asks_clients() {
                ClientCertificates::Required
            } else {
                ClientCertificates::NotAsked
            };
            (asked, Some(Handshake::config(config)))
        }
    };
    let connections = front.max_connections.div_ceil(threads);
    let builder = Server::build()
        .workers(threads)
        // Who connects beyond the bound is accepted and gets another's place, or is told to go.
        .max_concurrent_connections(connections + AT_THE_DOOR)
        .shutdown_timeout(front.grace.as_secs())
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    // Of `HttpServer` only the listening is done here, because it leaves no way to put something
    // between the socket and HTTP.
    let server = builder.listen(title, front.listener, move || {
        let app = App::new()
            .app_data(gate.clone())
            .app_data(load.clone())
            .app_data(certificates)
            .app_data(metrics_are_public)
            .app_data(origins.clone())
            // The last one is the first to see a request.
            .wrap(from_fn(unsent::hold))
            .wrap(origins.middleware())
            .wrap(from_fn(unread::hold))
            .wrap(from_fn(headers::add))
            .wrap(from_fn(measure::request))
            .configure(|config| routes.configure(config))
            .default_service(web::to(unknown_path));
        let handshake = Handshake::new(Places::new(connections), tls.clone());
        let stopping = stopping.clone();
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .client_request_timeout(HEAD_WITHIN)
            .client_disconnect_timeout(DISCONNECT_WITHIN)
            .keep_alive(KEEP_ALIVE)
            .h1_write_buffer_size(unsent::PORTION)
            .on_connect_ext(|stream: &Stream, data: &mut Extensions| {
                client_certificate::note(stream, data);
                data.insert(Rc::clone(stream.place()));
            })
            .h1(map_config(app, |()| AppConfig::default()));
        fn_service(move |socket: TcpStream| {
            let handshake = handshake.clone();
            async move {
                let peer = socket.peer_addr().ok();
                let stream = handshake.accept(socket).await;
                stream
                    .map(|stream| (stream, peer))
                    .map_err(DispatchError::Io)
            }
        })
        .and_then(http)
    })?;
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

/// Adds what the routes of every server need.
fn with_state(
    routes: Routes,
    title: &str,
    gate: &Gate,
    readiness: &Readiness,
    metrics: Metrics,
) -> Routes {
    metrics.collect(Dependencies(readiness.clone()), None);
    let (requests, meter) = (Requests::of(&metrics), Meter::of(&metrics));
    let description = Description::of(title, &routes);
    let description = if gate.is_open() {
        description.without_keys()
    } else {
        description
    };
    routes
        .state(readiness.clone())
        .state(requests)
        .state(meter)
        .state(metrics)
        .state(description)
}

async fn unknown_path(request: HttpRequest) -> Problem404 {
    client_certificate::check(&request)?;
    let description = request.app_data::<web::Data<Description>>();
    let served: Vec<_> = description
        .into_iter()
        .flat_map(|description| description.calls())
        .collect();
    let detail = suggestions::detail(request.path(), &served);
    Err(Problem::new(Kind::NotFound, detail))
}

type Problem404 = Result<&'static str, Problem>;
