//! Paths and methods that mean something else to other readers.

use reqwest::StatusCode;
use serde_json::json;
use tests::raw::statuses;

use super::{assert_refused, ends_well, send, start, target};

#[tokio::test]
async fn a_path_means_what_it_says_and_nothing_else() {
    let app = start().await;
    let event = json!({"topic": "a/b", "event_id": ".."}).to_string();
    assert_eq!(app.post("/publish", event).await.0, StatusCode::ACCEPTED);
    app.drained(1).await;
    for (path, status) in [
        ("/stats", 200),
        ("//stats", 404),
        ("/./stats", 404),
        ("/stats/", 404),
        ("/STATS", 404),
        ("/stats;x", 404),
        ("/stats%00", 404),
        ("/%73tats%2f", 404),
        ("/events/../stats", 404),
        ("/events/%2e%2e/stats", 404),
        ("/%2e%2e/stats", 404),
        ("/%00", 404),
        ("/events/%00/1", 400),
        ("/events/a%0Db/1", 400),
        ("/events/%ff/%fe", 404),
        ("/events/%zz/1", 404),
        ("/events/a/%", 404),
        ("/events/a%2Fb/..", 200),
        ("/events/a%2Fb/%2e%2e", 200),
        ("/events/a/b/..", 404),
        ("/events/a%252Fb/..", 404),
        ("\\stats", 400),
        ("/st\u{e4}ts", 400),
    ] {
        assert_eq!(statuses(&target(&app, path).await), [status], "{path}");
    }
    ends_well(app, 1).await;
}

#[tokio::test]
async fn an_unknown_method_is_told_which_there_are_and_not_repeated_at_length() {
    let app = start().await;
    let long = "A".repeat(10_000);
    for method in [
        "BREW", "get", "Get", "PATCH", "TRACE", "CONNECT", "PRI", &long,
    ] {
        let request =
            format!("{method} /stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = send(&app, request).await;
        assert_refused(&answer, 405, method);
        assert!(
            answer.to_lowercase().contains("\r\nallow: get, head\r\n"),
            "{answer}"
        );
    }
    for request in [
        "G\0T /stats HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET  /stats HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /stats\r\n\r\n",
        "GET /stats HTTP/1.2\r\nHost: localhost\r\n\r\n",
        "GET /stats HTTP/3.0\r\nHost: localhost\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\0\x01\0\x01\x7c\x03\x03 TLS\r\n\r\n",
    ] {
        assert_refused(&send(&app, request).await, 400, request);
    }
    ends_well(app, 0).await;
}
