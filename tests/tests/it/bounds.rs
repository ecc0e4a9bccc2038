//! What clients can make a server hold: answers that nobody takes, connections that say nothing, events whose senders
//! have gone away. Each is bounded, ends, and keeps nobody else out.

use std::{fmt::Write as _, time::Duration};

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use tests::{
    app::App,
    eventually,
    raw::{self, Raw},
};
use tokio::time::{sleep, timeout};

/// How long anything may take that is to happen.
const SOON: Duration = Duration::from_mins(1);
/// Between two bytes of a client that drips.
const DRIP: Duration = Duration::from_millis(100);
/// How long it takes until what was sent has been worked on.
const A_WHILE: Duration = Duration::from_secs(1);
/// Clients that take nothing of their answers.
const UNREAD: usize = 200;
/// Answers that each of them asks for: more than the system takes off the server's hands.
const ANSWERS: usize = 8;
/// The largest answer that a stranger can ask for.
const LARGE: &str = "/docs/swagger-ui-bundle.js";
/// The most that one of those clients may take of the server's memory.
const UNREAD_BYTES: usize = 160 * 1024;

/// A process of its own, because its memory is looked at.
async fn start(settings: &[(&str, &str)]) -> App {
    let own = [("DATABASE_URL", "sqlite://e.db")];
    let app = App::process("event-aggregator", &[&own, settings].concat());
    app.ready().await;
    app
}

/// The status of an answer on a connection of its own.
async fn status(app: &App, path: &str) -> Option<u16> {
    let answer = raw::exchange(app.address(), raw::last_get(path)).await;
    // The page that is asked for may contain anything.
    answer.get(9..12)?.parse().ok()
}

/// A client that asks for this so often, and takes next to nothing of the answers.
async fn ask(app: &App, path: &str, times: usize) -> Raw {
    let mut client = Raw::without_buffer(app).await;
    client.send(raw::get(path).repeat(times)).await;
    client
}

#[tokio::test]
async fn answers_that_nobody_takes_cost_a_portion_each_and_end() {
    let app = start(&[]).await;
    assert_eq!(status(&app, LARGE).await, Some(200));
    let before = app.running().memory();
    let asking = (0..UNREAD).map(|_| ask(&app, LARGE, ANSWERS));
    let mut unread = join_all(asking).await;
    sleep(A_WHILE).await;
    let taken = app.running().memory().saturating_sub(before) / UNREAD;
    println!("a client that takes none of its answers takes {taken} bytes");
    assert!(taken <= UNREAD_BYTES, "{taken}");
    assert_eq!(status(&app, "/health").await, Some(200));
    // They still take nothing, until the server has had enough.
    eventually("their connections are gone", SOON, async || {
        open_connections(app.address().port()) < UNREAD / 10
    })
    .await;
    assert!(unread[0].ends(A_WHILE).await);
}

/// How many connections to this port are established, as the system tells it
/// ([proc(5)](https://man7.org/linux/man-pages/man5/proc_net_tcp.5.html)), seen from the server.
fn open_connections(port: u16) -> usize {
    const ESTABLISHED: &str = "01";
    let local = format!(":{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let established = table.lines().filter(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let is_local = columns
            .next()
            .is_some_and(|address| address.ends_with(&local));
        is_local && columns.nth(1) == Some(ESTABLISHED)
    });
    established.count()
}

#[tokio::test]
async fn a_page_keeps_its_place_until_it_is_taken() {
    const PLACES: usize = 2;
    let places = PLACES.to_string();
    let app = start(&[("MAX_REQUESTS_IN_FLIGHT", &places)]).await;
    let text = "x".repeat(200 * 1024);
    for batch in 0..8 {
        let events: Vec<Value> = (0..10)
            .map(|id| json!({"topic": "large", "event_id": format!("{batch}-{id}"), "payload": {"text": text}}))
            .collect();
        let published = app.publish(&events.into()).await;
        assert_eq!(published, Some(StatusCode::ACCEPTED));
    }
    let page = "/events?limit=1000";
    assert_eq!(status(&app, page).await, Some(200));
    let mut unread = Vec::new();
    // A client that comes before the place of the request above is free is refused, so others are let try.
    eventually("the places are taken", SOON, async || {
        if unread.len() < 4 * PLACES {
            // The first answers may end up in the buffers of the system.
            unread.push(ask(&app, page, 4).await);
        }
        status(&app, "/stats").await == Some(503)
    })
    .await;
    sleep(A_WHILE).await;
    assert_eq!(status(&app, "/stats").await, Some(503));
    assert_eq!(status(&app, "/health").await, Some(200));
    eventually("the places are free again", SOON, async || {
        status(&app, "/stats").await == Some(200)
    })
    .await;
    drop(unread);
}

#[tokio::test]
async fn the_head_of_a_later_request_may_not_drip_either() {
    let app = start(&[]).await;
    let mut client = Raw::to(&app).await;
    client.send(raw::get("/health")).await;
    assert_eq!(client.status(SOON).await, Some(200));
    let dripping = async {
        for byte in "GET /health HTTP/1.1\r\nX: "
            .bytes()
            .chain(std::iter::repeat(b'x'))
        {
            if client.try_send([byte]).await.is_err() {
                return;
            }
            sleep(DRIP).await;
        }
    };
    let ended = timeout(SOON, dripping).await;
    assert!(ended.is_ok(), "the connection is still open");
}

#[tokio::test]
async fn events_whose_senders_have_gone_away_count_until_they_are_stored() {
    const EVENTS: usize = 10_000;
    let settings = ["--max-body-bytes=1048576", "--max-bytes-in-flight=1048576"];
    let app = App::over_sqlite(&settings).await;
    let url = format!("sqlite://{}", app.path("events.db").display());
    // Somebody else keeps the database busy.
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    let mut busy = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("UPDATE agg_stats SET id = id")
        .execute(&mut *busy)
        .await
        .unwrap();

    let mut sent = 0;
    let refused = eventually("no more is taken into memory", SOON, async || {
        let mut body = String::from("[");
        for id in 0..EVENTS {
            let comma = if id == 0 { "" } else { "," };
            write!(body, "{comma}{{\"id\":\"{sent}-{id}\"}}").unwrap();
        }
        body.push(']');
        let mut client = Raw::to(&app).await;
        client.send(raw::post("/publish", &body)).await;
        sent += 1;
        // Then it goes away.
        client.status(A_WHILE).await
    })
    .await;
    assert_eq!(refused, 503);
    // A bound of 6 MiB (a body of 1 MiB, 10,000 events) has no room for two of these batches.
    assert_eq!(sent, 2);
    busy.rollback().await.unwrap();
    drop(other);
    eventually("there is room again", SOON, async || {
        let (status, _) = app.post("/publish", r#"{"id":"good"}"#).await;
        status == StatusCode::ACCEPTED
    })
    .await;
    app.stop().await;
}
