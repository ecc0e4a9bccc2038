//! A real Prometheus, with the configuration, the rules and the queries of `deploy/`.

use std::{fs, net::SocketAddr, path::PathBuf, process::Command};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    SOON, eventually, http,
    programs::{Running, free_port},
};

/// A Prometheus that scrapes every second. It ends when this is dropped.
pub struct Prometheus {
    url: String,
    _running: Running,
    _folder: TempDir,
}

/// A file below `deploy/`.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn deployed(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Prometheus {
    /// Starts one over these programs, with the rules changed by `change`, so that they fire in seconds.
    ///
    /// # Panics
    /// If there is no Prometheus. `scripts/test` installs it.
    pub async fn start(
        publisher: SocketAddr,
        aggregator: SocketAddr,
        change: impl Fn(&str) -> String,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = deployed("prometheus/prometheus.yml")
            .replace("publisher:8080", &publisher.to_string())
            .replace("aggregator:8081", &aggregator.to_string())
            .replace("15s", "1s");
        let config_file = folder.path().join("prometheus.yml");
        fs::write(&config_file, config).expect("it can be written");
        let rules = change(&deployed("prometheus/alerts.yml"));
        fs::write(folder.path().join("alerts.yml"), rules).expect("it can be written");
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config_file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"));
        let prometheus = Self {
            url: format!("http://{address}"),
            _running: Running::command("prometheus", command),
            _folder: folder,
        };
        eventually("Prometheus is ready", SOON, async || {
            let asked = http::client()
                .get(format!("{}/-/ready", prometheus.url))
                .send()
                .await;
            asked.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        prometheus
    }

    /// The values that a query finds now.
    ///
    /// # Panics
    /// If Prometheus does not take the query.
    pub async fn query(&self, query: &str) -> Vec<f64> {
        let found = self.ask("query", &[("query", query)]).await;
        let found = found["result"].as_array().expect("a vector").iter();
        let value = |series: &Value| {
            let value = series["value"][1].as_str().expect("a value");
            value.parse().expect("a number")
        };
        found.map(value).collect()
    }

    /// The alerts that fire now.
    ///
    /// # Panics
    /// If Prometheus does not answer.
    pub async fn firing(&self) -> Vec<String> {
        let found = self.ask("alerts", &[]).await;
        let alerts = found["alerts"].as_array().expect("a list").iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        firing
            .map(|alert| {
                alert["labels"]["alertname"]
                    .as_str()
                    .expect("a name")
                    .to_owned()
            })
            .collect()
    }

    async fn ask(&self, what: &str, query: &[(&str, &str)]) -> Value {
        let request = http::client().get(format!("{}/api/v1/{what}", self.url));
        let answer = request.query(query).send().await.expect("an answer");
        let answer: Value = answer.json().await.expect("JSON");
        assert_eq!(answer["status"], "success", "{query:?}: {answer}");
        answer["data"].clone()
    }
}
