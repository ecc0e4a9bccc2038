//! TLS between clients, programs, Redis and PostgreSQL: certificates that are renewed, and clients that must show one.

mod clients;
mod connections;
mod renewal;
mod servers;
mod settings;

use reqwest::{Client, StatusCode};
use tempfile::TempDir;
use tests::{
    app::App,
    certificates::{Authority, PairFiles},
};

const HERE: [&str; 1] = ["127.0.0.1"];

/// A standalone server over TLS, its certificate's files, and a folder for others.
struct Fixture {
    app: App,
    folder: TempDir,
    files: PairFiles,
}

impl Fixture {
    async fn start(authority: &Authority, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = authority.sign(&HERE).write(folder.path(), "server");
        let [cert, key] = files.arguments();
        let app = App::over_sqlite_unready(&[&[&*cert, &key], arguments].concat())
            .over_tls(authority.client(None));
        app.ready().await;
        Self { app, folder, files }
    }

    fn port(&self) -> u16 {
        self.app.address().port()
    }

    async fn status(&self, client: &Client, path: &str) -> Option<StatusCode> {
        let answer = client.get(format!("{}{path}", self.app.url)).send().await;
        answer.ok().map(|answer| answer.status())
    }

    async fn is_trusted(&self, client: &Client) -> bool {
        self.status(client, "/health").await == Some(StatusCode::OK)
    }
}
