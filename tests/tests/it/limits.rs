//! Rates of keys, and how much a server takes on at once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::PathBuf, time::Duration};

use common::auth::ApiKey;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{app::App, eventually};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

const SOON: Duration = Duration::from_secs(20);
/// Long enough to see that nothing happens.
const A_WHILE: Duration = Duration::from_millis(500);

struct Keys {
    folder: TempDir,
}

impl Keys {
    fn path(&self) -> PathBuf {
        self.folder.path().join("keys.toml")
    }

    fn write(&self, keys: &[(&str, &ApiKey, &str)]) {
        let entry = |(name, key, rates): &(&str, &ApiKey, &str)| {
            let scopes = "[\"publish\", \"read\"]";
            let hash = key.hash();
            format!("[[key]]\nname = \"{name}\"\nscopes = {scopes}\nhash = \"{hash}\"\n{rates}\n")
        };
        fs::write(self.path(), keys.iter().map(entry).collect::<String>()).unwrap();
    }

    async fn start(keys: &[(&str, &ApiKey, &str)]) -> (Self, App) {
        Self::start_with(keys, &[]).await
    }

    async fn start_with(keys: &[(&str, &ApiKey, &str)], more: &[&str]) -> (Self, App) {
        let folder = tempfile::tempdir().unwrap();
        let file = Self { folder };
        file.write(keys);
        let keys = format!("--api-keys-file={}", file.path().display());
        let app = standalone(&file.folder, &[&[&*keys], more].concat()).await;
        (file, app)
    }
}

async fn standalone(folder: &TempDir, more: &[&str]) -> App {
    let database = format!("--database-url=sqlite://{}/e.db", folder.path().display());
    let app = App::standalone(&[&[&*database, "--redis-url="], more].concat());
    app.ready().await;
    app
}

async fn get_stats(app: &App, key: &ApiKey) -> Response {
    let request = app.request("GET".parse().unwrap(), "/stats");
    request.bearer_auth(key.expose()).send().await.unwrap()
}

async fn send(app: &App, path: &str, key: &ApiKey, first: u32, count: u32) -> Response {
    let events: Vec<Value> = (first..first + count)
        .map(|id| json!({"topic": "t", "event_id": id.to_string()}))
        .collect();
    let request = app.request("POST".parse().unwrap(), path);
    let request = request.bearer_auth(key.expose()).json(&events);
    request.send().await.unwrap()
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_key_that_has_used_up_its_requests_is_told_when_to_come_back_and_is_let_in_then() {
    let (slow, fast) = (ApiKey::generate().unwrap(), ApiKey::generate().unwrap());
    let rate = "requests_per_second = 1";
    let (_keys, app) = Keys::start(&[("slow", &slow, rate), ("fast", &fast, "")]).await;

    let first = get_stats(&app, &slow).await;
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(header(&first, "ratelimit-policy"), "\"requests\";q=10;w=10");
    assert_eq!(header(&first, "ratelimit"), "\"requests\";r=9");
    let refused = loop {
        let answer = get_stats(&app, &slow).await;
        if answer.status() != StatusCode::OK {
            break answer;
        }
    };
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&refused, "retry-after"), "1");
    assert_eq!(header(&refused, "ratelimit"), "\"requests\";r=0;t=1");
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["type"], "urn:event-aggregator:problem:rate-limited");

    let other = get_stats(&app, &fast).await;
    assert_eq!(other.status(), StatusCode::OK);
    assert_eq!(header(&other, "ratelimit"), "");
    assert_eq!(app.get("/health").await.0, StatusCode::OK);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(get_stats(&app, &slow).await.status(), StatusCode::OK);
    app.stop().await;
}

#[tokio::test]
async fn a_key_that_has_used_up_its_events_publishes_nothing_more_by_either_way() {
    let (key, reader) = (ApiKey::generate().unwrap(), ApiKey::generate().unwrap());
    // At this rate nothing to speak of comes back while the test runs.
    let rate = "events_per_second = 1";
    let (_keys, app) = Keys::start(&[("key", &key, rate), ("reader", &reader, "")]).await;

    let too_many = send(&app, "/publish", &key, 0, 11).await;
    assert_eq!(too_many.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let problem: Value = too_many.json().await.unwrap();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("10 at once"), "{detail}");

    let accepted = send(&app, "/publish", &key, 0, 4).await;
    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
    assert_eq!(header(&accepted, "ratelimit"), "\"events\";r=6");
    let accepted = send(&app, "/ingest", &key, 4, 4).await;
    assert_eq!(accepted.status(), StatusCode::OK);
    for path in ["/publish", "/ingest"] {
        let refused = send(&app, path, &key, 100, 10).await;
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS, "{path}");
        let wait: u64 = header(&refused, "retry-after").parse().unwrap();
        assert!((1..=8).contains(&wait), "{path}: {wait}");
    }
    let stats: Value = get_stats(&app, &reader).await.json().await.unwrap();
    assert_eq!(stats["received"], 8);
    app.stop().await;
}

/// What is left of a key's events after a body was answered, and how it was.
async fn left_after(
    app: &App,
    key: &ApiKey,
    path: &str,
    body: impl Into<reqwest::Body>,
) -> (StatusCode, i64) {
    let request = app.request("POST".parse().unwrap(), path);
    let request = request.bearer_auth(key.expose()).body(body);
    let answer = request.send().await.unwrap();
    let left = header(&answer, "ratelimit").split_once("\"events\";r=");
    let left = left.and_then(|(_, left)| left.split([',', ';']).next()?.parse().ok());
    (answer.status(), left.unwrap())
}

// At this rate nothing to speak of comes back while a test runs; 100 may be spent at once.
const RATE: &str = "events_per_second = 10";

#[tokio::test]
async fn events_that_are_not_valid_cost_as_much_as_others() {
    let key = ApiKey::generate().unwrap();
    let (_keys, app) = Keys::start(&[("key", &key, RATE)]).await;
    // What comes back within a second or two.
    let soon = 30;
    for path in ["/publish", "/ingest"] {
        let (status, left) = left_after(&app, &key, path, r#"[{"id":1},{"id":2}]"#).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!((90..100).contains(&left), "{path}: {left}");
    }
    let wrong = format!("[{}]", ["{}"; 80].join(","));
    let (status, left) = left_after(&app, &key, "/publish", wrong.clone()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(left <= soon, "{left}");
    // More than is left: it is judged all the same, as its work is done, and the rest is owed.
    let (status, left) = left_after(&app, &key, "/publish", wrong).await;
    assert_eq!((status, left), (StatusCode::BAD_REQUEST, 0));
    // Who owes is refused before anything is read.
    let (status, _) = left_after(&app, &key, "/publish", "nonsense").await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    let refused = send(&app, "/ingest", &key, 0, 1).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(header(&refused, "retry-after").parse::<u64>().unwrap() > 1);
    app.stop().await;
}

#[tokio::test]
async fn in_part_the_rejected_events_cost_as_the_accepted_and_a_body_that_is_none_costs_by_its_size()
 {
    let key = ApiKey::generate().unwrap();
    let small = "--max-event-bytes=1024";
    let (_keys, app) = Keys::start_with(&[("key", &key, RATE)], &[small]).await;
    let body = format!("[{}{{\"id\":\"good\"}}]", "{},".repeat(49));
    let (status, left) = left_after(&app, &key, "/publish?partial=true", body).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert!((50..60).contains(&left), "{left}");
    let (status, left) = left_after(&app, &key, "/publish", "nonsense").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!((49..70).contains(&left), "{left}");
    let (status, left) = left_after(&app, &key, "/publish", "x".repeat(40 * 1024)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!((9..40).contains(&left), "{left}");
    app.stop().await;
}

#[tokio::test]
async fn what_the_server_cannot_take_costs_neither_requests_nor_events() {
    let key = ApiKey::generate().unwrap();
    let rates = "events_per_second = 1\nrequests_per_second = 1";
    let keys = [("key", &key, rates)];
    let (_keys, app) = Keys::start_with(&keys, &["--queue-max-len=1"]).await;
    // More often than the rates allow.
    for _ in 0..30 {
        let refused = send(&app, "/publish", &key, 0, 5).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        let left = "\"requests\";r=10, \"events\";r=10";
        assert_eq!(header(&refused, "ratelimit"), left);
    }
    let taken = send(&app, "/publish", &key, 0, 1).await;
    assert_eq!(taken.status(), StatusCode::ACCEPTED);
    let left = "\"requests\";r=9, \"events\";r=9";
    assert_eq!(header(&taken, "ratelimit"), left);
    app.stop().await;
}

#[tokio::test]
async fn a_request_without_a_place_costs_nothing() {
    let key = ApiKey::generate().unwrap();
    let keys = [("key", &key, "requests_per_second = 1")];
    let (_keys, app) = Keys::start_with(&keys, &["--max-requests-in-flight=1"]).await;
    let unfinished = eventually("the place is taken", SOON, async || {
        let unfinished = Unfinished::with_key(&app, 1, Some(&key)).await;
        sleep(A_WHILE).await;
        let refused = get_stats(&app, &key).await.status() == StatusCode::SERVICE_UNAVAILABLE;
        refused.then_some(unfinished)
    })
    .await;
    for _ in 0..30 {
        let refused = get_stats(&app, &key).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    unfinished.finish().await;
    app.stop().await;
}

#[tokio::test]
async fn a_change_of_the_file_gives_no_fresh_start_but_a_new_rate_holds_at_once() {
    let key = ApiKey::generate().unwrap();
    let slow = "events_per_second = 1";
    let (keys, app) = Keys::start(&[("key", &key, slow)]).await;
    assert_eq!(
        send(&app, "/publish", &key, 0, 10).await.status(),
        StatusCode::ACCEPTED
    );

    let stranger = ApiKey::generate().unwrap();
    keys.write(&[("key", &key, slow), ("stranger", &stranger, "")]);
    eventually("the file was read again", SOON, async || {
        get_stats(&app, &stranger).await.status() == StatusCode::OK
    })
    .await;
    assert_eq!(
        send(&app, "/publish", &key, 10, 10).await.status(),
        StatusCode::TOO_MANY_REQUESTS
    );
    keys.write(&[("key", &key, "events_per_second = 1000")]);
    eventually("the new rate holds", SOON, async || {
        send(&app, "/publish", &key, 10, 10).await.status() == StatusCode::ACCEPTED
    })
    .await;
    app.stop().await;
}

/// A request to publish whose body of so many bytes has not come to its end.
struct Unfinished {
    stream: TcpStream,
}

impl Unfinished {
    async fn start(app: &App, bytes: usize) -> Self {
        Self::with_key(app, bytes, None).await
    }

    async fn with_key(app: &App, bytes: usize, key: Option<&ApiKey>) -> Self {
        let key = key.map(|key| format!("X-API-Key: {}\r\n", key.expose()));
        let key = key.unwrap_or_default();
        let address = app.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /publish HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             {key}Content-Length: {}\r\n\r\n",
            bytes + ID.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
            .write_all(" ".repeat(bytes).as_bytes())
            .await
            .unwrap();
        Self { stream }
    }

    async fn finish(mut self) -> String {
        self.stream.write_all(ID.as_bytes()).await.unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

const ID: &str = r#"{"id":"a"}"#;

#[tokio::test]
async fn more_bodies_than_memory_is_for_are_refused_until_others_are_answered() {
    const BODY: usize = 64 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let body = format!("--max-body-bytes={BODY}");
    // Less than one body needs does not count.
    let settings = [&*body, "--max-bytes-in-flight=1024", "--max-batch-events=1"];
    let app = standalone(&folder, &settings).await;

    let large = format!("{}{ID}", " ".repeat(BODY / 2));
    let unfinished = eventually("there is no room", SOON, async || {
        // It is refused itself, if it comes while the other is read.
        let unfinished = Unfinished::start(&app, BODY - 4096).await;
        sleep(A_WHILE).await;
        let refused =
            app.post("/publish", large.clone()).await.0 == StatusCode::SERVICE_UNAVAILABLE;
        refused.then_some(unfinished)
    })
    .await;
    let (_, problem) = app.post("/ingest", large.clone()).await;
    assert_eq!(problem["type"], "urn:event-aggregator:problem:overloaded");
    assert_eq!(app.post("/publish", ID).await.0, StatusCode::ACCEPTED);

    let answer = unfinished.finish().await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    eventually("there is room again", SOON, async || {
        app.post("/publish", large.clone()).await.0 == StatusCode::ACCEPTED
    })
    .await;
    app.stop().await;
}

#[tokio::test]
async fn more_requests_than_may_run_are_refused_but_health_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let app = standalone(&folder, &["--max-requests-in-flight=1"]).await;
    let unfinished = eventually("the place is taken", SOON, async || {
        // It is refused itself, if it comes while the other is answered.
        let unfinished = Unfinished::start(&app, 1).await;
        sleep(A_WHILE).await;
        let refused = app.get("/stats").await.0 == StatusCode::SERVICE_UNAVAILABLE;
        refused.then_some(unfinished)
    })
    .await;
    let response = app.request("GET".parse().unwrap(), "/stats").send().await;
    let response = response.unwrap();
    assert_eq!(header(&response, "retry-after"), "1");
    assert!(response.text().await.unwrap().contains("overloaded"));
    assert_eq!(app.get("/health").await.0, StatusCode::OK);

    unfinished.finish().await;
    eventually("the place is free", SOON, async || {
        app.get("/stats").await.0 == StatusCode::OK
    })
    .await;
    app.stop().await;
}

#[tokio::test]
async fn a_connection_too_many_gets_the_place_of_one_that_waits_and_of_none_that_has_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let app = standalone(&folder, &["--max-connections=1"]).await;
    let address = app.url.strip_prefix("http://").unwrap();
    // The bound is shared out to threads, one place at least for each.
    let threads = std::thread::available_parallelism().unwrap().get();
    let mut busy = Vec::new();
    for _ in 0..threads {
        busy.push(Unfinished::start(&app, 1).await);
        sleep(A_WHILE / 10).await;
    }
    let mut late = TcpStream::connect(address).await.unwrap();
    let request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    late.write_all(request).await.unwrap();
    let mut answer = [0; 12];
    let early = timeout(A_WHILE, late.read_exact(&mut answer)).await;
    assert!(early.is_err(), "it is served beside the others");
    for unfinished in busy {
        let answer = unfinished.finish().await;
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }
    timeout(SOON, late.read_exact(&mut answer))
        .await
        .expect("it is its turn")
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");

    // It waits for its next request now, and so do these.
    let mut silent = Vec::new();
    for _ in 0..2 * threads {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    assert_eq!(app.get("/health").await.0, StatusCode::OK);
    let mut rest = Vec::new();
    let ended = timeout(SOON, late.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "it keeps a place that others need");
    drop(silent);
    app.stop().await;
}
