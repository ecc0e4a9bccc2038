//! CloudEvents in each of their modes.

use reqwest::StatusCode;
use serde_json::json;

use super::{PATHS, Sent, app, detail};

#[tokio::test]
async fn a_cloudevent_comes_back_with_everything_it_had() {
    let app = app().await;
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
    let app = app().await;
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
    let app = app().await;
    let empty = Sent::new("application/cloudevents-batch+json", "[]");
    let (status, body) = empty.to(&app, "/publish").await;
    assert_eq!((status, &body["count"]), (StatusCode::ACCEPTED, &json!(0)));
    let (status, body) = empty.to(&app, "/ingest").await;
    assert_eq!((status, &body["results"]), (StatusCode::OK, &json!([])));
    app.stop().await;
}
