//! Whatever clients send that is wrong is answered with a problem that says what would be right;
//! nothing of it is stored, and the server goes on.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::app::{Answer, App, answer};

const PATHS: [&str; 2] = ["/publish", "/ingest"];

async fn app() -> App {
    App::over_sqlite(&[
        "--max-body-bytes=4096",
        "--max-batch-events=5",
        "--max-event-bytes=1024",
    ])
    .await
}

/// It is a problem of this status, which names what it should.
fn assert_problem((status, body): &Answer, expected: StatusCode, named: &str, case: &str) {
    assert_eq!(*status, expected, "{case}: {body}");
    assert_eq!(body["status"], expected.as_u16(), "{case}: {body}");
    let kind = body["type"].as_str().unwrap_or_default();
    assert!(
        kind.starts_with("urn:event-aggregator:problem:"),
        "{case}: {body}"
    );
    assert!(body["title"].is_string(), "{case}: {body}");
    let detail = body["detail"].as_str().unwrap_or_default();
    assert!(
        detail.contains(named),
        "{case}: {detail:?} does not name {named:?}"
    );
}

async fn assert_nothing_stored(app: &App) {
    let stats = app.stats().await;
    assert_eq!(
        (&stats["received"], &stats["queue"]["pending"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(app.get("/events").await.1["count"], 0);
}

#[tokio::test]
async fn a_body_that_is_not_a_batch_is_answered_with_what_is_wrong() {
    let app = app().await;
    let deep = "[".repeat(4000);
    let cases: [(&str, &str); 13] = [
        ("", "empty"),
        (" \r\n\t", "empty"),
        ("{", "JSON"),
        ("{\"topic\":\"a\",\"event_id\":\"1\"", "JSON"),
        ("{\"topic\":\"a\",\"event_id\":\"1\"} x", "JSON"),
        ("[{\"topic\":\"a\",\"event_id\":\"1\"},]", "JSON"),
        ("nonsense", "JSON"),
        ("[]", "at least one"),
        ("{\"events\":[]}", "at least one"),
        ("{\"events\":\"x\"}", "array"),
        ("{\"events\":[{\"id\":\"1\"}],\"more\":1}", "more"),
        ("\"text\"", "array"),
        (&deep, "JSON"),
    ];
    for path in PATHS {
        for (body, named) in cases {
            let answer = app.post(path, body.to_owned()).await;
            assert_problem(&answer, StatusCode::BAD_REQUEST, named, body);
        }
        let answer = app.post(path, b"{\"id\":\"\xff\"}".to_vec()).await;
        assert_problem(&answer, StatusCode::BAD_REQUEST, "UTF-8", "not UTF-8");
    }
    assert_nothing_stored(&app).await;
    app.stop().await;
}

/// Events, where they are wrong, and what the answer must name.
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn wrong_events() -> Vec<(String, &'static str, &'static str)> {
    let deep = format!(
        r#"{{"topic":"a","event_id":"1","payload":{{"a":{}{}}}}}"#,
        "[".repeat(128),
        "]".repeat(128)
    );
    let long_id = format!(r#"{{"topic":"a","event_id":"{}"}}"#, "x".repeat(256));
    let cases = [
        (r"{}", "/topic", "topic"),
        ("7", "", "object"),
        ("null", "", "object"),
        (r#"{"event_id":"1"}"#, "/topic", "topic"),
        (r#"{"topic":"a"}"#, "/event_id", "event_id"),
        (r#"{"topic":"a","event_id":""}"#, "/event_id", "empty"),
        (r#"{"topic":"","event_id":"1"}"#, "/topic", "empty"),
        (&long_id, "/event_id", "255"),
        (r#"{"topic":"a","event_id":123}"#, "/event_id", "string"),
        (r#"{"topic":null,"event_id":"1"}"#, "/topic", "string"),
        (
            r#"{"topic":"a","event_id":"1","source":{}}"#,
            "/source",
            "string",
        ),
        (
            r#"{"topic":"a","event_id":"1","payload":"x"}"#,
            "/payload",
            "object",
        ),
        (
            r#"{"topic":"a","event_id":"1","payload":[]}"#,
            "/payload",
            "object",
        ),
        (
            r#"{"topic":"a","event_id":"1","colour":"red"}"#,
            "/colour",
            "colour",
        ),
        (r#"{"topic":"a","id":"1","event_id":"1"}"#, "id", "id"),
        (
            r#"{"topic":"a","topic":"a","event_id":"1"}"#,
            "/topic",
            "topic",
        ),
        (
            r#"{"topic":"a","event_id":"1","payload":{"k":1,"k":2}}"#,
            "/payload",
            "name",
        ),
        (
            r#"{"topic":"a","event_id":"1","timestamp":"yesterday"}"#,
            "/timestamp",
            "timestamp",
        ),
        (
            r#"{"topic":"a","event_id":"1","timestamp":"2026-01-01"}"#,
            "/timestamp",
            "timestamp",
        ),
        (
            r#"{"topic":"a","event_id":"1","timestamp":"2026-02-30T00:00:00Z"}"#,
            "/timestamp",
            "timestamp",
        ),
        (
            r#"{"topic":"a","event_id":"1","timestamp":1767225600}"#,
            "/timestamp",
            "2026-01-01T00:00:00Z",
        ),
        (
            r#"{"topic":"a","event_id":"a\u0000b"}"#,
            "/event_id",
            "U+0000",
        ),
        (r#"{"topic":"a\nb","event_id":"1"}"#, "/topic", "U+000A"),
        (
            r#"{"topic":"a","event_id":"1","payload":{"x":"\u0000"}}"#,
            "/payload",
            "U+0000",
        ),
        (
            r#"{"topic":"a","event_id":"1","payload":{"\u0000":1}}"#,
            "/payload",
            "U+0000",
        ),
        (
            r#"{"topic":"a","event_id":"1","payload":{"x":"\ud800"}}"#,
            "/payload",
            "surrogate",
        ),
        (
            r#"{"topic":"a","event_id":"1","payload":{"x":"\udc00\ud800"}}"#,
            "/payload",
            "surrogate",
        ),
        (
            r#"{"topic":"a","event_id":"\ud800"}"#,
            "/event_id",
            "surrogate",
        ),
        (
            r#"{"topic":"a","event_id":"1","payload":{"x":1e131072}}"#,
            "/payload",
            "number",
        ),
        (
            r#"{"topic":"a","event_id":"1","payload":{"x":1e-16384}}"#,
            "/payload",
            "number",
        ),
        (&deep, "/payload", "128"),
    ];
    cases
        .map(|(event, pointer, named)| (event.to_owned(), pointer, named))
        .into()
}

#[tokio::test]
async fn an_event_that_is_not_valid_is_named_with_its_place_in_the_batch() {
    let app = app().await;
    let cases = wrong_events();
    for path in PATHS {
        for (event, pointer, named) in &cases {
            let batch = format!(r#"[{{"topic":"a","event_id":"good"}},{event}]"#);
            let answer = app.post(path, batch).await;
            assert_problem(&answer, StatusCode::BAD_REQUEST, named, event);
            let error = &answer.1["errors"][0];
            assert_eq!(error["index"], 1, "{event}: {error}");
            let found = error["pointer"].as_str().unwrap();
            assert!(
                found.starts_with("/1") && found.contains(pointer),
                "{event}: {error}"
            );
            assert_eq!(answer.1["errors"].as_array().unwrap().len(), 1, "{event}");

            let alone = app.post(path, event.clone()).await;
            assert_eq!(alone.0, StatusCode::BAD_REQUEST, "{event}: {}", alone.1);
        }
    }
    assert_nothing_stored(&app).await;
    app.stop().await;
}

#[tokio::test]
async fn every_wrong_event_of_a_batch_is_named() {
    let app = app().await;
    let batch = r#"{"events":[{"id":1},{"id":"fine"},{"id":""}]}"#;
    let answer = app.post("/publish", batch).await;
    assert_problem(&answer, StatusCode::BAD_REQUEST, "2 events", batch);
    let named: Vec<Value> = answer.1["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| json!([error["index"], error["pointer"]]))
        .collect();
    assert_eq!(
        named,
        [json!([0, "/events/0/id"]), json!([2, "/events/2/id"])]
    );
    app.stop().await;
}

#[tokio::test]
async fn what_is_over_a_limit_is_refused_with_the_limit() {
    let app = app().await;
    let event = |size: usize| {
        let frame = r#"{"id":"1","payload":{"x":""}}"#.len();
        format!(
            r#"{{"id":"1","payload":{{"x":"{}"}}}}"#,
            "x".repeat(size - frame)
        )
    };
    for path in PATHS {
        let too_large = app.post(path, event(1025)).await;
        assert_problem(
            &too_large,
            StatusCode::PAYLOAD_TOO_LARGE,
            "1024",
            "an event",
        );
        let written_out = app.post(path, r#"{"id":"1","payload":{"x":1e2000}}"#).await;
        assert_problem(
            &written_out,
            StatusCode::PAYLOAD_TOO_LARGE,
            "1024",
            "a number",
        );
        let many = format!("[{}]", [r#"{"id":"1"}"#; 6].join(","));
        let too_many = app.post(path, many).await;
        assert_problem(&too_many, StatusCode::PAYLOAD_TOO_LARGE, "5", "a batch");
        let body = app.post(path, " ".repeat(4097)).await;
        assert_problem(&body, StatusCode::PAYLOAD_TOO_LARGE, "4096", "a body");
        let unannounced = reqwest::Body::wrap_stream(futures_util::stream::iter(
            (0..100).map(|_| Ok::<_, std::io::Error>(vec![b' '; 100])),
        ));
        let streamed = app.post(path, unannounced).await;
        assert_problem(&streamed, StatusCode::PAYLOAD_TOO_LARGE, "4096", "a stream");
    }
    assert_nothing_stored(&app).await;
    let (status, _) = app.post("/ingest", event(1024)).await;
    assert_eq!(status, StatusCode::OK, "the limit itself is allowed");
    app.stop().await;
}

#[tokio::test]
async fn media_types_and_encodings_that_are_not_read_are_answered_with_those_that_are() {
    let app = app().await;
    let unsupported = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    for path in PATHS {
        let send = |name: &'static str, value: &'static str| {
            answer(
                app.request(Method::POST, path)
                    .header(name, value)
                    .body(r#"{"id":"1"}"#),
            )
        };
        for media_type in [
            "application/x-www-form-urlencoded",
            "text/plain",
            "application/cloudevents+avro",
        ] {
            let other = send("content-type", media_type).await;
            assert_problem(&other, unsupported, "application/json", media_type);
            assert_problem(&other, unsupported, "application/x-ndjson", media_type);
        }
        for encoding in ["br", "deflate", "gzip, gzip", "zstd, gzip"] {
            let other = send("content-encoding", encoding).await;
            assert_problem(&other, unsupported, "gzip, zstd", encoding);
        }
    }
    let replay = app
        .request(Method::POST, "/dead-letters/replay")
        .header("content-type", "application/x-ndjson");
    let lines = answer(replay.body(r#"{"all":true}"#)).await;
    assert_problem(&lines, unsupported, "application/json", "lines");
    assert_nothing_stored(&app).await;
    for media_type in ["application/json", "Application/JSON; charset=utf-8"] {
        let request = app
            .request(Method::POST, "/ingest")
            .header("content-type", media_type);
        assert_eq!(
            answer(request.body(r#"{"id":"1"}"#)).await.0,
            StatusCode::OK
        );
    }
    let unnamed = app.request(Method::POST, "/ingest").body(r#"{"id":"1"}"#);
    assert_eq!(answer(unnamed).await.0, StatusCode::OK);
    app.stop().await;
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_are_answered_with_problems() {
    let app = app().await;
    for path in [
        "/nope",
        "/publish/",
        "/events/a",
        "/events/a/b/c",
        "//stats",
    ] {
        let answer = app.get(path).await;
        assert_problem(&answer, StatusCode::NOT_FOUND, "", path);
    }
    for (method, path, allowed) in [
        (Method::GET, "/publish", "POST"),
        (Method::PUT, "/ingest", "POST"),
        (Method::POST, "/stats", "GET, HEAD"),
        (Method::DELETE, "/events", "GET, HEAD"),
        (Method::POST, "/events/a/b", "GET, HEAD"),
        (Method::POST, "/health", "GET, HEAD"),
        (Method::PATCH, "/ready", "GET, HEAD"),
    ] {
        let response = app.request(method.clone(), path).send().await.unwrap();
        assert_eq!(response.headers()["allow"], allowed, "{method} {path}");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
    for path in ["/health", "/ready", "/stats", "/events"] {
        let head = app.request(Method::HEAD, path).send().await.unwrap();
        assert_eq!(head.status(), StatusCode::OK, "{path}");
        assert!(head.bytes().await.unwrap().is_empty());
    }
    app.stop().await;
}

#[tokio::test]
async fn query_parameters_that_are_not_valid_are_named() {
    let app = app().await;
    for (query, named) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=1&limit=2", "limit"),
        ("order=latest", "order"),
        ("cursor=", "cursor"),
        ("cursor=abc", "cursor"),
        ("cursor=01zzzzzzzzzzzzzzzz", "cursor"),
        ("since=yesterday", "since"),
        ("until=2026-01-01", "until"),
        ("topic=", "topic"),
        ("topic=%00", "topic"),
        ("source=%0A", "source"),
        ("topic=%FF", "percent-encode"),
        ("colour=red", "colour"),
    ] {
        let answer = app.get(&format!("/events?{query}")).await;
        assert_problem(&answer, StatusCode::BAD_REQUEST, named, query);
        assert!(!answer.1.to_string().contains("deserialize"), "{query}");
    }
    let long = app.get(&format!("/events?{}=1", "x".repeat(10_000))).await;
    assert_problem(&long, StatusCode::BAD_REQUEST, "xxx", "a long name");
    assert!(long.1.to_string().len() < 1000, "not repeated at length");
    for path in [
        "/events/%FF/1",
        "/events/a/%FF",
        "/events/a/%00",
        "/dead-letters/%FF",
    ] {
        let (status, problem) = app.get(path).await;
        assert!(status.is_client_error(), "{path}: {problem}");
        assert!(!problem.to_string().contains("deserialize"), "{problem}");
    }
    let unknown = app.get("/events/logs%2Fapache/none").await;
    assert_problem(
        &unknown,
        StatusCode::NOT_FOUND,
        "event_id",
        "an unknown event",
    );
    app.stop().await;
}

#[tokio::test]
async fn events_are_found_by_each_filter() {
    let app = app().await;
    for event in [
        json!({"topic": "logs/a", "event_id": "1", "timestamp": "2026-01-01T00:00:00Z", "source": "x"}),
        json!({"topic": "logs/b", "event_id": "2", "timestamp": "2026-01-01T01:00:00Z", "source": "x"}),
        json!({"topic": "logs/a", "event_id": "3", "timestamp": "2026-01-01T02:00:00", "source": "y"}),
    ] {
        assert_eq!(
            app.post("/ingest", event.to_string()).await.0,
            StatusCode::OK
        );
    }
    for (query, expected) in [
        ("", vec!["1", "2", "3"]),
        ("topic=logs/a", vec!["1", "3"]),
        ("topic=logs%2Fb", vec!["2"]),
        ("source=x&topic=logs/a", vec!["1"]),
        ("since=2026-01-01T01:00:00Z", vec!["2", "3"]),
        ("until=2026-01-01T01:00:00Z", vec!["1"]),
        (
            "since=2026-01-01T02:00:00+01:00&until=2026-01-01T01:00:01",
            vec!["2"],
        ),
        ("since=2030-01-01T00:00:00Z", vec![]),
        ("limit=2", vec!["1", "2"]),
    ] {
        let (status, page) = app.get(&format!("/events?{query}")).await;
        assert_eq!(status, StatusCode::OK, "{query}: {page}");
        let ids: Vec<_> = page["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| &e["event_id"])
            .collect();
        assert_eq!(ids, expected, "{query}");
        assert_eq!(page["count"], expected.len(), "{query}");
        assert_eq!(
            page["next_cursor"].is_string(),
            query == "limit=2",
            "{query}"
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn every_answer_names_its_request_and_tells_browsers_to_guess_nothing() {
    let app = app().await;
    for path in ["/stats", "/nothing/here", "/publish", "/events?limit=0"] {
        let request = || app.request(Method::GET, path);
        let answer = request().send().await.unwrap();
        let made = answer.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(made.parse::<uuid::Uuid>().is_ok(), "{path}: {made}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.headers()[name], value, "{path}");
        }
        let answer = request()
            .header("X-Request-Id", "mine-1")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers()["x-request-id"], "mine-1", "{path}");
    }
    app.stop().await;
}
