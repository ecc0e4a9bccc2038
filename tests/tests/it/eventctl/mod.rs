//! The `eventctl` program against running servers: what it tells is what the servers count.

mod everyday;
mod publish;
mod reading;
mod simulate;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use redis::AsyncCommands;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    app::App,
    events::Logs,
    eventually,
    programs::{self, Running, free_port},
    servers,
};

const SOON: Duration = Duration::from_secs(30);

/// What a run of the program came to.
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Run {
    /// Its output, as JSON.
    fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|_| panic!("no JSON: {}{}", self.out, self.err))
    }
}

/// Runs the program to its end.
async fn eventctl(url: &str, arguments: &[&str]) -> Run {
    let mut command = tokio::process::Command::new(programs::path("eventctl"));
    command
        .args(arguments)
        .env_clear()
        .env("EVENTCTL_URL", url)
        // There are no profiles here.
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .kill_on_drop(true);
    let ended = tokio::time::timeout(SOON, command.output()).await;
    let output = ended.expect("it ends in time").unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run {
        code: output.status.code(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}

/// A standalone server over a database of its own, and a folder for files.
struct Fixture {
    app: App,
    folder: TempDir,
}

impl Fixture {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = App::standalone(&[&database_url(folder.path())]);
        app.ready().await;
        Self { app, folder }
    }

    async fn eventctl(&self, arguments: &[&str]) -> Run {
        eventctl(&self.app.url, arguments).await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: &str) -> String {
        fs::write(self.path(name), content).unwrap();
        self.path(name).display().to_string()
    }
}

fn database_url(folder: &Path) -> String {
    format!("--database-url=sqlite://{}/events.db", folder.display())
}

/// Events `from..to` of one topic, one a line.
fn lines(from: usize, to: usize) -> String {
    let line = |n| format!("{{\"topic\":\"t\",\"event_id\":\"{n}\"}}\n");
    (from..to).map(line).collect()
}

/// A standalone server as a process, so that it can be killed.
async fn start(folder: &Path, port: u16) -> Running {
    let address = format!("--bind-addr=127.0.0.1:{port}");
    let process = Running::start("event-aggregator", &[&address, &database_url(folder)], &[]);
    eventually("it is ready", SOON, async || {
        let ready = tests::http::client()
            .get(format!("http://127.0.0.1:{port}/ready"))
            .send()
            .await;
        ready.is_ok_and(|answer| answer.status() == StatusCode::OK)
    })
    .await;
    process
}
