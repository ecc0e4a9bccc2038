//! The system under test, in this process, on ports of its own; spoken to over HTTP.

use std::{path::PathBuf, time::Duration};

use clap::Parser;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{eventually, servers};

/// How long a drained queue may be waited for.
const DRAINED_WITHIN: Duration = Duration::from_mins(2);
/// How long stopping may take.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

/// One running program.
pub struct App {
    /// Where it listens: `http://127.0.0.1:PORT`.
    pub url: String,
    client: Client,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

/// An answer: its status and body; a body that is no JSON is [`Value::Null`].
pub type Answer = (StatusCode, Value);

impl App {
    /// The standalone program with these arguments, on a free port.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn standalone(args: &[&str]) -> Self {
        let command = ["event-aggregator", "--bind-addr=127.0.0.1:0"];
        let settings = standalone::Settings::parse_from(command.iter().chain(args));
        let app = standalone::Application::build(&settings).expect("it starts");
        Self::run(app.port(), |stop| async {
            app.run_until_stopped(stop).await.expect("it stops well");
        })
    }

    /// The publisher with these arguments, on a free port.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn publisher(args: &[&str]) -> Self {
        let command = ["publisher", "--bind-addr=127.0.0.1:0"];
        let settings = publisher::Settings::parse_from(command.iter().chain(args));
        let app = publisher::Application::build(&settings).expect("it starts");
        Self::run(app.port(), |stop| async {
            app.run_until_stopped(stop).await.expect("it stops well");
        })
    }

    /// The aggregator with these arguments, on a free port.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn aggregator(args: &[&str]) -> Self {
        let command = ["aggregator", "--bind-addr=127.0.0.1:0"];
        let settings = aggregator::Settings::parse_from(command.iter().chain(args));
        let app = aggregator::Application::build(&settings).expect("it starts");
        Self::run(app.port(), |stop| async {
            app.run_until_stopped(stop).await.expect("it stops well");
        })
    }

    fn run<F>(port: u16, app: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        Self {
            url: format!("http://127.0.0.1:{port}"),
            client: crate::http::client(),
            running: tokio::spawn(app(stop.clone())),
            stop,
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

    /// A request to be completed and sent with [`answer`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    /// `POST path` with this body as JSON.
    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.request(Method::POST, path).body(body);
        answer(request.header("content-type", "application/json")).await
    }

    /// `GET /stats`.
    ///
    /// # Panics
    /// If the answer is not 200.
    pub async fn stats(&self) -> Value {
        let (status, body) = self.get("/stats").await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }

    /// The counters, once they count `received` events and nothing is in the queue.
    pub async fn drained(&self, received: i64) -> Value {
        eventually("the queue is drained", DRAINED_WITHIN, async || {
            let (status, body) = self.get("/stats").await;
            let empty = body["queue"] == json!({"pending": 0, "processing": 0});
            status == StatusCode::OK && empty && body["received"].as_i64() >= Some(received)
        })
        .await;
        self.stats().await
    }

    /// Waits until `/ready` answers 200.
    pub async fn ready(&self) {
        eventually("it is ready", DRAINED_WITHIN, async || {
            self.get("/ready").await.0 == StatusCode::OK
        })
        .await;
    }

    /// Tells it to stop, as a signal would, and waits until it has.
    ///
    /// # Panics
    /// If it takes too long or ends with an error.
    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(STOPPED_WITHIN, self.running)
            .await
            .expect("it stops in time")
            .expect("it stops without a panic");
    }
}

/// Sends a request.
///
/// # Panics
/// If there is no answer.
pub async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let body = response.bytes().await.expect("a whole answer");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// The ways to run the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deployment {
    /// Two publishers and two aggregators over Redis and PostgreSQL.
    Services,
    /// One process: queue in memory, SQLite.
    MemoryAndSqlite,
    /// One process: queue in memory, PostgreSQL.
    MemoryAndPostgres,
    /// One process: Redis, SQLite.
    RedisAndSqlite,
    /// One process: Redis, PostgreSQL.
    RedisAndPostgres,
}

/// A running system.
pub struct System {
    /// Those that take `POST /publish`.
    pub publishers: Vec<App>,
    /// Those that answer everything else, where they are others.
    aggregators: Vec<App>,
    database: Option<servers::Database>,
    folder: TempDir,
    arguments: Vec<String>,
}

impl Deployment {
    /// Starts it with four workers, over an empty store and an empty queue.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(self) -> System {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut arguments = vec![
            "--workers=4".to_owned(),
            format!("--queue-name={}", servers::queue_name()),
        ];
        let sqlite = matches!(self, Self::MemoryAndSqlite | Self::RedisAndSqlite);
        let memory = matches!(self, Self::MemoryAndSqlite | Self::MemoryAndPostgres);
        let database = if sqlite {
            let path = folder.path().join("events.db");
            arguments.push(format!("--database-url=sqlite://{}", path.display()));
            None
        } else {
            let database = servers::database().await;
            arguments.push(format!("--database-url={}", database.url()));
            Some(database)
        };
        let redis = if memory {
            String::new()
        } else {
            servers::redis_url().await
        };
        arguments.push(format!("--redis-url={redis}"));
        let mut system = System {
            publishers: Vec::new(),
            aggregators: Vec::new(),
            database,
            folder,
            arguments,
        };
        system.start_programs(self).await;
        system
    }
}

impl System {
    async fn start_programs(&mut self, deployment: Deployment) {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        if deployment == Deployment::Services {
            let for_publishers: Vec<&str> = arguments
                .iter()
                .copied()
                .filter(|argument| {
                    argument.starts_with("--redis") || argument.starts_with("--queue")
                })
                .collect();
            // Both at once on an empty database: both must come up.
            self.aggregators = (0..2).map(|_| App::aggregator(&arguments)).collect();
            self.publishers = (0..2).map(|_| App::publisher(&for_publishers)).collect();
        } else {
            self.publishers = vec![App::standalone(&arguments)];
        }
        for app in self.publishers.iter().chain(&self.aggregators) {
            app.ready().await;
        }
    }

    /// One that answers `GET /stats` and the like.
    #[must_use]
    pub fn reader(&self) -> &App {
        self.aggregators.first().unwrap_or(&self.publishers[0])
    }

    /// Stops every program and starts it again over the same data.
    pub async fn restart(&mut self, deployment: Deployment) {
        self.stop_programs().await;
        self.start_programs(deployment).await;
    }

    /// Stops every program.
    pub async fn stop(mut self) {
        self.stop_programs().await;
    }

    async fn stop_programs(&mut self) {
        for app in self.publishers.drain(..).chain(self.aggregators.drain(..)) {
            app.stop().await;
        }
    }

    /// The SQLite file, where that is the store.
    #[must_use]
    pub fn sqlite_file(&self) -> Option<PathBuf> {
        let file = self.folder.path().join("events.db");
        file.exists().then_some(file)
    }

    /// The PostgreSQL database, where that is the store.
    #[must_use]
    pub fn postgres_url(&self) -> Option<&str> {
        self.database.as_ref().map(servers::Database::url)
    }
}
