//! Batches of which only the valid events are accepted.

use reqwest::StatusCode;
use serde_json::json;

use super::{PATHS, Sent, app};

#[tokio::test]
async fn in_part_the_valid_events_are_accepted_and_the_others_listed() {
    let app = app().await;
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
    let app = app().await;
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
    let app = app().await;
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
