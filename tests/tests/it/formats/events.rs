//! Events as JSON and as lines.

use futures_util::stream;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::app::answer;

use super::{ENCODINGS, PATHS, Sent, app, detail, encoded, in_every_format, stored};

#[tokio::test]
async fn every_format_in_every_encoding_is_the_same_event() {
    let app = app().await;
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
    let app = app().await;
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
    let app = app().await;
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
    let app = app().await;
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
async fn what_is_not_read_is_answered_with_what_is() {
    let app = app().await;
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
    let app = app().await;
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
    let app = app().await;
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
    let app = app().await;
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
    let app = app().await;
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

#[tokio::test]
async fn another_parameter_is_refused_by_its_name() {
    let app = app().await;
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
