//! TLS: between clients, programs, Redis and PostgreSQL; certificates that are renewed, and clients that
//! must show one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{self, Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use common::auth::ApiKey;
use reqwest::{Client, Method, StatusCode};
use rustls::{ClientConfig, ClientConnection, StreamOwned, version};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tests::{
    app::{App, answer},
    certificates::{Authority, Pair, PairFiles},
    eventually,
    programs::{Running, free_port},
    servers::{OwnPostgres, OwnRedis, queue_name},
};

const SOON: Duration = Duration::from_secs(20);
/// Files are looked at each second.
const SEVERAL_LOOKS: Duration = Duration::from_millis(2500);
const HERE: [&str; 1] = ["127.0.0.1"];

/// A standalone server over TLS, its certificate's files, and a folder for others.
struct Fixture {
    app: App,
    folder: TempDir,
    files: PairFiles,
}

impl Fixture {
    async fn start(authority: &Authority, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = authority.sign(&HERE).write(folder.path(), "server");
        let [cert, key] = files.arguments();
        let database = database_url(folder.path());
        let app = App::standalone(&[&[&*cert, &key, &database], arguments].concat())
            .over_tls(authority.client(None));
        app.ready().await;
        Self { app, folder, files }
    }

    fn port(&self) -> u16 {
        self.app.url.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    async fn status(&self, client: &Client, path: &str) -> Option<StatusCode> {
        let answer = client.get(format!("{}{path}", self.app.url)).send().await;
        answer.ok().map(|answer| answer.status())
    }

    async fn is_trusted(&self, client: &Client) -> bool {
        self.status(client, "/health").await == Some(StatusCode::OK)
    }
}

fn database_url(folder: &Path) -> String {
    format!("--database-url=sqlite://{}/events.db", folder.display())
}

/// Servers that speak TLS, with a certificate for these names. Their tests' own connections do not.
async fn servers(pair: &Pair) -> (OwnRedis, OwnPostgres, u16) {
    let files = [("server.pem", &*pair.cert), ("server.key", &pair.key)];
    let port = free_port();
    let tls_port = port.to_string();
    let redis = [
        ["--tls-port", &tls_port],
        ["--tls-cert-file", "server.pem"],
        ["--tls-key-file", "server.key"],
        ["--tls-auth-clients", "no"],
    ];
    let postgres = [
        ["-c", "ssl=on"],
        ["-c", "ssl_cert_file=../server.pem"],
        ["-c", "ssl_key_file=../server.key"],
    ];
    let (redis, postgres) = (redis.concat(), postgres.concat());
    let (redis, postgres) = tokio::join!(
        OwnRedis::start_with_files(&files, &redis),
        OwnPostgres::start_with_files(&files, &postgres),
    );
    (redis, postgres, port)
}

/// Arguments of an aggregator, for servers at `host` that `ca` is to vouch for.
fn over_tls(host: &str, redis: u16, postgres: u16, ca: &Path) -> [String; 3] {
    let ca = ca.display();
    [
        format!("--redis-url=rediss://{host}:{redis}"),
        format!("--redis-ca-cert={ca}"),
        format!(
            "--database-url=postgres://postgres@{host}:{postgres}/postgres?sslmode=verify-full&sslrootcert={ca}"
        ),
    ]
}

#[tokio::test]
async fn an_event_goes_the_whole_way_over_tls() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let pair = authority.sign(&["127.0.0.1", "localhost"]);
    let ca = authority.write(folder.path(), "ca.pem");
    let (_redis, postgres, redis_port) = servers(&pair).await;
    let [cert, key] = pair.write(folder.path(), "server").arguments();
    let queue = format!("--queue-name={}", queue_name());
    let [redis_url, redis_ca, database] = over_tls("localhost", redis_port, postgres.port(), &ca);
    let common = [&*cert, &key, &queue, &redis_url, &redis_ca];
    let publisher = App::publisher(&common).over_tls(authority.client(None));
    let aggregator =
        App::aggregator(&[&common[..], &[&database]].concat()).over_tls(authority.client(None));
    publisher.ready().await;
    aggregator.ready().await;

    let event = json!({"topic": "t", "event_id": "1", "payload": {"over": "tls"}});
    let (status, _) = publisher.post("/publish", event.to_string()).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    aggregator.drained(1).await;
    let (_, page) = aggregator.get("/events").await;
    assert_eq!(page["events"][0]["payload"], json!({"over": "tls"}));

    let mut connection = PgConnection::connect(&postgres.url()).await.unwrap();
    let sessions = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl)
                    FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                    WHERE application_name = 'event-aggregator'";
    let (with, without): (i64, i64) = sqlx::query_as(sessions)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(with > 0 && without == 0, "{with} with, {without} without");
    publisher.stop().await;
    aggregator.stop().await;
}

#[tokio::test]
async fn servers_of_another_authority_or_name_are_not_trusted_and_ready_says_what_to_do() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let (_redis, postgres, redis_port) = servers(&authority.sign(&["localhost"])).await;
    let known = authority.write(folder.path(), "ca.pem");
    let other = Authority::new().write(folder.path(), "other.pem");
    for (host, ca, says) in [
        (
            "localhost",
            &other,
            ["with REDIS_CA_CERT", "with sslrootcert in DATABASE_URL"],
        ),
        (
            "127.0.0.1",
            &known,
            ["names in REDIS_URL", "names in DATABASE_URL"],
        ),
    ] {
        let arguments = over_tls(host, redis_port, postgres.port(), ca);
        let app = App::aggregator(&arguments.each_ref().map(String::as_str));
        eventually("it says why", SOON, async || {
            let (status, problem) = app.get("/ready").await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
            let detail = problem["detail"].as_str().unwrap();
            says.iter().all(|says| detail.contains(says))
        })
        .await;
        app.stop().await;
    }
}

#[tokio::test]
async fn authorities_that_the_databases_address_names_must_be_there_at_the_start() {
    let database = "postgres://127.0.0.1:1/none?sslmode=verify-full&sslrootcert=/nowhere%2Fca.pem";
    for program in ["aggregator", "event-aggregator"] {
        let settings = [("DATABASE_URL", database), ("BIND_ADDR", "127.0.0.1:0")];
        let mut process = Running::start(program, &[], &settings);
        assert_eq!(process.wait_exit(SOON).await, Some(1));
        let said = process.output();
        assert!(said.contains("DATABASE_URL /nowhere/ca.pem: "), "{said}");
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_for_new_connections_and_old_ones_live_on() {
    let (first, second) = (Authority::new(), Authority::new());
    let fixture = Fixture::start(&first, &[]).await;
    // It keeps its connection, and could not make another one later.
    let (old, new) = (first.client(None), second.client(None));
    assert!(fixture.is_trusted(&old).await && !fixture.is_trusted(&new).await);

    let pair = second.sign(&HERE);
    fixture.files.put_cert(&pair);
    fixture.files.put_key(&pair);

    let renewed = async || fixture.is_trusted(&new).await;
    eventually("the new certificate is shown", SOON, renewed).await;
    assert!(!fixture.is_trusted(&first.client(None)).await);
    assert!(fixture.is_trusted(&old).await, "its connection lives on");
    fixture.app.stop().await;
}

#[tokio::test]
async fn a_pair_that_does_not_match_changes_nothing_and_heals() {
    let (first, second) = (Authority::new(), Authority::new());
    let fixture = Fixture::start(&first, &[]).await;
    let pair = second.sign(&HERE);
    fixture.files.put_cert(&pair);
    tokio::time::sleep(SEVERAL_LOOKS).await;
    assert!(fixture.is_trusted(&first.client(None)).await);
    fs::remove_file(&fixture.files.key).unwrap();
    tokio::time::sleep(SEVERAL_LOOKS).await;
    assert!(fixture.is_trusted(&first.client(None)).await);

    fixture.files.put_key(&pair);
    let renewed = async || fixture.is_trusted(&second.client(None)).await;
    eventually("the pair is whole again", SOON, renewed).await;
    fixture.app.stop().await;
}

#[tokio::test]
async fn only_a_pair_that_stays_broken_is_logged_and_that_once_or_when_it_is_asked_for() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let files = authority.sign(&HERE).write(folder.path(), "server");
    let [cert, key] = files.arguments();
    let address = format!("--bind-addr=127.0.0.1:{}", free_port());
    let database = database_url(folder.path());
    let program = Running::start("event-aggregator", &[&cert, &key, &address, &database], &[]);
    let said = |what: &str| program.output().matches(what).count();
    let (again, kept) = ("certificates were read again", "stays in force");
    eventually("it listens", SOON, async || said("is listening") > 0).await;

    // The certificate first, and its key after the next look.
    let renewed = authority.sign(&HERE);
    files.put_cert(&renewed);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    files.put_key(&renewed);
    eventually("it is renewed", SOON, async || said(again) == 1).await;
    assert_eq!(said(kept), 0, "a renewal is no error");

    files.put_key(&authority.sign(&HERE));
    eventually("it is logged", SOON, async || said(kept) == 1).await;
    tokio::time::sleep(SEVERAL_LOOKS).await;
    assert_eq!(said(kept), 1, "once");
    program.signal("HUP");
    eventually("who asks is told", SOON, async || said(kept) == 2).await;
    assert!(!program.output().contains("PRIVATE KEY"));
}

#[tokio::test]
async fn clients_without_a_certificate_reach_only_what_is_open() {
    let (authority, other) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let clients = authority.write(folder.path(), "clients.pem");
    let client_ca = format!("--tls-client-ca={}", clients.display());
    let fixture = Fixture::start(&authority, &[&client_ca]).await;
    let known = authority.client(Some(&authority.sign(&["somebody"])));
    let strange = authority.client(Some(&other.sign(&["somebody"])));
    let none = authority.client(None);
    for (path, open) in [
        ("/health", true),
        ("/ready", true),
        ("/stats", false),
        ("/events/t/1", false),
        ("/no/such/path", false),
    ] {
        let expected = if open {
            StatusCode::OK
        } else {
            StatusCode::FORBIDDEN
        };
        assert_eq!(fixture.status(&none, path).await, Some(expected), "{path}");
        assert_ne!(
            fixture.status(&known, path).await,
            Some(StatusCode::FORBIDDEN)
        );
        assert_eq!(fixture.status(&strange, path).await, None, "no handshake");
    }
    for (method, path) in [
        (Method::POST, "/publish"),
        (Method::POST, "/ingest"),
        (Method::PATCH, "/stats"),
        (Method::DELETE, "/dead-letters/1"),
    ] {
        let (status, problem) = answer(fixture.app.request(method, path)).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(
            problem["type"], "urn:event-aggregator:problem:certificate-required",
            "{problem}"
        );
    }
    assert_eq!(fixture.status(&known, "/stats").await, Some(StatusCode::OK));

    // The authorities are followed as well.
    fs::write(clients, other.pem()).unwrap();
    let strange = other.sign(&["somebody"]);
    eventually("the other authority counts", SOON, async || {
        let client = authority.client(Some(&strange));
        fixture.status(&client, "/stats").await == Some(StatusCode::OK)
    })
    .await;
    let known = authority.client(Some(&authority.sign(&["somebody"])));
    assert_eq!(fixture.status(&known, "/health").await, None);
    fixture.app.stop().await;
}

#[tokio::test]
async fn a_certificate_does_not_stand_in_for_a_key() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let clients = authority.write(folder.path(), "clients.pem");
    let keys = folder.path().join("keys.toml");
    let hash = ApiKey::generate().unwrap().hash();
    let key = format!("[[key]]\nname = \"a\"\nscopes = [\"read\"]\nhash = \"{hash}\"\n");
    fs::write(&keys, key).unwrap();
    let fixture = Fixture::start(
        &authority,
        &[
            &format!("--tls-client-ca={}", clients.display()),
            &format!("--api-keys-file={}", keys.display()),
        ],
    )
    .await;
    let known = authority.client(Some(&authority.sign(&["somebody"])));
    let status = fixture.status(&known, "/stats").await;
    assert_eq!(status, Some(StatusCode::UNAUTHORIZED));
    fixture.app.stop().await;
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_and_of_http_only_the_first() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let clients = authority.write(folder.path(), "clients.pem");
    let client_ca = format!("--tls-client-ca={}", clients.display());
    let fixture = Fixture::start(&authority, &[&client_ca]).await;
    let shown = authority.sign(&["somebody"]);
    for tls in [&version::TLS12, &version::TLS13] {
        for offered in [&["http/1.1"][..], &["h2", "http/1.1"], &[]] {
            let mut config = authority.trusted_by(Some(&shown), &[tls]);
            config.alpn_protocols = offered.iter().map(|&name| name.into()).collect();
            let mut stream = connect(fixture.port(), config).unwrap();
            assert_eq!(stream.conn.protocol_version(), Some(tls.version));
            let spoken = stream.conn.alpn_protocol();
            assert_eq!(spoken, offered.last().map(|name| name.as_bytes()));
            let answer = exchange(&mut stream, b"GET /stats HTTP/1.0\r\n\r\n");
            assert!(answer.starts_with("HTTP/1.0 200"), "{tls:?}: {answer}");
        }
        let mut config = authority.trusted_by(Some(&shown), &[tls]);
        config.alpn_protocols = vec!["h2".into()];
        assert!(
            connect(fixture.port(), config).is_err(),
            "HTTP/2 alone is refused"
        );
    }
    fixture.app.stop().await;
}

#[tokio::test]
async fn what_is_no_handshake_gets_no_answer_and_harms_nobody() {
    let authority = Authority::new();
    let fixture = Fixture::start(&authority, &[]).await;
    let mut plain = tcp(fixture.port());
    let answer = exchange(&mut plain, b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(!answer.contains("HTTP"), "{answer}");
    let mut silent = tcp(fixture.port());
    // Until the server has had enough of it.
    let answer = exchange(&mut silent, b"");
    assert!(answer.is_empty(), "{answer}");
    assert!(fixture.is_trusted(&authority.client(None)).await);
    fixture.app.stop().await;
}

#[tokio::test]
async fn silent_connections_keep_nobody_out_and_the_health_check_has_a_way_in() {
    const SILENT: usize = 1100;
    let authority = Authority::new();
    let fixture = Fixture::start(&authority, &["--max-connections=200"]).await;
    let mut silent: Vec<TcpStream> = (0..SILENT).map(|_| tcp(fixture.port())).collect();
    for _ in 0..3 {
        assert!(fixture.is_trusted(&authority.client(None)).await);
        let address = format!("127.0.0.1:{}", fixture.port());
        let cert = fixture.files.cert.display().to_string();
        let settings = [("BIND_ADDR", &*address), ("TLS_CERT", &cert)];
        let mut check = Running::start("event-aggregator", &["healthcheck", "--ready"], &settings);
        assert_eq!(check.wait_exit(SOON).await, Some(0), "{}", check.output());
    }
    // Those that came first have lost their places, and the others are given up soon.
    for stream in silent.iter_mut().step_by(SILENT - 1) {
        assert_eq!(exchange(stream, b""), "");
    }
    fixture.app.stop().await;
}

fn connect(
    port: u16,
    config: ClientConfig,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let server = "127.0.0.1".try_into().unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), server).unwrap();
    let mut stream = tcp(port);
    connection.complete_io(&mut stream)?;
    Ok(StreamOwned::new(connection, stream))
}

fn tcp(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// Sends this, and reads until the end of the connection.
fn exchange(stream: &mut (impl Read + Write), request: &[u8]) -> String {
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    // It may also end by a reset.
    let ended = stream.read_to_end(&mut answer);
    let late = ended.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
    assert!(!late, "the connection has no end");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_program_asks_its_own_server_over_tls_and_no_other() {
    let authority = Authority::new();
    let fixture = Fixture::start(&authority, &[]).await;
    // What is in it does not matter, only that it is the very certificate.
    let pair = authority.sign(&["somewhere.else.example"]);
    fixture.files.put_cert(&pair);
    fixture.files.put_key(&pair);
    let address = format!("--bind-addr=127.0.0.1:{}", fixture.port());
    let other = authority.sign(&HERE).write(fixture.folder.path(), "other");
    let ask = async |files: &PairFiles, arguments: &[&str]| {
        let [cert, key] = files.arguments();
        let arguments = [&[&*cert, &key, &address, "healthcheck"], arguments].concat();
        let mut process = Running::start("event-aggregator", &arguments, &[]);
        (process.wait_exit(SOON).await, process.output())
    };
    let (code, said) = ask(&fixture.files, &[]).await;
    assert_eq!((code, said.trim()), (Some(0), r#"{"status":"alive"}"#));
    let (code, said) = ask(&fixture.files, &["--ready"]).await;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = ask(&other, &[]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("shows another certificate"), "{said}");
    fixture.app.stop().await;
}

#[tokio::test]
async fn eventctl_trusts_whom_it_is_told_to_and_shows_what_it_is_given() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let ca = authority.write(folder.path(), "ca.pem");
    let client_ca = format!("--tls-client-ca={}", ca.display());
    let fixture = Fixture::start(&authority, &[&client_ca]).await;
    let other = Authority::new().write(folder.path(), "other.pem");
    let pair = authority.sign(&["somebody"]).write(folder.path(), "client");
    let strange = Authority::new().sign(&["somebody"]);
    let strange = strange.write(folder.path(), "strange");
    let (here, ca) = (fixture.app.url.as_str(), ca.display().to_string());
    let other = other.display().to_string();
    let elsewhere = here.replace("127.0.0.1", "localhost");
    let plain = here.replace("https:", "http:");
    let show = |pair: &PairFiles| {
        let (cert, key) = (pair.cert.display(), pair.key.display());
        [format!("--cert={cert}"), format!("--cert-key={key}")]
    };
    for (url, ca, pair, code, says) in [
        (here, Some(&ca), Some(&pair), 0, "received"),
        (here, Some(&ca), None, 4, "--cert and --cert-key"),
        (here, Some(&ca), Some(&strange), 3, "does not know"),
        (here, Some(&other), Some(&pair), 3, "--ca-cert"),
        (here, None, Some(&pair), 3, "--ca-cert"),
        (&elsewhere, Some(&ca), Some(&pair), 3, "by a name"),
        (
            here,
            Some(&"nowhere.pem".to_owned()),
            None,
            2,
            "nowhere.pem",
        ),
        (&plain, Some(&ca), Some(&pair), 3, "is away"),
    ] {
        let mut arguments = vec![
            "stats".to_owned(),
            "--patience=1s".to_owned(),
            format!("--url={url}"),
        ];
        arguments.extend(ca.map(|ca| format!("--ca-cert={ca}")));
        arguments.extend(pair.into_iter().flat_map(show));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut process = Running::start("eventctl", &arguments, &[]);
        let ended = process.wait_exit(SOON).await;
        let said = process.output();
        assert_eq!(ended, Some(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    fixture.app.stop().await;
}

#[tokio::test]
async fn settings_about_tls_that_cannot_be_used_stop_the_start() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let [one, other] = ["one", "other"]
        .map(|name| authority.sign(&HERE).write(folder.path(), name))
        .map(|files| [files.cert, files.key].map(|path| path.display().to_string()));
    let (cert, key) = (one[0].as_str(), one[1].as_str());
    for program in ["publisher", "aggregator", "event-aggregator"] {
        for (settings, says) in [
            ([("TLS_CERT", cert), ("TLS_KEY", "")], "set both"),
            ([("TLS_CERT", ""), ("TLS_KEY", key)], "set both"),
            (
                [("TLS_CERT", cert), ("TLS_KEY", &other[1])],
                "not the key of the first certificate",
            ),
            ([("TLS_CERT", cert), ("TLS_KEY", cert)], "no private key"),
            ([("TLS_CERT", key), ("TLS_KEY", key)], "no certificate"),
            (
                [("TLS_CERT", "/nowhere.pem"), ("TLS_KEY", key)],
                "TLS_CERT /nowhere.pem",
            ),
            (
                [("TLS_CLIENT_CA", cert), ("TLS_CERT", "")],
                "TLS_CLIENT_CA needs TLS",
            ),
            (
                [("REDIS_CA_CERT", cert), ("REDIS_URL", "redis://127.0.0.1")],
                "give rediss://",
            ),
            (
                [("REDIS_CA_CERT", key), ("REDIS_URL", "rediss://127.0.0.1")],
                "no certificate",
            ),
        ] {
            let common = [
                ("BIND_ADDR", "127.0.0.1:0"),
                ("DATABASE_URL", "postgres://127.0.0.1:1/none"),
            ];
            let mut process = Running::start(program, &[], &[common, settings].concat());
            let code = process.wait_exit(SOON).await;
            let said = process.output();
            assert_eq!(code, Some(1), "{program}, {settings:?}: {said}");
            assert!(said.contains(says), "{program}, {settings:?}: {said}");
        }
    }
}
