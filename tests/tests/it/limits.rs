//! Rates of keys, and how much a server takes on at once.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tests::{
    SOON,
    app::{App, header},
    eventually,
    keys::KeysFile,
    raw::{self, Raw},
};
use tokio::time::sleep;

/// Long enough to see that nothing happens.
const A_WHILE: Duration = Duration::from_millis(500);
/// What every key here may do.
const SCOPES: &str = "scopes = [\"publish\", \"read\"]";
/// No key here may send as many requests or events at once.
const OVER_EVERY_RATE: usize = 30;

/// The standalone program with one key, which has these rates.
async fn with_key(rates: &str, more: &[&str]) -> (App, KeysFile, String) {
    let mut keys = KeysFile::default();
    let key = keys.add("key", &format!("{SCOPES}\n{rates}"));
    keys.write();
    let app = App::over_sqlite(&[&[keys.argument().as_str()], more].concat()).await;
    (app, keys, key)
}

async fn get_stats(app: &App, key: &str) -> Response {
    let request = app.request(Method::GET, "/stats");
    request.bearer_auth(key).send().await.unwrap()
}

async fn send(app: &App, path: &str, key: &str, first: u32, count: u32) -> Response {
    let events: Vec<Value> = (first..first + count)
        .map(|id| json!({"topic": "t", "event_id": id.to_string()}))
        .collect();
    let request = app.request(Method::POST, path);
    let request = request.bearer_auth(key).json(&events);
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_key_that_has_used_up_its_requests_is_told_when_to_come_back_and_is_let_in_then() {
    let mut keys = KeysFile::default();
    let slow = keys.add("slow", &format!("{SCOPES}\nrequests_per_second = 1"));
    let fast = keys.add("fast", SCOPES);
    keys.write();
    let app = App::over_sqlite(&[&keys.argument()]).await;

    let first = get_stats(&app, &slow).await;
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(header(&first, "ratelimit-policy"), "\"requests\";q=10;w=10");
    assert_eq!(header(&first, "ratelimit"), "\"requests\";r=9");
    let mut answer = first;
    for _ in 0..OVER_EVERY_RATE {
        answer = get_stats(&app, &slow).await;
        if answer.status() != StatusCode::OK {
            break;
        }
    }
    let refused = answer;
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
async fn a_key_that_has_used_up_its_events_publishes_nothing_more_on_either_route() {
    let mut keys = KeysFile::default();
    // At this rate nothing to speak of comes back while the test runs.
    let key = keys.add("key", &format!("{SCOPES}\nevents_per_second = 1"));
    let reader = keys.add("reader", SCOPES);
    keys.write();
    let app = App::over_sqlite(&[&keys.argument()]).await;

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
    key: &str,
    path: &str,
    body: impl Into<reqwest::Body>,
) -> (StatusCode, i64) {
    let request = app.request(Method::POST, path);
    let request = request.bearer_auth(key).body(body);
    let answer = request.send().await.unwrap();
    let left = header(&answer, "ratelimit").split_once("\"events\";r=");
    let left = left.and_then(|(_, left)| left.split([',', ';']).next()?.parse().ok());
    (answer.status(), left.unwrap())
}

// At this rate nothing to speak of comes back while a test runs; 100 may be spent at once.
const RATE: &str = "events_per_second = 10";

#[tokio::test]
async fn events_that_are_not_valid_cost_as_much_as_others() {
    let (app, _keys, key) = with_key(RATE, &[]).await;
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
async fn rejected_events_of_a_batch_cost_as_much_as_accepted_ones_and_what_is_not_a_batch_costs_by_its_size()
 {
    let (app, _keys, key) = with_key(RATE, &["--max-event-bytes=1024"]).await;
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
async fn what_the_server_refuses_for_itself_costs_neither_requests_nor_events() {
    let rates = "events_per_second = 1\nrequests_per_second = 1";
    let (app, _keys, key) = with_key(rates, &["--queue-max-len=1"]).await;
    for _ in 0..OVER_EVERY_RATE {
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
    let one_at_once = ["--max-requests-in-flight=1"];
    let (app, _keys, key) = with_key("requests_per_second = 1", &one_at_once).await;
    let unfinished = eventually("the place is taken", SOON, async || {
        let unfinished = Unfinished::start(&app, 1, Some(&key)).await;
        sleep(A_WHILE).await;
        let refused = get_stats(&app, &key).await.status() == StatusCode::SERVICE_UNAVAILABLE;
        refused.then_some(unfinished)
    })
    .await;
    for _ in 0..OVER_EVERY_RATE {
        let refused = get_stats(&app, &key).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    unfinished.finish().await;
    app.stop().await;
}

#[tokio::test]
async fn a_change_of_the_file_forgets_no_use_but_a_new_rate_counts_at_once() {
    let (app, mut keys, key) = with_key("events_per_second = 1", &[]).await;
    assert_eq!(
        send(&app, "/publish", &key, 0, 10).await.status(),
        StatusCode::ACCEPTED
    );

    let stranger = keys.add("stranger", SCOPES);
    keys.write();
    eventually("the file was read again", SOON, async || {
        get_stats(&app, &stranger).await.status() == StatusCode::OK
    })
    .await;
    assert_eq!(
        send(&app, "/publish", &key, 10, 10).await.status(),
        StatusCode::TOO_MANY_REQUESTS
    );
    keys.change("key", "events_per_second = 1", "events_per_second = 1000");
    keys.write();
    eventually("the new rate holds", SOON, async || {
        send(&app, "/publish", &key, 10, 10).await.status() == StatusCode::ACCEPTED
    })
    .await;
    app.stop().await;
}

/// A request to publish whose body of so many bytes has not come to its end.
struct Unfinished(Raw);

impl Unfinished {
    async fn start(app: &App, bytes: usize, key: Option<&str>) -> Self {
        let key = key.map(|key| format!("X-API-Key: {key}\r\n"));
        let headers = format!(
            "{}Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}",
            key.unwrap_or_default(),
            bytes + ID.len()
        );
        let mut client = Raw::to(app).await;
        client
            .send(raw::post_with("/publish", &headers, &" ".repeat(bytes)))
            .await;
        Self(client)
    }

    async fn finish(mut self) -> String {
        self.0.send(ID).await;
        self.0.rest().await
    }
}

const ID: &str = r#"{"id":"a"}"#;

#[tokio::test]
async fn bodies_that_memory_has_no_room_for_are_refused_until_others_are_answered() {
    const BODY: usize = 64 * 1024;
    let body = format!("--max-body-bytes={BODY}");
    // Less than one body needs does not count.
    let settings = [&*body, "--max-bytes-in-flight=1024", "--max-batch-events=1"];
    let app = App::over_sqlite(&settings).await;

    let large = format!("{}{ID}", " ".repeat(BODY / 2));
    let unfinished = eventually("there is no room", SOON, async || {
        // It is refused itself, if it comes while the other is read.
        let unfinished = Unfinished::start(&app, BODY - 4096, None).await;
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
async fn requests_over_the_limit_are_refused_but_health_is_answered() {
    let app = App::over_sqlite(&["--max-requests-in-flight=1"]).await;
    let unfinished = eventually("the place is taken", SOON, async || {
        // It is refused itself, if it comes while the other is answered.
        let unfinished = Unfinished::start(&app, 1, None).await;
        sleep(A_WHILE).await;
        let refused = app.get("/stats").await.0 == StatusCode::SERVICE_UNAVAILABLE;
        refused.then_some(unfinished)
    })
    .await;
    let response = app.request(Method::GET, "/stats").send().await;
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
async fn one_connection_too_many_gets_the_place_of_one_that_waits_and_never_of_one_with_a_request()
{
    let app = App::over_sqlite(&["--max-connections=1"]).await;
    // The bound is shared out to threads, one place at least for each.
    let threads = std::thread::available_parallelism().unwrap().get();
    let mut busy = Vec::new();
    for _ in 0..threads {
        busy.push(Unfinished::start(&app, 1, None).await);
        sleep(A_WHILE / 10).await;
    }
    let mut late = Raw::to(&app).await;
    late.send(raw::get("/health")).await;
    let early = late.status(A_WHILE).await;
    assert_eq!(early, None, "it is served beside the others");
    for unfinished in busy {
        let answer = unfinished.finish().await;
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }
    assert_eq!(late.status(SOON).await, Some(200), "it is its turn");

    // It waits for its next request now, and so do these.
    let mut silent = Vec::new();
    for _ in 0..2 * threads {
        silent.push(Raw::to(&app).await);
    }
    assert_eq!(app.get("/health").await.0, StatusCode::OK);
    let ended = late.ends(SOON).await;
    assert!(ended, "it keeps a place that others need");
    drop(silent);
    app.stop().await;
}
