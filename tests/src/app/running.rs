//! One program under test, in this process or as a process of its own, on a port of its own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Parser;
use reqwest::Client;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::programs::{Running, free_port};

/// The SQLite file in its folder.
pub(super) const SQLITE_FILE: &str = "events.db";
/// How long stopping may take.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

/// One running program.
pub struct App {
    /// Where it listens: `http://127.0.0.1:PORT`.
    pub url: String,
    pub(super) client: Client,
    host: Host,
    // It is removed after the program has ended, because fields are dropped in this order.
    folder: Option<TempDir>,
}

/// Where a program runs.
enum Host {
    /// In this process.
    Here {
        stop: CancellationToken,
        running: JoinHandle<()>,
    },
    /// In a process of its own.
    There(Running),
}

impl App {
    /// The standalone program with these arguments, in this process.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn standalone(arguments: &[&str]) -> Self {
        let command = ["event-aggregator", "--bind-addr=127.0.0.1:0"];
        let settings = standalone::Settings::parse_from(command.iter().chain(arguments));
        let app = standalone::Application::build(&settings).expect("it starts");
        Self::here(app.port(), |stop| async {
            app.run_until_stopped(stop).await.expect("it stops well");
        })
    }

    /// The publisher with these arguments, in this process.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn publisher(arguments: &[&str]) -> Self {
        let command = ["publisher", "--bind-addr=127.0.0.1:0"];
        let settings = publisher::Settings::parse_from(command.iter().chain(arguments));
        let app = publisher::Application::build(&settings).expect("it starts");
        Self::here(app.port(), |stop| async {
            app.run_until_stopped(stop).await.expect("it stops well");
        })
    }

    /// The aggregator with these arguments, in this process.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn aggregator(arguments: &[&str]) -> Self {
        let command = ["aggregator", "--bind-addr=127.0.0.1:0"];
        let settings = aggregator::Settings::parse_from(command.iter().chain(arguments));
        let app = aggregator::Application::build(&settings).expect("it starts");
        Self::here(app.port(), |stop| async {
            app.run_until_stopped(stop).await.expect("it stops well");
        })
    }

    /// The standalone program with these further arguments, in this process, over a queue in memory and a SQLite file in
    /// a new folder; returns when it is ready.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn over_sqlite(arguments: &[&str]) -> Self {
        let app = Self::over_sqlite_unready(arguments);
        app.ready().await;
        app
    }

    /// The same, but it may not be ready yet.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn over_sqlite_unready(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join(SQLITE_FILE);
        let database = format!("--database-url=sqlite://{}", file.display());
        let own = ["--redis-url=", &database];
        let app = Self::standalone(&[&own, arguments].concat());
        Self {
            folder: Some(folder),
            ..app
        }
    }

    /// A program as a process of its own, with these settings in its environment and no others.
    ///
    /// # Panics
    /// If it was not built or cannot be started.
    #[must_use]
    pub fn process(program: &str, settings: &[(&str, &str)]) -> Self {
        Self::there(settings, |settings| Running::start(program, &[], settings))
    }

    /// The same, once `sh` has run `preparation` in that process: `ulimit -S -f 100`.
    ///
    /// # Panics
    /// If it was not built or cannot be started.
    #[must_use]
    pub fn prepared(preparation: &str, program: &str, settings: &[(&str, &str)]) -> Self {
        Self::there(settings, |settings| {
            Running::start_limited(preparation, program, settings)
        })
    }

    fn here<F>(port: u16, app: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let running = tokio::spawn(app(stop.clone()));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self::at(address, Host::Here { stop, running })
    }

    fn there(settings: &[(&str, &str)], start: impl FnOnce(&[(&str, &str)]) -> Running) -> Self {
        let bound = settings.iter().find(|(name, _)| *name == "BIND_ADDR");
        let address = bound.map_or_else(
            || SocketAddr::from(([127, 0, 0, 1], free_port())),
            |(_, address)| address.parse().expect("BIND_ADDR is an address and a port"),
        );
        let bound = address.to_string();
        let settings = [settings, &[("BIND_ADDR", bound.as_str())]].concat();
        Self::at(address, Host::There(start(&settings)))
    }

    fn at(address: SocketAddr, host: Host) -> Self {
        Self {
            url: format!("http://{address}"),
            client: crate::http::client(),
            host,
            folder: None,
        }
    }

    /// It speaks TLS, and is spoken to with this client.
    #[must_use]
    pub fn over_tls(self, client: Client) -> Self {
        let url = self.url.replacen("http:", "https:", 1);
        Self {
            url,
            client,
            ..self
        }
    }

    /// The address and port that it listens on.
    ///
    /// # Panics
    /// Never, because its URL was made from it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        let (_, address) = self.url.split_once("//").expect("a scheme");
        address.parse().expect("an address and a port")
    }

    /// The path of this name in the folder of its SQLite file.
    ///
    /// # Panics
    /// If it has no folder of its own: only [`App::over_sqlite`] makes one.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        let folder = self.folder.as_ref().map(TempDir::path);
        folder
            .map(|folder: &Path| folder.join(name))
            .expect("a folder of its own")
    }

    /// Its process.
    ///
    /// # Panics
    /// If it runs in this one.
    #[must_use]
    pub fn running(&self) -> &Running {
        match &self.host {
            Host::There(running) => running,
            Host::Here { .. } => panic!("it has no process of its own"),
        }
    }

    /// What it has printed so far.
    ///
    /// # Panics
    /// If it runs in this process.
    #[must_use]
    pub fn output(&self) -> String {
        self.running().output()
    }

    /// Sends its process a signal, such as `TERM`.
    ///
    /// # Panics
    /// If it runs in this process, or the signal cannot be sent.
    pub fn signal(&self, name: &str) {
        self.running().signal(name);
    }

    /// Waits for the end of its process and returns the exit code; `None` if a signal ended it.
    ///
    /// # Panics
    /// If it runs in this process, or does not end in time.
    pub async fn wait_exit(&mut self) -> Option<i32> {
        match &mut self.host {
            Host::There(running) => running.wait_exit(STOPPED_WITHIN).await,
            Host::Here { .. } => panic!("it has no process of its own"),
        }
    }

    /// Tells it to stop and waits until it has stopped.
    ///
    /// # Panics
    /// If it takes too long or ends with an error.
    pub async fn stop(self) {
        match self.host {
            Host::Here { stop, running } => {
                stop.cancel();
                tokio::time::timeout(STOPPED_WITHIN, running)
                    .await
                    .expect("it stops in time")
                    .expect("it stops without a panic");
            }
            Host::There(mut running) => {
                running.signal("TERM");
                let code = running.wait_exit(STOPPED_WITHIN).await;
                assert_eq!(code, Some(0), "{}", running.output());
            }
        }
    }
}
