//! Clients that send slowly, in an unusual order, or never read.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::{
    app::App,
    raw::{self, Raw, body, statuses},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

use super::{DRIP, assert_refused, ends_well, publish, send, start, target};

/// How long it goes on sending them.
const UNREAD_FOR: Duration = Duration::from_secs(1);
/// Requests of a client that reads none of the answers: tens of megabytes.
const UNREAD: usize = 100_000;
/// Requests at once on one connection.
const PIPELINED: usize = 50;
/// Before that it may be merely slow.
const BORNE_FOR: Duration = Duration::from_secs(8);
/// How long a client that drips is borne at most. The server's own limits are 10 s.
const CUT_OFF_WITHIN: Duration = Duration::from_secs(13);

/// Sends a beginning and then byte after byte of `drops`, over and over, until the server ends it.
async fn drip(app: &App, beginning: &str, drops: &[u8]) -> String {
    let mut client = Raw::to(app).await;
    client.send(beginning).await;
    let started = Instant::now();
    let (mut reader, mut writer) = client.split();
    let mut answer = Vec::new();
    let dripping = async {
        for drop in drops.iter().cycle() {
            sleep(DRIP).await;
            if writer.write_all(&[*drop]).await.is_err() {
                break;
            }
        }
        // What the server said before is still to be read.
        std::future::pending::<()>().await;
    };
    let ended = async {
        tokio::select! {
            _ = reader.read_to_end(&mut answer) => {}
            () = dripping => {}
        }
    };
    let cut_off = timeout(CUT_OFF_WITHIN, ended).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(
        cut_off.is_ok(),
        "{beginning:?} is still open after {answer:?}"
    );
    assert!(started.elapsed() >= BORNE_FOR, "{:?}", started.elapsed());
    answer
}

#[tokio::test]
async fn clients_that_drip_are_cut_off_and_told_why() {
    let app = start().await;
    let bytes = publish("Content-Length: 4000", "");
    let chunked = publish("Transfer-Encoding: chunked", "");
    let lines = publish(
        "Content-Type: application/x-ndjson\r\nContent-Length: 4000",
        "",
    );
    let (head, body_of_bytes, body_of_chunks, body_of_lines) = tokio::join!(
        drip(&app, "GET /stats HTTP/1.1\r\nHost: localhost\r\nX: ", b"y"),
        drip(&app, &bytes, b"["),
        drip(&app, &chunked, b"1\r\n \r\n"),
        drip(&app, &lines, b"{}\n"),
    );
    assert_refused(&head, 408, "head");
    for answer in [body_of_bytes, body_of_chunks, body_of_lines] {
        assert_refused(&answer, 408, "body");
        let problem = body(&answer);
        assert_eq!(
            problem["type"],
            "urn:event-aggregator:problem:request-timeout"
        );
    }
    ends_well(app, 0).await;
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_not_waited_for() {
    let app = start().await;
    let chunked = |target: &str, headers: &str| {
        format!(
            "{target} HTTP/1.1\r\nHost: localhost\r\n{headers}Transfer-Encoding: chunked\r\n\r\n"
        )
    };
    for (request, status) in [
        (chunked("GET /health", ""), 200),
        (chunked("GET /stats", ""), 200),
        (chunked("POST /nothing", ""), 404),
        (chunked("POST /stats", ""), 405),
        (
            chunked("POST /publish", "Sec-Fetch-Site: cross-site\r\n"),
            403,
        ),
        (
            chunked("POST /publish", "Content-Type: text/plain\r\n"),
            415,
        ),
        (
            chunked("POST /publish?x", "Content-Type: application/json\r\n"),
            400,
        ),
    ] {
        let mut client = Raw::to(&app).await;
        client.send(&request).await;
        let (mut reader, mut writer) = client.split();
        let dripping = async {
            while writer.write_all(b"1\r\n \r\n").await.is_ok() {
                sleep(DRIP).await;
            }
        };
        let mut answer = Vec::new();
        let both = async { tokio::join!(dripping, reader.read_to_end(&mut answer)) };
        let ended = timeout(CUT_OFF_WITHIN, both).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(ended.is_ok(), "{request:?} is still open after {answer:?}");
        assert_eq!(statuses(&answer), [status], "{request:?}");
    }
    ends_well(app, 0).await;
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_continue_and_then_answered() {
    let app = start().await;
    let event = r#"{"topic":"a","event_id":"1"}"#;
    let mut client = Raw::to(&app).await;
    let headers = format!(
        "Connection: close\r\nExpect: 100-continue\r\nContent-Length: {}",
        event.len()
    );
    client.send(publish(&headers, "")).await;
    client.expect("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.send(event).await;
    assert_eq!(statuses(&client.rest().await), [202]);
    ends_well(app, 1).await;
}

#[tokio::test]
async fn requests_at_once_on_one_connection_are_answered_in_order() {
    let app = start().await;
    let pair = |id: usize| {
        let event = json!({"topic": "a", "event_id": id.to_string()}).to_string();
        let headers = format!("Content-Length: {}", event.len());
        publish(&headers, &event)
            + &format!("GET /nothing/{id} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    };
    let last = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let requests: String = (0..PIPELINED).map(pair).chain([last.to_owned()]).collect();
    let answers = send(&app, requests).await;
    let expected = [[202, 404]; PIPELINED].concat();
    assert_eq!(statuses(&answers), [&expected[..], &[200]].concat());
    let places: Vec<_> = (0..PIPELINED)
        .map(|id| answers.find(&format!("/nothing/{id};")).unwrap())
        .collect();
    assert!(places.is_sorted());
    ends_well(app, i64::try_from(PIPELINED).unwrap()).await;
}

#[tokio::test]
async fn a_client_that_never_reads_its_answers_stops_no_other() {
    let app = start().await;
    let mut clients = Vec::new();
    let requests = raw::get("/stats").repeat(UNREAD);
    for _ in 0..4 {
        let mut client = Raw::to(&app).await;
        // The server may take no more requests when nobody takes the answers.
        let _ = timeout(UNREAD_FOR, client.try_send(&requests)).await;
        clients.push(client);
    }
    assert_eq!(statuses(&target(&app, "/stats").await), [200]);
    drop(clients);
    ends_well(app, 0).await;
}
