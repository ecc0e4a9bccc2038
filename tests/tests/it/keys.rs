//! API keys: what each key allows, and that the file of keys decides at any time.

use std::{fs, time::Duration};

use edge::auth::ApiKey;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{
    SOON,
    app::{Answer, App, answer},
    description::{self, operations},
    eventually,
    keys::KeysFile,
    programs,
};

/// Longer than it takes until a change of the file is noticed.
const A_WHILE: Duration = Duration::from_millis(1500);
const SCOPES: [&str; 3] = ["publish", "read", "admin"];

/// The standalone program with the keys that were added.
async fn start(file: &KeysFile) -> App {
    file.write();
    App::over_sqlite(&[&file.argument()]).await
}

async fn ask(
    app: &App,
    method: &str,
    path: &str,
    key: Option<&str>,
    body: Option<Value>,
) -> Answer {
    let mut request = app.request(method.parse().unwrap(), path);
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    answer(request).await
}

fn event(topic: &str) -> Value {
    json!({"topic": topic, "event_id": "1"})
}

/// No route can be forgotten here, because the list is the program's own description.
#[tokio::test]
async fn every_route_asks_for_the_scope_that_its_description_names_and_for_no_other() {
    let mut file = KeysFile::default();
    let keys = SCOPES.map(|scope| (scope, file.add(scope, &format!("scopes = [{scope:?}]"))));
    let app = start(&file).await;
    let operations = operations(&description::of("event-aggregator").await);
    for operation in &operations {
        let (path, needed) = (operation.path.as_str(), operation.scope.as_deref());
        // Where a GET is served, a HEAD is served, too.
        let head = (operation.method == Method::GET).then_some(Method::HEAD);
        for method in [operation.method.clone()].into_iter().chain(head) {
            let status = async |key: Option<&str>| {
                let body = operation.takes_body.then(|| event("t"));
                ask(&app, method.as_str(), path, key, body).await.0
            };
            for stranger in [None, Some("ea_wrong"), Some("")] {
                let status = status(stranger).await;
                let case = format!("{method} {path} with {stranger:?}: {status}");
                if needed.is_some() {
                    assert_eq!(status, StatusCode::UNAUTHORIZED, "{case}");
                } else {
                    assert!(!status.is_client_error(), "{case}");
                }
            }
            for (scope, key) in &keys {
                let status = status(Some(key)).await;
                let refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
                let expected = needed.is_some_and(|needed| needed != *scope);
                assert_eq!(refused, expected, "{method} {path} with {scope}: {status}");
                assert!(!refused || status == StatusCode::FORBIDDEN);
            }
        }
    }
    let needing = |scope: &str| {
        let operations = operations.iter();
        operations
            .filter(|operation| operation.scope.as_deref() == Some(scope))
            .count()
    };
    for scope in SCOPES {
        assert!(needing(scope) > 0, "nothing needs the scope {scope}");
    }
    let (_, counters) = ask(&app, "GET", "/stats", Some(&keys[1].1), None).await;
    assert_eq!(
        counters["received"],
        needing("publish"),
        "only the key that may publish has published: {counters}"
    );
    app.stop().await;
}

#[tokio::test]
async fn a_key_comes_in_either_of_two_headers_and_without_one_the_answer_says_so() {
    let mut file = KeysFile::default();
    let key = file.add("reader", "scopes = [\"read\"]");
    let app = start(&file).await;
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
async fn a_key_for_some_topics_is_not_for_others() {
    let mut file = KeysFile::default();
    let scopes = "scopes = [\"publish\", \"read\", \"admin\"]";
    let all = file.add("all", scopes);
    let some = file.add("some", &format!("{scopes}\ntopics = [\"orders/\", \"x\"]"));
    let app = start(&file).await;
    let both = json!([event("orders/eu"), event("payments")]);
    for path in ["/publish", "/ingest", "/publish?partial=true"] {
        let (status, problem) = ask(&app, "POST", path, Some(&some), Some(both.clone())).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("payments") && detail.contains("orders/"),
            "{detail}"
        );
    }
    let (status, _) = ask(&app, "POST", "/ingest", Some(&all), Some(both)).await;
    assert_eq!(status, StatusCode::OK);
    let (status, _) = ask(
        &app,
        "POST",
        "/publish",
        Some(&some),
        Some(event("orders/eu")),
    )
    .await;
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
        let (status, _) = ask(&app, "GET", path, Some(&some), None).await;
        assert_eq!(status, expected, "{path}");
    }
    for (method, path) in [
        ("POST", "/dead-letters/replay"),
        ("DELETE", "/dead-letters/1"),
    ] {
        let (status, _) = ask(&app, method, path, Some(&some), Some(json!({"all": true}))).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
    }
    let (_, counters) = ask(&app, "GET", "/stats", Some(&some), None).await;
    assert_eq!(counters["topics"], json!({"orders/eu": 1}));
    let (_, counters) = ask(&app, "GET", "/stats", Some(&all), None).await;
    assert_eq!(counters["topics"], json!({"orders/eu": 1, "payments": 1}));
    app.stop().await;
}

#[tokio::test]
async fn the_file_decides_at_any_time_and_a_broken_one_changes_nothing() {
    let mut file = KeysFile::default();
    let old = file.add("old", "scopes = [\"read\"]");
    let app = start(&file).await;
    let status = async |key: &str| ask(&app, "GET", "/stats", Some(key), None).await.0;
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
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(status(&new).await, StatusCode::OK);
    fs::remove_file(file.path()).unwrap();
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(status(&new).await, StatusCode::OK);

    file.remove("new");
    file.add("other", "scopes = [\"read\"]");
    file.write();
    let gone = async || status(&new).await == StatusCode::UNAUTHORIZED;
    eventually("the new file counts", SOON, gone).await;
    app.stop().await;
}

#[tokio::test]
async fn an_emptied_file_lets_nobody_in_while_it_runs_or_when_it_starts() {
    let mut file = KeysFile::default();
    let last = file.add("last", "scopes = [\"read\"]");
    let app = start(&file).await;
    let status = async |app: &App, key: Option<&str>| {
        let (status, _) = ask(app, "GET", "/stats", key, None).await;
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
    let app = start(&file).await;
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
            let ended = programs::run("publisher", &[], &settings).await;
            assert_eq!(ended.code, Some(1), "{text}");
            let said = ended.out + &ended.err;
            assert!(said.contains("API_KEYS_FILE"), "{said}");
            assert!(!said.contains(&key[..20]), "{text}: {said}");
        }
    }
}

#[tokio::test]
async fn a_hang_up_rereads_the_keys_and_ends_nothing_and_no_log_holds_a_key_or_a_payload() {
    let mut file = KeysFile::default();
    let first = file.add("first", "scopes = [\"publish\", \"read\"]");
    file.write();
    let path = file.path().display().to_string();
    let settings = [
        ("DATABASE_URL", "sqlite://events.db"),
        ("API_KEYS_FILE", &*path),
        ("RUST_LOG", "trace,actix_http=trace"),
    ];
    let mut app = App::process("event-aggregator", &settings);
    app.ready().await;
    let publish = async |key: &str| {
        let event = json!({"topic": "t", "event_id": "1", "payload": {"iban": "secret-payload"}});
        ask(&app, "POST", "/publish", Some(key), Some(event))
            .await
            .0
    };
    assert_eq!(publish(&first).await, StatusCode::ACCEPTED);
    assert_eq!(publish("ea_not-a-key").await, StatusCode::UNAUTHORIZED);

    let second = file.add("second", "scopes = [\"publish\"]");
    file.write();
    app.signal("HUP");
    let works = async || publish(&second).await == StatusCode::ACCEPTED;
    eventually("the second key works", SOON, works).await;
    app.signal("TERM");
    assert_eq!(app.wait_exit().await, Some(0));
    let log = app.output();
    assert!(log.contains("TRACE"), "all was logged");
    for secret in [first.as_str(), &second, "ea_not-a-key", "secret-payload"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn settings_about_keys_that_cannot_be_used_stop_the_start() {
    let (file, _) = KeysFile::of_one();
    let good = file.path().display().to_string();
    let bad = file.path().with_file_name("bad.toml");
    let bad = bad.display().to_string();
    fs::write(&bad, "[[key]]\nname = \"a\"\nscopes = [\"everything\"]").unwrap();
    for program in programs::ALL {
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
            let ended = programs::run(program, &[], &settings).await;
            let said = ended.out + &ended.err;
            assert!(ended.code.is_some_and(|code| code != 0), "{said}");
            assert!(said.contains(says), "{program}: {said}");
        }
    }
}

/// Browsers send such requests for any page, without asking the server first.
#[tokio::test]
async fn without_keys_web_pages_of_other_origins_can_neither_publish_nor_read() {
    let app = App::over_sqlite(&[]).await;
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

    let app = App::over_sqlite(&["--allowed-hosts=events.internal"]).await;
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
    for program in programs::ALL {
        let arguments = [
            "keys",
            "new",
            "dashboard",
            "--scope",
            "read",
            "--topic",
            "a/",
        ];
        let ended = programs::run(program, &arguments, &[]).await;
        assert_eq!(ended.code, Some(0));
        let said = ended.out + &ended.err;
        let (_, lines) = said.split_once("[[key]]").unwrap();
        fs::write(folder.path().join("keys.toml"), format!("[[key]]{lines}")).unwrap();
    }
    let file = folder.path().join("keys.toml").display().to_string();
    let app = App::process(
        "event-aggregator",
        &[
            ("BIND_ADDR", &format!("0.0.0.0:{}", programs::free_port())),
            ("API_KEYS_FILE", &file),
            ("DATABASE_URL", "sqlite://events.db"),
        ],
    );
    eventually("it asks for a key", SOON, async || {
        app.status("/stats").await == Some(StatusCode::UNAUTHORIZED)
    })
    .await;
}
