//! Clients that break HTTP, on purpose or not: each is refused or cut off, nothing of what they
//! smuggle is executed, and a good client is served all the same.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::StatusCode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tests::{
    app::App,
    eventually,
    programs::{Running, free_port},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

/// How long an answer, and the end of its connection, may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// How long a client that drips is borne at most. The server's own limits are 10 s.
const CUT_OFF_WITHIN: Duration = Duration::from_secs(13);
/// Before that it may be merely slow.
const BORNE_FOR: Duration = Duration::from_secs(8);
/// Between two drops.
const DRIP: Duration = Duration::from_millis(100);
/// A flood of bytes.
const MEBIBYTE: usize = 1 << 20;
/// A flood of headers.
const HEADERS: usize = 5000;
/// Connections that do nothing.
const IDLE: usize = 10_000;
/// One of them is a file, and this process has others.
const FILES: u64 = IDLE as u64 + 500;
/// Most memory that one of them may take in the server.
const MAX_IDLE_BYTES: usize = 32 * 1024;
/// Requests at once on one connection.
const PIPELINED: usize = 50;
/// Requests of a client that reads none of the answers: tens of megabytes.
const UNREAD: usize = 100_000;
/// How long it goes on sending them.
const UNREAD_FOR: Duration = Duration::from_secs(1);
/// Most bytes of an answer that refuses something.
const MAX_REFUSAL: usize = 1024;

/// What a hostile client wants to be executed as a request of its own.
const SMUGGLED: &str = "POST /publish HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 40\r\n\r\n\
                        {\"topic\":\"smuggled\",\"event_id\":\"secret\"}";

struct Server {
    app: App,
    _folder: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = format!(
            "--database-url=sqlite://{}/events.db",
            folder.path().display()
        );
        let app = App::standalone(&[&database, "--redis-url=", "--max-body-bytes=4096"]);
        app.ready().await;
        Self {
            app,
            _folder: folder,
        }
    }

    async fn connect(&self) -> TcpStream {
        let address = self.app.url.strip_prefix("http://").unwrap();
        TcpStream::connect(address).await.unwrap()
    }

    /// Sends this on a connection of its own, and returns all that comes back until the server
    /// closes it.
    async fn send(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // The server may refuse before it has read everything.
        let _ = stream.write_all(request.as_ref()).await;
        rest(&mut stream).await
    }

    /// A `GET` of this target, after which the connection ends.
    async fn target(&self, target: &str) -> String {
        let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        self.send(head).await
    }

    /// It accepted so many events until now, still serves a good client exactly, and stops.
    async fn ends_well(self, received: i64) {
        let event = json!({"topic": "good", "event_id": "1"}).to_string();
        for _ in 0..2 {
            let (status, body) = self.app.post("/publish", event.clone()).await;
            assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        }
        let stats = self.app.drained(received + 2).await;
        assert_eq!(stats["received"], received + 2, "{stats}");
        assert_eq!(stats["duplicate_dropped"], 1, "{stats}");
        assert_eq!(stats["topics"]["good"], 1, "{stats}");
        self.app.stop().await;
    }
}

/// All that comes until the connection ends, in whatever way.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = timeout(ANSWERED_WITHIN, stream.read_to_end(&mut bytes)).await;
    let said = String::from_utf8_lossy(&bytes).into_owned();
    assert!(read.is_ok(), "the connection stays open after {said:?}");
    said
}

/// The statuses of all answers, in order.
fn statuses(answers: &str) -> Vec<u16> {
    let heads = answers.split("HTTP/1.").skip(1);
    heads.map(|head| head[2..5].parse().unwrap()).collect()
}

/// One answer of this status, and nothing more of what was sent counts.
fn assert_refused(answer: &str, status: u16, case: &str) {
    assert_eq!(statuses(answer), [status], "{case:?}: {answer:?}");
    assert!(
        answer.len() <= MAX_REFUSAL,
        "{case:?}: {} bytes",
        answer.len()
    );
}

/// The body of the last answer.
fn body(answers: &str) -> Value {
    let (_, body) = answers.rsplit_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

/// A request to publish that begins with these headers.
fn publish(headers: &str, rest: &str) -> String {
    format!("POST /publish HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n{rest}")
}

#[test]
fn what_is_smuggled_would_be_accepted_if_it_were_executed() {
    let (_, body) = SMUGGLED.split_once("\r\n\r\n").unwrap();
    assert!(SMUGGLED.contains(&format!("Content-Length: {}\r\n", body.len())));
    assert!(serde_json::from_str::<Value>(body).is_ok());
}

#[tokio::test]
async fn a_body_whose_end_is_told_in_two_ways_is_refused_and_nothing_after_it_is_executed() {
    let server = Server::start().await;
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
        let answer = server
            .send(publish(headers, &format!("0\r\n\r\n{SMUGGLED}")))
            .await;
        assert_refused(&answer, 400, headers);
    }
    server.ends_well(0).await;
}

#[tokio::test]
async fn a_chunk_whose_size_is_no_number_ends_the_connection() {
    let server = Server::start().await;
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
        let answer = server
            .send(publish("Transfer-Encoding: chunked", &body))
            .await;
        assert_refused(&answer, 400, chunk);
    }
    server.ends_well(0).await;
}

#[tokio::test]
async fn a_head_that_readers_could_understand_differently_is_refused() {
    let server = Server::start().await;
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
        let answer = server.send(publish(headers, SMUGGLED)).await;
        assert_refused(&answer, 400, headers);
    }
    let answer = server.send("GET /stats HTTP/1.1\r\n\r\n").await;
    assert_refused(&answer, 400, "no host");
    server.ends_well(0).await;
}

/// Sends a beginning and then byte after byte of `drops`, over and over, until the server ends it.
async fn drip(server: &Server, beginning: &str, drops: &[u8]) -> String {
    let mut stream = server.connect().await;
    stream.write_all(beginning.as_bytes()).await.unwrap();
    let started = Instant::now();
    let (mut reader, mut writer) = stream.split();
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
    let server = Server::start().await;
    let bytes = publish("Content-Length: 4000", "");
    let chunked = publish("Transfer-Encoding: chunked", "");
    let lines = publish(
        "Content-Type: application/x-ndjson\r\nContent-Length: 4000",
        "",
    );
    let (head, body_of_bytes, body_of_chunks, body_of_lines) = tokio::join!(
        drip(
            &server,
            "GET /stats HTTP/1.1\r\nHost: localhost\r\nX: ",
            b"y"
        ),
        drip(&server, &bytes, b"["),
        drip(&server, &chunked, b"1\r\n \r\n"),
        drip(&server, &lines, b"{}\n"),
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
    server.ends_well(0).await;
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_not_waited_for() {
    let server = Server::start().await;
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
        let mut stream = server.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let (mut reader, mut writer) = stream.split();
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
    server.ends_well(0).await;
}

#[tokio::test]
async fn floods_of_headers_and_of_a_url_are_refused() {
    let server = Server::start().await;
    let many = "X: y\r\n".repeat(HEADERS);
    let long = "y".repeat(MEBIBYTE);
    for request in [
        format!("GET /stats HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"),
        format!("GET /stats HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"),
        format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        format!("{long} /stats HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ] {
        let answer = server.send(&request).await;
        // Whoever is still sending may see nothing but the end.
        if !answer.is_empty() {
            assert_refused(&answer, 431, &request[..10]);
        }
    }
    server.ends_well(0).await;
}

#[tokio::test]
async fn a_path_means_what_it_says_and_nothing_else() {
    let server = Server::start().await;
    let event = json!({"topic": "a/b", "event_id": ".."}).to_string();
    assert_eq!(
        server.app.post("/publish", event).await.0,
        StatusCode::ACCEPTED
    );
    server.app.drained(1).await;
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
        assert_eq!(statuses(&server.target(path).await), [status], "{path}");
    }
    server.ends_well(1).await;
}

#[tokio::test]
async fn a_target_of_another_form_is_no_way_around() {
    let server = Server::start().await;
    for (target, status) in [
        ("http://elsewhere/stats", 200),
        ("http://elsewhere/../stats", 404),
        ("http://elsewhere", 200),
        ("*", 404),
        ("stats", 404),
        ("elsewhere:80", 404),
    ] {
        assert_eq!(statuses(&server.target(target).await), [status], "{target}");
    }
    let asterisk = "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_refused(&server.send(asterisk).await, 404, asterisk);
    // Nothing is tunnelled.
    let tunnel = format!("CONNECT elsewhere:80 HTTP/1.1\r\nHost: localhost\r\n\r\n{SMUGGLED}");
    assert_refused(&server.send(tunnel).await, 404, "CONNECT");
    server.ends_well(0).await;
}

#[tokio::test]
async fn an_unknown_method_is_told_which_there_are_and_not_repeated_at_length() {
    let server = Server::start().await;
    let long = "A".repeat(10_000);
    for method in [
        "BREW", "get", "Get", "PATCH", "TRACE", "CONNECT", "PRI", &long,
    ] {
        let request =
            format!("{method} /stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = server.send(request).await;
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
        assert_refused(&server.send(request).await, 400, request);
    }
    server.ends_well(0).await;
}

#[tokio::test]
async fn a_body_shorter_than_it_says_is_not_taken_for_whole() {
    let server = Server::start().await;
    let event = r#"{"topic":"a","event_id":"1"}"#;
    for headers in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let body = match headers {
            "Content-Length: 100" => event.to_owned(),
            _ => format!("{:x}\r\n{event}\r\n", event.len()),
        };
        let mut stream = server.connect().await;
        stream
            .write_all(publish(headers, &body).as_bytes())
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
        assert_refused(&rest(&mut stream).await, 400, headers);
        // Or without waiting for an answer.
        let mut stream = server.connect().await;
        stream
            .write_all(publish(headers, &body).as_bytes())
            .await
            .unwrap();
    }
    server.ends_well(0).await;
}

#[tokio::test]
async fn what_is_left_of_a_body_longer_than_it_says_is_no_request() {
    let server = Server::start().await;
    let event = r#"{"topic":"a","event_id":"1"}"#;
    let headers = format!("Content-Length: {}", event.len());
    let answers = server
        .send(publish(&headers, &format!("{event}}}}}")))
        .await;
    assert!(answers.starts_with("HTTP/1.1 "), "{answers}");
    // The event itself came whole; what follows is refused.
    assert_eq!(statuses(&answers), [202, 400]);
    server.ends_well(1).await;
}

#[tokio::test]
async fn a_body_where_none_is_read_is_not_executed() {
    let server = Server::start().await;
    let headers = format!("Connection: close\r\nContent-Length: {}", SMUGGLED.len());
    let request = format!("GET /stats HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n{SMUGGLED}");
    assert_eq!(statuses(&server.send(request).await), [200]);
    server.ends_well(0).await;
}

#[tokio::test]
async fn http_1_0_ends_with_its_answer_unless_it_asks_to_be_kept() {
    let server = Server::start().await;
    let answer = server.send("GET /health HTTP/1.0\r\n\r\n").await;
    assert_eq!(statuses(&answer), [200], "{answer}");
    let answer = server
        .send(
            "GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\
             GET /health HTTP/1.0\r\n\r\n",
        )
        .await;
    assert_eq!(statuses(&answer), [200, 200], "{answer}");
    // It has no chunks.
    let chunked =
        format!("POST /publish HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}");
    assert_refused(&server.send(chunked).await, 400, "chunks");
    server.ends_well(0).await;
}

#[tokio::test]
async fn who_asks_first_is_told_to_go_on_and_then_answered() {
    let server = Server::start().await;
    let event = r#"{"topic":"a","event_id":"1"}"#;
    let mut stream = server.connect().await;
    let headers = format!(
        "Connection: close\r\nExpect: 100-continue\r\nContent-Length: {}",
        event.len()
    );
    stream
        .write_all(publish(&headers, "").as_bytes())
        .await
        .unwrap();
    let mut go_on = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    let asked = timeout(ANSWERED_WITHIN, stream.read_exact(&mut go_on)).await;
    asked.expect("in time").unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(event.as_bytes()).await.unwrap();
    assert_eq!(statuses(&rest(&mut stream).await), [202]);
    server.ends_well(1).await;
}

#[tokio::test]
async fn a_length_over_the_limit_is_refused_before_the_body_is_sent() {
    let server = Server::start().await;
    for expect in ["", "Expect: 100-continue\r\n"] {
        let headers = format!("{expect}Content-Length: 4097");
        let answers = server.send(publish(&headers, "")).await;
        assert_eq!(statuses(&answers).last(), Some(&413), "{answers}");
    }
    server.ends_well(0).await;
}

#[tokio::test]
async fn chunks_without_end_are_refused_at_the_limit_and_not_read_on() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    let (mut reader, mut writer) = stream.split();
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
    server.ends_well(0).await;
}

#[tokio::test]
async fn requests_at_once_on_one_connection_are_answered_in_order() {
    let server = Server::start().await;
    let pair = |id: usize| {
        let event = json!({"topic": "a", "event_id": id.to_string()}).to_string();
        let headers = format!("Content-Length: {}", event.len());
        publish(&headers, &event)
            + &format!("GET /nothing/{id} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    };
    let last = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let requests: String = (0..PIPELINED).map(pair).chain([last.to_owned()]).collect();
    let answers = server.send(requests).await;
    let expected = [[202, 404]; PIPELINED].concat();
    assert_eq!(statuses(&answers), [&expected[..], &[200]].concat());
    let places: Vec<_> = (0..PIPELINED)
        .map(|id| answers.find(&format!("/nothing/{id};")).unwrap())
        .collect();
    assert!(places.is_sorted());
    server.ends_well(i64::try_from(PIPELINED).unwrap()).await;
}

#[tokio::test]
async fn a_client_that_never_reads_its_answers_stops_no_other() {
    let server = Server::start().await;
    let mut streams = Vec::new();
    let requests = "GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(UNREAD);
    for _ in 0..4 {
        let mut stream = server.connect().await;
        // It may take no more requests when nobody takes the answers.
        let _ = timeout(UNREAD_FOR, stream.write_all(requests.as_bytes())).await;
        streams.push(stream);
    }
    assert_eq!(statuses(&server.target("/stats").await), [200]);
    drop(streams);
    server.ends_well(0).await;
}

/// Resident memory of a process, in bytes.
fn memory(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.unwrap().trim().trim_end_matches(" kB");
    kibibytes.parse::<usize>().unwrap() * 1024
}

#[tokio::test]
async fn ten_thousand_idle_connections_stop_no_other_and_take_little_memory() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|files| files < FILES) {
        let raised = Rlimit {
            current: Some(FILES),
            maximum,
        };
        setrlimit(Resource::Nofile, raised).expect("enough files: raise ulimit -H -n");
    }
    let address = format!("127.0.0.1:{}", free_port());
    let limits = "ulimit -S -n 1024";
    // A process of its own, that has to raise its limit of open files.
    let settings = [("BIND_ADDR", &*address), ("DATABASE_URL", "sqlite://e.db")];
    let process = Running::start_limited(limits, "event-aggregator", &settings);
    let get = async || {
        let mut stream = TcpStream::connect(&address).await.ok()?;
        let request = b"GET /stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.ok()?;
        Some(statuses(&rest(&mut stream).await))
    };
    let ok = async || get().await == Some(vec![200]);
    eventually("it is ready", CUT_OFF_WITHIN, ok).await;

    let before = memory(process.id());
    let idle = join_all((0..IDLE).map(|_| TcpStream::connect(&address))).await;
    assert!(idle.iter().all(Result::is_ok));
    assert_eq!(get().await.unwrap(), [200]);
    let taken = memory(process.id()).saturating_sub(before) / IDLE;
    println!("an idle connection takes {taken} bytes");
    assert!(taken <= MAX_IDLE_BYTES, "{taken}");
}
