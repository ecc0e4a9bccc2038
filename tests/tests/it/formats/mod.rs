//! Every format and encoding that is read, on both routes, and what is refused of them.

mod cloudevents;
mod compressed;
mod events;
mod partial;

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tests::app::{Answer, App, answer};

const PATHS: [&str; 2] = ["/publish", "/ingest"];
const ENCODINGS: [&str; 3] = ["identity", "gzip", "zstd"];

async fn app() -> App {
    App::over_sqlite(&["--max-batch-events=1000", "--max-body-bytes=2097152"]).await
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn encoded(encoding: &str, body: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => gzip(body),
        "zstd" => zstd::encode_all(body, 0).unwrap(),
        _ => body.to_vec(),
    }
}

/// A body and the headers that say what it is.
struct Sent {
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Sent {
    fn new(media_type: &str, body: impl Into<String>) -> Self {
        Self {
            headers: vec![("content-type", media_type.to_owned())],
            body: body.into(),
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn request(&self, app: &App, path: &str, encoding: &str) -> RequestBuilder {
        let mut request = app
            .request(Method::POST, path)
            .header("content-encoding", encoding)
            .body(encoded(encoding, self.body.as_bytes()));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request
    }

    async fn to(&self, app: &App, path: &str) -> Answer {
        answer(self.request(app, path, "identity")).await
    }
}

/// Events in every format, all of this topic, with ids that no other has.
fn in_every_format(topic: &str) -> Vec<Sent> {
    let event = |id: &str| json!({"topic": topic, "event_id": id, "payload": {"n": 1}});
    let cloud_event = |id: &str| json!({"specversion": "1.0", "type": topic, "source": "s", "id": id, "data": {"n": 1}});
    vec![
        Sent::new("application/json", event("json").to_string()),
        Sent::new("application/json", json!([event("array")]).to_string()),
        Sent::new(
            "application/json",
            json!({"events": [event("object")]}).to_string(),
        ),
        Sent::new(
            "application/json",
            json!({"events": event("one in an object")}).to_string(),
        ),
        Sent::new("application/x-ndjson", format!("{}\n", event("x-ndjson"))),
        Sent::new("application/ndjson", format!("\n{}\r\n", event("ndjson"))),
        Sent::new("application/jsonl", event("jsonl").to_string()),
        Sent::new(
            "application/cloudevents+json",
            cloud_event("structured").to_string(),
        ),
        Sent::new(
            "application/cloudevents-batch+json; charset=utf-8",
            json!([cloud_event("batch")]).to_string(),
        ),
        Sent::new("application/json", r#"{"n":1}"#)
            .with("ce-specversion", "1.0")
            .with("ce-type", topic)
            .with("ce-source", "s")
            .with("ce-id", "binary"),
    ]
}

async fn stored(app: &App, topic: &str) -> Vec<Value> {
    let (status, page) = app.get(&format!("/events?topic={topic}")).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    page["events"].as_array().unwrap().clone()
}

fn detail((_, body): &Answer) -> &str {
    body["detail"].as_str().unwrap_or_default()
}
