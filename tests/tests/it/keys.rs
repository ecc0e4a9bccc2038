//! API keys: who is let in, to what, and that the file decides at any time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::PathBuf, time::Duration};

use common::auth::ApiKey;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    app::{Answer, App, answer},
    eventually,
    programs::{Running, free_port},
};

const SOON: Duration = Duration::from_secs(20);

/// All routes, and the scope that each asks for.
const ROUTES: [(&str, &str, Option<&str>); 11] = [
    ("GET", "/health", None),
    ("GET", "/ready", None),
    ("POST", "/publish", Some("publish")),
    ("POST", "/ingest", Some("publish")),
    ("GET", "/stats", Some("read")),
    ("HEAD", "/stats", Some("read")),
    ("GET", "/events", Some("read")),
    ("GET", "/events/t/1", Some("read")),
    ("GET", "/dead-letters", Some("read")),
    ("POST", "/dead-letters/replay", Some("admin")),
    ("DELETE", "/dead-letters/1", Some("admin")),
];

/// A file of keys.
struct KeysFile {
    folder: TempDir,
    entries: Vec<(&'static str, String)>,
}

impl KeysFile {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            entries: Vec::new(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("keys.toml")
    }

    /// Adds a key, which is valid once the file was written.
    fn add(&mut self, name: &'static str, rest: &str) -> String {
        let key = ApiKey::generate().unwrap();
        let entry = format!(
            "[[key]]\nname = {name:?}\nhash = \"{}\"\n{rest}\n",
            key.hash()
        );
        self.entries.push((name, entry));
        key.expose().to_owned()
    }

    fn remove(&mut self, name: &str) {
        self.entries.retain(|(other, _)| *other != name);
    }

    fn write(&self) {
        let text: String = self
            .entries
            .iter()
            .map(|(_, entry)| entry.as_str())
            .collect();
        fs::write(self.path(), text).unwrap();
    }

    fn database_url(&self) -> String {
        format!("sqlite://{}/events.db", self.folder.path().display())
    }

    /// The standalone program with these keys.
    async fn start(&self) -> App {
        self.write();
        let app = App::standalone(&[
            &format!("--database-url={}", self.database_url()),
            &format!("--api-keys-file={}", self.path().display()),
            "--redis-url=",
        ]);
        app.ready().await;
        app
    }
}

async fn ask(app: &App, method: &str, path: &str, key: Option<&str>, body: Value) -> Answer {
    let mut request = app.request(method.parse().unwrap(), path);
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    if method == "POST" {
        request = request.json(&body);
    }
    answer(request).await
}

fn event(topic: &str) -> Value {
    json!({"topic": topic, "event_id": "1"})
}

#[tokio::test]
async fn every_route_asks_for_its_scope() {
    let mut file = KeysFile::new();
    let keys = ["publish", "read", "admin"]
        .map(|scope| (scope, file.add(scope, &format!("scopes = [{scope:?}]"))));
    let app = file.start().await;
    for (method, path, needed) in ROUTES {
        let status = async |key: Option<&str>| ask(&app, method, path, key, event("t")).await.0;
        let let_in = |status| !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        for stranger in [None, Some("ea_wrong"), Some("")] {
            let status = status(stranger).await;
            let expected = needed.is_none();
            assert_eq!(
                let_in(status),
                expected,
                "{method} {path}, {stranger:?}: {status}"
            );
            assert!(expected || status == StatusCode::UNAUTHORIZED);
        }
        for (scope, key) in &keys {
            let status = status(Some(key)).await;
            let expected = needed.is_none_or(|needed| needed == *scope);
            assert_eq!(
                let_in(status),
                expected,
                "{method} {path} with {scope}: {status}"
            );
            assert!(expected || status == StatusCode::FORBIDDEN);
        }
    }
    let (_, counters) = ask(&app, "GET", "/stats", Some(&keys[1].1), Value::Null).await;
    assert_eq!(
        counters["received"], 2,
        "only who may publish has: {counters}"
    );
    app.stop().await;
}

#[tokio::test]
async fn a_key_comes_in_either_of_two_headers_and_without_one_the_answer_says_so() {
    let mut file = KeysFile::new();
    let key = file.add("reader", "scopes = [\"read\"]");
    let app = file.start().await;
    let stats = || app.request(Method::GET, "/stats");
    for (header, value) in [
        ("Authorization", format!("Bearer {key}")),
        ("authorization", format!("bearer   {key}")),
        ("X-API-Key", key.clone()),
    ] {
        let (status, _) = answer(stats().header(header, &value)).await;
        assert_eq!(status, StatusCode::OK, "{header}: {value}");
    }
    for (header, value) in [
        ("Authorization", key.clone()),
        ("Authorization", format!("Basic {key}")),
        ("Authorization", "Bearer".to_owned()),
        ("X-API-Key", format!("Bearer {key}")),
        ("X-API-Key", "é".to_owned()),
        ("X-API-Key", "x".repeat(10_000)),
    ] {
        let (status, _) = answer(stats().header(header, &value)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{header}: {value}");
    }
    let response = stats().send().await.unwrap();
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert!(response.headers().contains_key("x-request-id"));
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["type"], "urn:event-aggregator:problem:unauthorized");
    app.stop().await;
}

#[tokio::test]
async fn a_key_for_some_topics_is_for_no_others() {
    let mut file = KeysFile::new();
    let scopes = "scopes = [\"publish\", \"read\", \"admin\"]";
    let all = file.add("all", scopes);
    let some = file.add("some", &format!("{scopes}\ntopics = [\"orders/\", \"x\"]"));
    let app = file.start().await;
    let both = json!([event("orders/eu"), event("payments")]);
    for path in ["/publish", "/ingest", "/publish?partial=true"] {
        let (status, problem) = ask(&app, "POST", path, Some(&some), both.clone()).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("payments") && detail.contains("orders/"),
            "{detail}"
        );
    }
    let (status, _) = ask(&app, "POST", "/ingest", Some(&all), both).await;
    assert_eq!(status, StatusCode::OK);
    let (status, _) = ask(&app, "POST", "/publish", Some(&some), event("orders/eu")).await;
    assert_eq!(status, StatusCode::ACCEPTED);

    for (path, expected) in [
        ("/events?topic=orders%2Feu", StatusCode::OK),
        ("/events?topic=payments", StatusCode::FORBIDDEN),
        ("/events?topic=orders", StatusCode::FORBIDDEN),
        ("/events", StatusCode::FORBIDDEN),
        ("/events/orders%2Feu/1", StatusCode::OK),
        ("/events/payments/1", StatusCode::FORBIDDEN),
        ("/dead-letters", StatusCode::FORBIDDEN),
    ] {
        let (status, _) = ask(&app, "GET", path, Some(&some), Value::Null).await;
        assert_eq!(status, expected, "{path}");
    }
    for (method, path) in [
        ("POST", "/dead-letters/replay"),
        ("DELETE", "/dead-letters/1"),
    ] {
        let (status, _) = ask(&app, method, path, Some(&some), json!({"all": true})).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
    }
    let (_, counters) = ask(&app, "GET", "/stats", Some(&some), Value::Null).await;
    assert_eq!(counters["topics"], json!({"orders/eu": 1}));
    let (_, counters) = ask(&app, "GET", "/stats", Some(&all), Value::Null).await;
    assert_eq!(counters["topics"], json!({"orders/eu": 1, "payments": 1}));
    app.stop().await;
}

#[tokio::test]
async fn the_file_decides_at_any_time_and_a_broken_one_changes_nothing() {
    let mut file = KeysFile::new();
    let old = file.add("old", "scopes = [\"read\"]");
    let app = file.start().await;
    let status = async |key: &str| ask(&app, "GET", "/stats", Some(key), Value::Null).await.0;
    assert_eq!(status(&old).await, StatusCode::OK);

    file.remove("old");
    let new = file.add("new", "scopes = [\"read\"]");
    file.write();
    eventually("the new key works", SOON, async || {
        status(&new).await == StatusCode::OK
    })
    .await;
    assert_eq!(status(&old).await, StatusCode::UNAUTHORIZED, "revoked");

    fs::write(file.path(), "nonsense").unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(status(&new).await, StatusCode::OK);
    fs::remove_file(file.path()).unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(status(&new).await, StatusCode::OK);

    file.remove("new");
    file.add("other", "scopes = [\"read\"]");
    file.write();
    let gone = async || status(&new).await == StatusCode::UNAUTHORIZED;
    eventually("the file is followed again", SOON, gone).await;
    app.stop().await;
}

#[tokio::test]
async fn an_emptied_file_lets_nobody_in_and_a_start_with_it_neither() {
    let mut file = KeysFile::new();
    let last = file.add("last", "scopes = [\"read\"]");
    let app = file.start().await;
    let status = async |app: &App, key: Option<&str>| {
        let (status, _) = ask(app, "GET", "/stats", key, Value::Null).await;
        status
    };
    assert_eq!(status(&app, Some(&last)).await, StatusCode::OK);
    fs::write(file.path(), "# revoked\n").unwrap();
    eventually("the last key is revoked", SOON, async || {
        status(&app, Some(&last)).await == StatusCode::UNAUTHORIZED
    })
    .await;
    assert_eq!(status(&app, None).await, StatusCode::UNAUTHORIZED);
    app.stop().await;

    file.remove("last");
    let app = file.start().await;
    for key in [None, Some(""), Some(last.as_str())] {
        assert_eq!(status(&app, key).await, StatusCode::UNAUTHORIZED, "{key:?}");
    }
    let next = file.add("next", "scopes = [\"read\"]");
    file.write();
    eventually("a key that is added works", SOON, async || {
        status(&app, Some(&next)).await == StatusCode::OK
    })
    .await;
    app.stop().await;
}

#[tokio::test]
async fn a_misplaced_key_is_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    let key = ApiKey::generate().unwrap();
    let key = key.expose();
    let file = folder.path().join("keys.toml").display().to_string();
    for text in [
        format!("{key} = 1"),
        format!("[[{key}]]"),
        format!("[[key]]\nname = \"{key}\"\nscopes = [\"read\"]\nhash = \"x\""),
        format!("[[key]]\nname = \"a\"\nscopes = [\"{key}\"]\nhash = \"x\""),
        format!("[[key]]\nname = \"a\"\nscopes = [\"read\"]\nhash = {key}"),
    ] {
        fs::write(&file, &text).unwrap();
        for keys_file in [file.as_str(), key] {
            let settings = [("API_KEYS_FILE", keys_file), ("BIND_ADDR", "127.0.0.1:0")];
            let mut process = Running::start("publisher", &[], &settings);
            assert_eq!(process.wait_exit(SOON).await, Some(1), "{text}");
            let said = process.output();
            assert!(said.contains("API_KEYS_FILE"), "{said}");
            assert!(!said.contains(&key[..20]), "{text}: {said}");
        }
    }
}

#[tokio::test]
async fn a_hang_up_rereads_the_keys_and_ends_nothing_and_no_log_holds_a_key_or_a_payload() {
    let mut file = KeysFile::new();
    let first = file.add("first", "scopes = [\"publish\", \"read\"]");
    file.write();
    let address = format!("127.0.0.1:{}", free_port());
    let (keys, database) = (file.path().display().to_string(), file.database_url());
    let settings = [
        ("BIND_ADDR", address.as_str()),
        ("DATABASE_URL", &database),
        ("API_KEYS_FILE", &keys),
        ("RUST_LOG", "trace,actix_http=trace"),
    ];
    let mut process = Running::start("event-aggregator", &[], &settings);
    let (client, url) = (tests::http::client(), format!("http://{address}"));
    let ready = async || {
        let answer = client.get(format!("{url}/ready")).send().await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
    };
    eventually("it is ready", SOON, ready).await;
    let publish = async |key: &str| {
        let event = json!({"topic": "t", "event_id": "1", "payload": {"iban": "secret-payload"}});
        let request = client
            .post(format!("{url}/publish"))
            .bearer_auth(key)
            .json(&event);
        request.send().await.unwrap().status()
    };
    assert_eq!(publish(&first).await, StatusCode::ACCEPTED);
    assert_eq!(publish("ea_not-a-key").await, StatusCode::UNAUTHORIZED);

    let second = file.add("second", "scopes = [\"publish\"]");
    file.write();
    process.signal("HUP");
    let works = async || publish(&second).await == StatusCode::ACCEPTED;
    eventually("the second key works", SOON, works).await;
    process.signal("TERM");
    assert_eq!(process.wait_exit(SOON).await, Some(0));
    let log = process.output();
    assert!(log.contains("TRACE"), "all was logged");
    for secret in [first.as_str(), &second, "ea_not-a-key", "secret-payload"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn settings_about_keys_that_cannot_be_used_stop_the_start() {
    let mut file = KeysFile::new();
    file.add("a", "scopes = [\"read\"]");
    file.write();
    let good = file.path().display().to_string();
    let bad = file.folder.path().join("bad.toml").display().to_string();
    fs::write(&bad, "[[key]]\nname = \"a\"\nscopes = [\"everything\"]").unwrap();
    for program in ["publisher", "aggregator", "event-aggregator"] {
        for (keys, disabled, says) in [
            (
                "/nowhere/keys.toml",
                "false",
                "API_KEYS_FILE /nowhere/keys.toml",
            ),
            (bad.as_str(), "false", "line 3: scopes must be"),
            (&good, "true", "contradict"),
        ] {
            let settings = [
                ("API_KEYS_FILE", keys),
                ("AUTH_DISABLED", disabled),
                ("BIND_ADDR", "127.0.0.1:0"),
                ("DATABASE_URL", "postgres://127.0.0.1:1/none"),
            ];
            let mut process = Running::start(program, &[], &settings);
            let code = process.wait_exit(SOON).await;
            let said = process.output();
            assert!(code.is_some_and(|code| code != 0), "{said}");
            assert!(said.contains(says), "{program}: {said}");
        }
    }
}

/// Browsers send such requests for any page, without asking the server first.
#[tokio::test]
async fn without_keys_web_pages_of_others_can_neither_publish_nor_read() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("--database-url=sqlite://{}/e.db", folder.path().display());
    let app = App::standalone(&[&database, "--redis-url="]);
    app.ready().await;
    let publish = |header: &str, value: &str| {
        let request = app.request(Method::POST, "/publish");
        request.header(header, value).body(event("t").to_string())
    };
    for (header, value) in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Host", "evil.example"),
        ("Host", "publisher"),
        ("Host", "10.0.0.1"),
    ] {
        let (status, problem) = answer(publish(header, value)).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{header}: {value}");
        let detail = problem["detail"].as_str().unwrap();
        let remedy = if header == "Host" {
            "ALLOWED_HOSTS"
        } else {
            "CORS_ALLOW_ORIGIN"
        };
        assert!(
            detail.contains("API_KEYS_FILE") && detail.contains(remedy),
            "{detail}"
        );
    }
    for path in ["/stats", "/events"] {
        let read = app
            .request(Method::GET, path)
            .header("Host", "evil.example");
        assert_eq!(answer(read).await.0, StatusCode::FORBIDDEN, "{path}");
    }
    let (status, _) = answer(publish("Sec-Fetch-Site", "same-origin")).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(app.stats().await["received"], 1);
    app.stop().await;

    let app = App::standalone(&[&database, "--redis-url=", "--allowed-hosts=events.internal"]);
    app.ready().await;
    for (host, status) in [
        ("events.internal:8080", StatusCode::OK),
        ("localhost", StatusCode::OK),
        ("evil.example", StatusCode::FORBIDDEN),
    ] {
        let read = app.request(Method::GET, "/stats").header("Host", host);
        assert_eq!(answer(read).await.0, status, "{host}");
    }
    app.stop().await;
}

#[tokio::test]
async fn with_keys_a_program_may_listen_on_any_address_and_makes_its_own_keys() {
    let folder = tempfile::tempdir().unwrap();
    for program in ["publisher", "aggregator", "event-aggregator"] {
        let arguments = [
            "keys",
            "new",
            "dashboard",
            "--scope",
            "read",
            "--topic",
            "a/",
        ];
        let mut process = Running::start(program, &arguments, &[]);
        assert_eq!(process.wait_exit(SOON).await, Some(0));
        let said = process.output();
        let (_, lines) = said.split_once("[[key]]").unwrap();
        fs::write(folder.path().join("keys.toml"), format!("[[key]]{lines}")).unwrap();
    }
    let file = folder.path().join("keys.toml").display().to_string();
    let database = format!("sqlite://{}/events.db", folder.path().display());
    let port = free_port();
    let settings = [
        ("BIND_ADDR", &*format!("0.0.0.0:{port}")),
        ("API_KEYS_FILE", &file),
        ("DATABASE_URL", &database),
    ];
    let _process = Running::start("event-aggregator", &[], &settings);
    eventually("it asks for a key", SOON, async || {
        let answer = tests::http::client()
            .get(format!("http://127.0.0.1:{port}/stats"))
            .send()
            .await;
        answer.is_ok_and(|answer| answer.status() == StatusCode::UNAUTHORIZED)
    })
    .await;
}
