//! Every format and encoding that is read, on both calls, and what is refused of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use futures_util::stream;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tests::app::{Answer, App, answer};

const PATHS: [&str; 2] = ["/publish", "/ingest"];
const ENCODINGS: [&str; 3] = ["identity", "gzip", "zstd"];
const GIBIBYTE: usize = 1 << 30;

async fn app() -> (App, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let database = format!(
        "--database-url=sqlite://{}/events.db",
        folder.path().display()
    );
    let limits = ["--max-batch-events=1000", "--max-body-bytes=2097152"];
    let app = App::standalone(&[&[database.as_str(), "--redis-url="], limits.as_slice()].concat());
    app.ready().await;
    (app, folder)
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

#[tokio::test]
async fn every_format_in_every_encoding_is_the_same_event() {
    let (app, _folder) = app().await;
    for (path, success) in [
        ("/publish", StatusCode::ACCEPTED),
        ("/ingest", StatusCode::OK),
    ] {
        for encoding in ENCODINGS {
            let topic = format!("{}-{encoding}", &path[1..]);
            let all = in_every_format(&topic);
            for sent in &all {
                let (status, body) = answer(sent.request(&app, path, encoding)).await;
                assert_eq!(status, success, "{} {encoding}: {body}", sent.body);
                assert!(body.get("errors").is_none(), "{body}");
            }
            let found = stored(&app, &topic).await;
            assert_eq!(found.len(), all.len(), "{topic}: {found:?}");
            for event in found {
                assert_eq!(event["payload"], json!({"n": 1}), "{event}");
            }
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn one_event_alone_is_answered_alone_and_a_list_as_a_list() {
    let (app, _folder) = app().await;
    let lists = [
        false, true, true, true, true, true, true, false, true, false,
    ];
    for (sent, list) in in_every_format("shape").iter().zip(lists) {
        let (_, answer) = sent.to(&app, "/ingest").await;
        assert_eq!(
            answer["results"].is_array(),
            list,
            "{}: {answer}",
            sent.body
        );
        assert_eq!(
            answer["event_id"].is_string(),
            !list,
            "{}: {answer}",
            sent.body
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn lines_are_read_in_whatever_pieces_they_arrive() {
    let (app, _folder) = app().await;
    let lines: Vec<_> = (0..1000)
        .map(|n| format!("{{\"id\":\"e-{n}\"}}\r\n"))
        .collect();
    let body = lines.concat();
    for encoding in ENCODINGS {
        let body = encoded(encoding, body.as_bytes());
        let pieces: Vec<_> = body
            .chunks(997)
            .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
            .collect();
        let request = app
            .request(Method::POST, "/publish")
            .header("content-type", "application/x-ndjson")
            .header("content-encoding", encoding)
            .body(reqwest::Body::wrap_stream(stream::iter(pieces)));
        let (status, body) = answer(request).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{encoding}: {body}");
        assert_eq!(body["count"], 1000, "{encoding}: {body}");
    }
    assert_eq!(app.stats().await["unique_processed"], 1000);
    app.stop().await;
}

#[tokio::test]
async fn a_wrong_line_is_told_by_index_pointer_and_line_number() {
    let (app, _folder) = app().await;
    let body = "{\"id\":\"a\"}\n\n{\"id\":1}\nnonsense\n{\"id\":\"b\"}\n";
    for path in PATHS {
        let answer = Sent::new("application/x-ndjson", body).to(&app, path).await;
        assert_eq!(answer.0, StatusCode::BAD_REQUEST, "{}", answer.1);
        assert_eq!(
            answer.1["errors"],
            json!([
                {"index": 1, "pointer": "/id", "detail": "id must be a string, got a number (line 3)"},
                {"index": 2, "pointer": "", "detail": "the line is not JSON at column 2: only true, false and null are words (line 4)"},
            ])
        );
        let empty = Sent::new("application/x-ndjson", "\n\r\n")
            .to(&app, path)
            .await;
        assert_eq!(empty.0, StatusCode::BAD_REQUEST);
        let many = Sent::new("application/x-ndjson", "{\"id\":\"a\"}\n".repeat(1001));
        let many = many.to(&app, path).await;
        assert_eq!(many.0, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(
            detail(&many).contains("1001 events; at most 1000"),
            "{}",
            many.1
        );
    }
    assert_eq!(app.stats().await["received"], 0);
    app.stop().await;
}

#[tokio::test]
async fn a_cloudevent_comes_back_with_everything_it_had() {
    let (app, _folder) = app().await;
    let structured = json!({
        "specversion": "1.0", "type": "com.example.someevent", "source": "/mycontext",
        "id": "C234-1234-1234", "time": "2018-04-05T17:31:00Z", "subject": "x",
        "comexampleextension1": "value", "comexampleothervalue": 5, "unsetextension": null,
        "datacontenttype": "application/json", "data": {"appinfoA": "abc", "appinfoB": 123},
    });
    let sent = Sent::new("application/cloudevents+json", structured.to_string());
    assert_eq!(sent.to(&app, "/ingest").await.0, StatusCode::OK);
    let (_, event) = app
        .get("/events/com.example.someevent/C234-1234-1234")
        .await;
    assert_eq!(event["source"], "/mycontext");
    assert_eq!(event["timestamp"], "2018-04-05T17:31:00Z");
    assert_eq!(
        event["payload"],
        json!({
            "appinfoA": "abc", "appinfoB": 123,
            "cloudevents": {
                "comexampleextension1": "value", "comexampleothervalue": 5, "subject": "x",
            },
        })
    );

    let binary = Sent::new("text/plain", "Grüße")
        .with("ce-specversion", "1.0")
        .with("ce-type", "greeting")
        .with("ce-source", "/s")
        .with("ce-id", "1")
        .with("Ce-Subject", "Euro%20%E2%82%AC%20%F0%9F%98%80");
    assert_eq!(binary.to(&app, "/ingest").await.0, StatusCode::OK);
    let (_, event) = app.get("/events/greeting/1").await;
    assert_eq!(
        event["payload"],
        json!({
            "data": "Grüße",
            "cloudevents": {"datacontenttype": "text/plain", "subject": "Euro € 😀"},
        })
    );
    app.stop().await;
}

#[tokio::test]
async fn a_cloudevent_without_a_required_attribute_names_it() {
    let (app, _folder) = app().await;
    let whole = json!({"specversion": "1.0", "type": "t", "source": "/s", "id": "1"});
    for path in PATHS {
        for name in ["specversion", "type", "source", "id"] {
            let mut event = whole.clone();
            event.as_object_mut().unwrap().remove(name);
            let mut binary = Sent::new("application/json", "{}");
            for (header, value) in [
                ("ce-specversion", "1.0"),
                ("ce-type", "t"),
                ("ce-source", "/s"),
                ("ce-id", "1"),
            ] {
                if !header.ends_with(name) {
                    binary = binary.with(header, value);
                }
            }
            for (sent, named) in [
                (
                    Sent::new("application/cloudevents+json", event.to_string()),
                    name.to_owned(),
                ),
                (
                    Sent::new(
                        "application/cloudevents-batch+json",
                        json!([whole, event]).to_string(),
                    ),
                    format!("event 1: {name}"),
                ),
                (binary, format!("ce-{name}")),
            ] {
                let answer = sent.to(&app, path).await;
                assert_eq!(answer.0, StatusCode::BAD_REQUEST, "{}", answer.1);
                assert!(
                    detail(&answer).contains(&format!("{named} is missing")),
                    "{}",
                    answer.1
                );
            }
        }
    }
    assert_eq!(app.stats().await["received"], 0);
    app.stop().await;
}

#[tokio::test]
async fn a_batch_of_no_cloudevents_is_accepted_as_the_specification_has_it() {
    let (app, _folder) = app().await;
    let empty = Sent::new("application/cloudevents-batch+json", "[]");
    let (status, body) = empty.to(&app, "/publish").await;
    assert_eq!((status, &body["count"]), (StatusCode::ACCEPTED, &json!(0)));
    let (status, body) = empty.to(&app, "/ingest").await;
    assert_eq!((status, &body["results"]), (StatusCode::OK, &json!([])));
    app.stop().await;
}

#[tokio::test]
async fn what_is_not_read_is_answered_with_what_is() {
    let (app, _folder) = app().await;
    for (header, value, accept, named) in [
        (
            "content-type",
            "text/csv",
            "accept",
            "application/cloudevents+json",
        ),
        ("content-encoding", "br", "accept-encoding", "zstd"),
    ] {
        let request = app.request(Method::POST, "/publish").header(header, value);
        let response = request.body("x").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert!(response.headers()[accept].to_str().unwrap().contains(named));
        let problem: Value = response.json().await.unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&format!(
            "is {value:?}, which is not read here; send one of: "
        )));
        assert!(detail.contains(named), "{detail}");
    }
    app.stop().await;
}

#[tokio::test]
async fn lines_that_say_they_are_json_are_told_their_media_type() {
    let (app, _folder) = app().await;
    for path in PATHS {
        let lines = Sent::new("application/json", "{\"id\":\"a\"}\n{\"id\":\"b\"}\n");
        let answer = lines.to(&app, path).await;
        assert_eq!(answer.0, StatusCode::BAD_REQUEST);
        assert!(detail(&answer).contains("Content-Type: application/x-ndjson"));
    }
    app.stop().await;
}

#[tokio::test]
async fn optional_members_that_are_null_are_as_absent_ones() {
    let (app, _folder) = app().await;
    let event = json!({
        "topic": "t", "event_id": "1", "id": null, "timestamp": null, "source": null, "payload": null,
    });
    let cloud_event = json!({
        "specversion": "1.0", "type": "t", "source": "unknown", "id": "2", "time": null, "subject": null,
        "datacontenttype": null, "dataschema": null, "extension": null, "data_base64": null,
    });
    for sent in [
        Sent::new("application/json", event.to_string()),
        Sent::new("application/cloudevents+json", cloud_event.to_string()),
    ] {
        assert_eq!(sent.to(&app, "/ingest").await.0, StatusCode::OK);
    }
    for event in stored(&app, "t").await {
        assert_eq!(event["source"], "unknown");
        assert_eq!(event["payload"], json!({}));
    }
    app.stop().await;
}

#[tokio::test]
async fn a_unix_time_is_answered_with_the_same_instant_as_it_should_be_written() {
    let (app, _folder) = app().await;
    for (time, written) in [
        ("1769862600123", "2026-01-31T12:30:00.123Z"),
        ("\"1769862600123\"", "2026-01-31T12:30:00.123Z"),
        ("1769862600.5", "2026-01-31T12:30:00.500Z"),
    ] {
        let event = format!(r#"{{"id":"1","timestamp":{time}}}"#);
        let answer = app.post("/publish", event).await;
        assert_eq!(answer.0, StatusCode::BAD_REQUEST);
        assert!(detail(&answer).ends_with(&format!("send {written}")));
    }
    let answer = app.get("/events?since=1769862600123").await;
    assert!(detail(&answer).ends_with("send 2026-01-31T12:30:00.123Z"));
    app.stop().await;
}

#[tokio::test]
async fn an_error_says_each_thing_once() {
    let (app, _folder) = app().await;
    let (_, alone) = app.post("/publish", r#"{"id":1}"#).await;
    let what = "id must be a string, got a number";
    assert_eq!(alone["detail"], what);
    let told = json!([{"index": 0, "pointer": "/id", "detail": what}]);
    assert_eq!(alone["errors"], told);
    let (_, second) = app.post("/publish", r#"[{"id":"a"},{"id":1}]"#).await;
    assert_eq!(second["detail"], format!("event 1: {what}"));
    let told = json!([{"index": 1, "pointer": "/1/id", "detail": what}]);
    assert_eq!(second["errors"], told);
    let (_, several) = app.post("/publish", r#"[{"id":"a"},{"id":1},7]"#).await;
    let expected = format!("2 events of 3 are not valid; the first is event 1: {what}");
    assert_eq!(several["detail"], expected);
    app.stop().await;
}

/// Zeros as zstd: blocks that say "this byte, so often", in a window of 128 KiB.
fn zstd_zeros(len: usize) -> Vec<u8> {
    const BLOCK: usize = 128 * 1024;
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 7 << 3];
    for left in (0..len / BLOCK).rev() {
        let header = (BLOCK << 3) | (1 << 1) | usize::from(left == 0);
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

#[tokio::test]
async fn a_gibibyte_in_a_small_body_is_too_large() {
    let (app, _folder) = app().await;
    let member = gzip(&vec![0; 1 << 20]);
    let bombs = [
        ("gzip", member.repeat(GIBIBYTE >> 20)),
        ("zstd", zstd_zeros(GIBIBYTE)),
    ];
    for path in PATHS {
        for (encoding, bomb) in &bombs {
            for media_type in ["application/json", "application/x-ndjson"] {
                let request = app
                    .request(Method::POST, path)
                    .header("content-type", media_type)
                    .header("content-encoding", *encoding)
                    .body(bomb.clone());
                let answer = answer(request).await;
                assert_eq!(
                    answer.0,
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "{encoding}: {}",
                    answer.1
                );
                assert!(detail(&answer).contains("2097152 bytes"), "{}", answer.1);
            }
        }
    }
    assert_eq!(app.stats().await["received"], 0);
    app.stop().await;
}

#[tokio::test]
async fn a_body_that_is_cut_or_not_of_its_encoding_is_refused_as_a_whole() {
    let (app, _folder) = app().await;
    let lines = "{\"id\":\"a\"}\n".repeat(100);
    for path in ["/publish", "/ingest", "/publish?partial=true"] {
        for encoding in ["gzip", "zstd"] {
            let whole = encoded(encoding, lines.as_bytes());
            let cut = &whole[..whole.len() - 3];
            let trailing = [&whole[..], b"garbage, more than a header of any kind"].concat();
            for body in [cut, lines.as_bytes(), &trailing, b""] {
                let request = app
                    .request(Method::POST, path)
                    .header("content-type", "application/x-ndjson")
                    .header("content-encoding", encoding)
                    .body(body.to_vec());
                let answer = answer(request).await;
                assert_eq!(
                    answer.0,
                    StatusCode::BAD_REQUEST,
                    "{encoding}: {}",
                    answer.1
                );
                assert!(detail(&answer).contains("Content-Encoding"), "{}", answer.1);
            }
        }
    }
    assert_eq!(app.stats().await["received"], 0);
    app.stop().await;
}

#[tokio::test]
async fn members_of_a_gzip_file_follow_each_other() {
    let (app, _folder) = app().await;
    let body = [gzip(b"{\"id\":\"a\"}\n{\"id"), gzip(b"\":\"b\"}")].concat();
    let request = app
        .request(Method::POST, "/publish")
        .header("content-type", "application/x-ndjson")
        .header("content-encoding", "gzip")
        .body(body);
    let (status, body) = answer(request).await;
    assert_eq!((status, &body["count"]), (StatusCode::ACCEPTED, &json!(2)));
    app.stop().await;
}

#[tokio::test]
async fn in_part_the_valid_events_are_accepted_and_the_others_listed() {
    let (app, _folder) = app().await;
    let bodies = |id: &str| {
        [
            Sent::new(
                "application/json",
                format!(r#"[{{"id":"{id}-0"}},{{"id":1}},{{"id":"{id}-2"}},3]"#),
            ),
            Sent::new(
                "application/x-ndjson",
                format!("{{\"id\":\"{id}-0\"}}\n{{\"id\":1}}\n{{\"id\":\"{id}-2\"}}\n3"),
            ),
            Sent::new(
                "application/cloudevents-batch+json",
                format!(
                    r#"[{{"specversion":"1.0","type":"default","source":"s","id":"{id}-0"}},{{"id":1}},{{"specversion":"1.0","type":"default","source":"s","id":"{id}-2"}},3]"#
                ),
            ),
        ]
    };
    for (n, sent) in bodies("publish").iter().enumerate() {
        let (status, body) = sent.to(&app, "/publish?partial=true").await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        assert_eq!(
            (
                &body["status"],
                &body["count"],
                &body["accepted"],
                &body["rejected"]
            ),
            (&json!("accepted"), &json!(4), &json!(2), &json!(2))
        );
        let indexes: Vec<_> = body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| &e["index"])
            .collect();
        assert_eq!(indexes, [1, 3], "{body}");
        assert_eq!(app.stats().await["received"], 2 * (n + 1));
    }
    for sent in &bodies("ingest") {
        let (status, body) = sent.to(&app, "/ingest?partial=true").await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let ids: Vec<_> = body["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| &r["event_id"])
            .collect();
        assert_eq!(ids, ["ingest-0", "ingest-2"], "{body}");
        assert_eq!(body["rejected"], 2);
        assert_eq!(body["errors"].as_array().unwrap().len(), 2);
    }
    for sent in &bodies("whole") {
        for path in ["/publish", "/publish?partial=false", "/ingest"] {
            assert_eq!(sent.to(&app, path).await.0, StatusCode::BAD_REQUEST);
        }
    }
    assert_eq!(app.stats().await["unique_processed"], 4);
    app.stop().await;
}

#[tokio::test]
async fn in_part_nothing_valid_is_a_problem_and_nothing_wrong_is_as_without() {
    let (app, _folder) = app().await;
    for path in PATHS {
        let partial = format!("{path}?partial=true");
        let (status, body) = app.post(&partial, r#"[{"id":1},{"id":2}]"#).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(body["errors"].as_array().unwrap().len(), 2);
        let (status, body) = app.post(&partial, r#"[{"id":"1"}]"#).await;
        assert!(status.is_success(), "{body}");
        assert!(body.get("errors").is_none(), "{body}");
    }
    app.stop().await;
}

#[tokio::test]
async fn of_many_wrong_events_all_are_counted_and_some_listed() {
    let (app, _folder) = app().await;
    let body = format!("{{\"id\":\"good\"}}\n{}", "{}\n".repeat(999));
    let sent = Sent::new("application/x-ndjson", body);
    let (status, body) = sent.to(&app, "/publish?partial=true").await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    assert_eq!(
        (&body["accepted"], &body["rejected"]),
        (&json!(1), &json!(999))
    );
    assert_eq!(body["errors"].as_array().unwrap().len(), 100);
    app.stop().await;
}

#[tokio::test]
async fn another_parameter_is_refused_by_its_name() {
    let (app, _folder) = app().await;
    for path in PATHS {
        for (query, named) in [
            ("partial=yes", "partial"),
            ("partial=", "partial"),
            ("partial=true&partial=true", "partial"),
            ("dry_run=true", "dry_run"),
        ] {
            let answer = app.post(&format!("{path}?{query}"), r#"{"id":"1"}"#).await;
            assert_eq!(answer.0, StatusCode::BAD_REQUEST, "{query}");
            assert_eq!(
                answer.1["type"],
                "urn:event-aggregator:problem:invalid-parameter"
            );
            assert!(detail(&answer).contains(named), "{}", answer.1);
        }
    }
    assert_eq!(app.stats().await["received"], 0);
    app.stop().await;
}
