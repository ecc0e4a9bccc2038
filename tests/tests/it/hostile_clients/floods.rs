//! Clients that send too much, or open too many connections.

use futures_util::future::join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::{
    app::App,
    raw::{ANSWERED_WITHIN, Raw, statuses},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{DRIP, assert_refused, ends_well, publish, send, start, target};

/// Most memory that one of them may take in the server.
const MAX_IDLE_BYTES: usize = 32 * 1024;
/// Connections that do nothing.
const IDLE: usize = 10_000;
/// One of them is a file, and this process has others.
const FILES: u64 = IDLE as u64 + 500;
/// A flood of headers.
const HEADERS: usize = 5000;
/// A flood of bytes.
const MEBIBYTE: usize = 1 << 20;

#[tokio::test]
async fn floods_of_headers_and_of_a_url_are_refused() {
    let app = start().await;
    let many = "X: y\r\n".repeat(HEADERS);
    let long = "y".repeat(MEBIBYTE);
    for request in [
        format!("GET /stats HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"),
        format!("GET /stats HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"),
        format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        format!("{long} /stats HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ] {
        let answer = send(&app, &request).await;
        // Whoever is still sending may see nothing but the end.
        if !answer.is_empty() {
            assert_refused(&answer, 431, &request[..10]);
        }
    }
    ends_well(app, 0).await;
}

#[tokio::test]
async fn a_length_over_the_limit_is_refused_before_the_body_is_sent() {
    let app = start().await;
    for expect in ["", "Expect: 100-continue\r\n"] {
        let headers = format!("{expect}Content-Length: 4097");
        let answers = send(&app, publish(&headers, "")).await;
        assert_eq!(statuses(&answers).last(), Some(&413), "{answers}");
    }
    ends_well(app, 0).await;
}

#[tokio::test]
async fn chunks_without_end_are_refused_at_the_limit_and_not_read_on() {
    let app = start().await;
    let mut client = Raw::to(&app).await;
    let (mut reader, mut writer) = client.split();
    let chunk = format!("400\r\n{}\r\n", " ".repeat(1024)).into_bytes();
    let endless = async {
        let head = publish("Transfer-Encoding: chunked", "");
        let mut sent = writer.write_all(head.as_bytes()).await;
        while sent.is_ok() {
            sent = writer.write_all(&chunk).await;
            sleep(DRIP).await;
        }
    };
    let mut answer = Vec::new();
    let both = async { tokio::join!(endless, reader.read_to_end(&mut answer)) };
    let ended = timeout(ANSWERED_WITHIN, both).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(ended.is_ok(), "still open after {answer:?}");
    assert_refused(&answer, 413, "endless");
    ends_well(app, 0).await;
}

#[tokio::test]
async fn ten_thousand_idle_connections_stop_no_other_and_take_little_memory() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|files| files < FILES) {
        // Other tests of this process have files open, too.
        let raised = Rlimit {
            current: maximum.or(Some(FILES)),
            maximum,
        };
        setrlimit(Resource::Nofile, raised).expect("enough files: raise ulimit -H -n");
    }
    // A process of its own, which has to raise its limit of open files.
    let settings = [("DATABASE_URL", "sqlite://e.db")];
    let app = App::prepared("ulimit -S -n 1024", "event-aggregator", &settings);
    app.ready().await;
    assert_eq!(statuses(&target(&app, "/stats").await), [200]);

    let before = app.running().memory();
    let idle = join_all((0..IDLE).map(|_| TcpStream::connect(app.address()))).await;
    assert!(idle.iter().all(Result::is_ok));
    assert_eq!(statuses(&target(&app, "/stats").await), [200]);
    let taken = app.running().memory().saturating_sub(before) / IDLE;
    println!("an idle connection takes {taken} bytes");
    assert!(taken <= MAX_IDLE_BYTES, "{taken}");
}
