//! Requests whose end or whose head readers could understand differently.

use serde_json::Value;
use tests::raw::{Raw, statuses};

use super::{assert_refused, ends_well, publish, send, start, target};

/// What a hostile client wants to be executed as a request of its own.
const SMUGGLED: &str = "POST /publish HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 40\r\n\r\n\
                        {\"topic\":\"smuggled\",\"event_id\":\"secret\"}";

#[test]
fn what_is_smuggled_would_be_accepted_if_it_were_executed() {
    let (_, body) = SMUGGLED.split_once("\r\n\r\n").unwrap();
    assert!(SMUGGLED.contains(&format!("Content-Length: {}\r\n", body.len())));
    assert!(serde_json::from_str::<Value>(body).is_ok());
}

#[tokio::test]
async fn a_body_whose_end_is_told_in_two_ways_is_refused_and_nothing_after_it_is_executed() {
    let app = start().await;
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 0",
        "Content-Length: 5\r\ncontent-length: 5",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\x0bchunked",
    ] {
        let answer = send(&app, publish(headers, &format!("0\r\n\r\n{SMUGGLED}"))).await;
        assert_refused(&answer, 400, headers);
    }
    ends_well(app, 0).await;
}

#[tokio::test]
async fn a_chunk_whose_size_is_not_a_number_ends_the_connection() {
    let app = start().await;
    for chunk in [
        "g\r\n",
        "-1\r\n",
        "0x1\r\n",
        "+1\r\n",
        " 1\r\n",
        "\r\n",
        "1\n",
        "1_0\r\n",
        "FFFFFFFFFFFFFFFFF\r\n",
        // More than its size.
        "1\r\nx",
    ] {
        let body = format!("{chunk}x\r\n0\r\n\r\n{SMUGGLED}");
        let answer = send(&app, publish("Transfer-Encoding: chunked", &body)).await;
        assert_refused(&answer, 400, chunk);
    }
    ends_well(app, 0).await;
}

#[tokio::test]
async fn a_head_that_readers_could_understand_differently_is_refused() {
    let app = start().await;
    for headers in [
        "X: folded\r\n Content-Length: 0",
        "Transfer-Encoding:\r\n chunked",
        "X: carriage\rContent-Length: 0",
        "X: nothing\0",
        "No colon",
        ": no name",
        "Content Length: 0",
        "Host: another",
    ] {
        let answer = send(&app, publish(headers, SMUGGLED)).await;
        assert_refused(&answer, 400, headers);
    }
    let answer = send(&app, "GET /stats HTTP/1.1\r\n\r\n").await;
    assert_refused(&answer, 400, "no host");
    ends_well(app, 0).await;
}

#[tokio::test]
async fn a_target_of_another_form_reaches_nothing_else() {
    let app = start().await;
    for (asked, status) in [
        ("http://elsewhere/stats", 200),
        ("http://elsewhere/../stats", 404),
        ("http://elsewhere", 200),
        ("*", 404),
        ("stats", 404),
        ("elsewhere:80", 404),
    ] {
        assert_eq!(statuses(&target(&app, asked).await), [status], "{asked}");
    }
    let asterisk = "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_refused(&send(&app, asterisk).await, 404, asterisk);
    // Nothing is tunnelled.
    let tunnel = format!("CONNECT elsewhere:80 HTTP/1.1\r\nHost: localhost\r\n\r\n{SMUGGLED}");
    assert_refused(&send(&app, tunnel).await, 404, "CONNECT");
    ends_well(app, 0).await;
}

#[tokio::test]
async fn a_body_shorter_than_it_says_is_not_taken_for_whole() {
    let app = start().await;
    let event = r#"{"topic":"a","event_id":"1"}"#;
    for headers in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let body = match headers {
            "Content-Length: 100" => event.to_owned(),
            _ => format!("{:x}\r\n{event}\r\n", event.len()),
        };
        let mut client = Raw::to(&app).await;
        client.send(publish(headers, &body)).await;
        client.end().await;
        assert_refused(&client.rest().await, 400, headers);
        // Or without waiting for an answer.
        let mut client = Raw::to(&app).await;
        client.send(publish(headers, &body)).await;
    }
    ends_well(app, 0).await;
}

#[tokio::test]
async fn what_is_left_of_a_body_longer_than_it_says_is_not_executed() {
    let app = start().await;
    let event = r#"{"topic":"a","event_id":"1"}"#;
    let headers = format!("Content-Length: {}", event.len());
    let answers = send(&app, publish(&headers, &format!("{event}}}}}"))).await;
    assert!(answers.starts_with("HTTP/1.1 "), "{answers}");
    // The event itself came whole; what follows is refused.
    assert_eq!(statuses(&answers), [202, 400]);
    ends_well(app, 1).await;
}

#[tokio::test]
async fn a_body_where_none_is_read_is_not_executed() {
    let app = start().await;
    let headers = format!("Connection: close\r\nContent-Length: {}", SMUGGLED.len());
    let request = format!("GET /stats HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n{SMUGGLED}");
    assert_eq!(statuses(&send(&app, request).await), [200]);
    ends_well(app, 0).await;
}

#[tokio::test]
async fn http_1_0_ends_with_its_answer_unless_it_asks_to_be_kept() {
    let app = start().await;
    let answer = send(&app, "GET /health HTTP/1.0\r\n\r\n").await;
    assert_eq!(statuses(&answer), [200], "{answer}");
    let answer = send(
        &app,
        "GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\
             GET /health HTTP/1.0\r\n\r\n",
    )
    .await;
    assert_eq!(statuses(&answer), [200, 200], "{answer}");
    // It has no chunks.
    let chunked =
        format!("POST /publish HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}");
    assert_refused(&send(&app, chunked).await, 400, "chunks");
    ends_well(app, 0).await;
}
