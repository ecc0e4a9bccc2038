//! What clients can make a server hold: answers that nobody takes, connections that say nothing, events whose senders
//! have gone away. Each is bounded, ends, and keeps nobody else out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use tests::{
    app::App,
    eventually,
    programs::{Running, free_port},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};

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
const MEBIBYTE: usize = 1 << 20;

/// A program of its own, whose memory can be looked at.
struct Server {
    address: SocketAddr,
    process: Running,
}

impl Server {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let bound = address.to_string();
        let own = [("BIND_ADDR", &*bound), ("DATABASE_URL", "sqlite://e.db")];
        let process = Running::start("event-aggregator", &[], &[&own, settings].concat());
        let server = Self { address, process };
        eventually("it is ready", SOON, async || {
            server.status("/ready").await == Some(200)
        })
        .await;
        server
    }

    /// The status of an answer on a connection of its own.
    async fn status(&self, path: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        let answer = String::from_utf8_lossy(&answer);
        answer.get(9..12)?.parse().ok()
    }

    /// Posts this and returns the status.
    async fn post(&self, path: &str, body: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        stream.write_all(post(path, body).as_bytes()).await.ok()?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.ok()?;
        std::str::from_utf8(&answer[9..]).ok()?.parse().ok()
    }

    /// A client that asks for this so often, and takes next to nothing of the answers.
    async fn ask(&self, path: &str, times: usize) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(1).unwrap();
        let mut stream = socket.connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(times);
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Resident memory, in bytes.
    fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.unwrap().trim().trim_end_matches(" kB");
        kibibytes.parse::<usize>().unwrap() * 1024
    }
}

fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Whether the server has ended this connection; what is still on the way is passed over.
async fn has_ended(stream: &mut TcpStream) -> bool {
    let mut buffer = vec![0; MEBIBYTE];
    let ended = async {
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    };
    timeout(A_WHILE, ended).await.is_ok()
}

#[tokio::test]
async fn answers_that_nobody_takes_cost_a_portion_each_and_end() {
    let server = Server::start(&[]).await;
    assert_eq!(server.status(LARGE).await, Some(200));
    let before = server.memory();
    let asking = (0..UNREAD).map(|_| server.ask(LARGE, ANSWERS));
    let mut unread = join_all(asking).await;
    sleep(A_WHILE).await;
    let taken = server.memory().saturating_sub(before) / UNREAD;
    println!("a client that takes none of its answers takes {taken} bytes");
    assert!(taken <= UNREAD_BYTES, "{taken}");
    assert_eq!(server.status("/health").await, Some(200));
    // They still take nothing, until the server has had enough.
    eventually("their connections are gone", SOON, async || {
        open_connections(server.address.port()) < UNREAD / 10
    })
    .await;
    assert!(has_ended(&mut unread[0]).await);
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
    let server = Server::start(&[("MAX_REQUESTS_IN_FLIGHT", &places)]).await;
    let text = "x".repeat(200 * 1024);
    for batch in 0..8 {
        let events: Vec<Value> = (0..10)
            .map(|id| json!({"topic": "large", "event_id": format!("{batch}-{id}"), "payload": {"text": text}}))
            .collect();
        let body = Value::from(events).to_string();
        assert_eq!(server.post("/publish", &body).await, Some(202));
    }
    let page = "/events?limit=1000";
    assert_eq!(server.status(page).await, Some(200));
    let mut unread = Vec::new();
    // A client that comes before the place of the request above is free is refused, so others are let try.
    eventually("the places are taken", SOON, async || {
        if unread.len() < 4 * PLACES {
            // The first answers may end up in the buffers of the system.
            unread.push(server.ask(page, 4).await);
        }
        server.status("/stats").await == Some(503)
    })
    .await;
    sleep(A_WHILE).await;
    assert_eq!(server.status("/stats").await, Some(503));
    assert_eq!(server.status("/health").await, Some(200));
    eventually("the places are free again", SOON, async || {
        server.status("/stats").await == Some(200)
    })
    .await;
    drop(unread);
}

#[tokio::test]
async fn the_head_of_a_later_request_may_not_drip_either() {
    let server = Server::start(&[]).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let dripping = async {
        for byte in "GET /health HTTP/1.1\r\nX: "
            .bytes()
            .chain(std::iter::repeat(b'x'))
        {
            if stream.write_all(&[byte]).await.is_err() {
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
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("e.db");
    let url = format!("sqlite://{}", file.display());
    let database = format!("--database-url={url}");
    let settings = [
        &*database,
        "--redis-url=",
        "--max-body-bytes=1048576",
        "--max-bytes-in-flight=1048576",
    ];
    let app = App::standalone(&settings);
    app.ready().await;
    // Somebody else keeps the database busy.
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    let mut busy = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("UPDATE agg_stats SET id = id")
        .execute(&mut *busy)
        .await
        .unwrap();

    let address = app.url.strip_prefix("http://").unwrap();
    let mut sent = 0;
    let refused = eventually("no more is taken into memory", SOON, async || {
        let mut body = String::from("[");
        for id in 0..EVENTS {
            let comma = if id == 0 { "" } else { "," };
            write!(body, "{comma}{{\"id\":\"{sent}-{id}\"}}").unwrap();
        }
        body.push(']');
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(post("/publish", &body).as_bytes())
            .await
            .unwrap();
        sent += 1;
        let mut answer = [0; 12];
        // Then it goes away.
        let answered = timeout(A_WHILE, stream.read_exact(&mut answer)).await;
        answered
            .is_ok()
            .then(|| String::from_utf8_lossy(&answer).into_owned())
    })
    .await;
    assert_eq!(refused, "HTTP/1.1 503");
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
