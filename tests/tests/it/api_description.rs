//! The `OpenAPI` description: it says what is served, it is the one that is checked in, and its page works without
//! another server. That answers are as described is what `scripts/test-api` asks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs, process::Command};

use common::auth::ApiKey;
use reqwest::{Method, Response, StatusCode, header};
use serde_json::Value;
use tempfile::TempDir;
use tests::{app::App, http, programs};

const CHECKED_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
const STRICT: &str = "default-src 'none'; frame-ancestors 'none'";

/// The standalone program over a new store.
struct Standalone {
    app: App,
    _folder: TempDir,
}

impl Standalone {
    async fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = format!(
            "--database-url=sqlite://{}/events.db",
            folder.path().display()
        );
        let mut all = vec![database.as_str(), "--redis-url="];
        all.extend(arguments);
        let app = App::standalone(&all);
        app.ready().await;
        Self {
            app,
            _folder: folder,
        }
    }

    async fn with_keys() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        let hash = ApiKey::generate().unwrap().hash();
        let keys = format!("[[key]]\nname = \"a\"\nscopes = [\"read\"]\nhash = \"{hash}\"\n");
        fs::write(&path, keys).unwrap();
        Self::start(&[&format!("--api-keys-file={}", path.display())]).await
    }

    async fn ask(&self, method: &str, path: &str) -> Response {
        let method: Method = method.parse().unwrap();
        // No redirect is followed.
        let client = http::builder().redirect(reqwest::redirect::Policy::none());
        let url = format!("{}{path}", self.app.url);
        client
            .build()
            .unwrap()
            .request(method, url)
            .send()
            .await
            .unwrap()
    }

    async fn description(&self) -> Value {
        self.ask("GET", "/openapi.json").await.json().await.unwrap()
    }
}

/// What a program prints as its description.
fn printed(program: &str) -> String {
    let output = Command::new(programs::path(program))
        .arg("openapi")
        .output()
        .unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Method, path and description of each operation.
fn operations(description: &Value) -> Vec<(String, &str, &Value)> {
    let paths = description["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().unwrap();
        item.iter()
            .map(move |(method, operation)| (method.to_uppercase(), path.as_str(), operation))
    });
    operations.collect()
}

fn paths(program: &str) -> BTreeSet<String> {
    let description: Value = serde_json::from_str(&printed(program)).unwrap();
    description["paths"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

/// All values of members of this name.
fn all<'v>(name: &str, value: &'v Value) -> Vec<&'v Value> {
    match value {
        Value::Object(members) => {
            let deeper = members.values().flat_map(|value| all(name, value));
            members.get(name).into_iter().chain(deeper).collect()
        }
        Value::Array(elements) => elements.iter().flat_map(|value| all(name, value)).collect(),
        _ => Vec::new(),
    }
}

fn header(response: &Response, name: header::HeaderName) -> &str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

#[test]
fn the_description_that_is_checked_in_is_current() {
    let checked_in = fs::read_to_string(CHECKED_IN).unwrap_or_default();
    assert!(
        printed("event-aggregator") == checked_in,
        "docs/openapi.json is not what the program says; make it anew: \
         cargo run -- openapi > docs/openapi.json"
    );
}

#[test]
fn each_program_describes_what_it_serves_and_the_standalone_one_serves_what_both_do() {
    let (publisher, aggregator) = (paths("publisher"), paths("aggregator"));
    let of_every = [
        "/",
        "/docs",
        "/docs/",
        "/docs/{file}",
        "/health",
        "/openapi.json",
        "/ready",
    ];
    let of_every: BTreeSet<String> = of_every.map(str::to_owned).into();
    let both: BTreeSet<String> = publisher.intersection(&aggregator).cloned().collect();
    assert_eq!(both, of_every);
    let own: Vec<_> = publisher.difference(&of_every).collect();
    assert_eq!(own, ["/publish"]);
    let either: BTreeSet<String> = publisher.union(&aggregator).cloned().collect();
    assert_eq!(paths("event-aggregator"), either);
}

#[test]
fn a_description_can_be_resolved_and_names_each_operation_once() {
    for program in ["publisher", "aggregator", "event-aggregator"] {
        let description: Value = serde_json::from_str(&printed(program)).unwrap();
        assert_eq!(description["openapi"], "3.1.0");
        for reference in all("$ref", &description) {
            let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
            assert!(
                description.pointer(pointer).is_some(),
                "{program}: {reference} is nowhere"
            );
        }
        let schemas = description["components"]["schemas"].as_object().unwrap();
        let references = all("$ref", &description);
        for name in schemas.keys() {
            let reference = format!("#/components/schemas/{name}");
            assert!(
                references.iter().any(|other| **other == *reference),
                "{program}: nothing has {name}"
            );
        }
        let operations = operations(&description);
        let ids: BTreeSet<_> = operations
            .iter()
            .map(|(_, _, operation)| operation["operationId"].as_str().unwrap())
            .collect();
        assert_eq!(ids.len(), operations.len(), "{program}: {ids:?}");
        for (method, path, operation) in &operations {
            assert!(
                operation["summary"].is_string(),
                "{method} {path} has no summary"
            );
            for (status, answer) in operation["responses"].as_object().unwrap() {
                assert!(
                    answer["headers"]["X-Request-Id"].is_object(),
                    "{method} {path} {status}"
                );
            }
        }
    }
}

/// Every schema of the description, with where it is.
fn schemas<'a>(place: &str, value: &'a Value, found: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Object(members) => {
            found.push((place.to_owned(), value));
            for (name, member) in members
                .iter()
                .filter(|(name, _)| !name.starts_with("example"))
            {
                schemas(&format!("{place}/{name}"), member, found);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                schemas(&format!("{place}/{index}"), element, found);
            }
        }
        _ => {}
    }
}

#[test]
fn generators_of_clients_find_what_they_can_read() {
    let text = printed("event-aggregator");
    let description: Value = serde_json::from_str(&text).unwrap();
    let url = description["servers"][0]["url"].as_str().unwrap();
    assert!(!url.contains(':'), "{url} is not relative");

    let mut all = Vec::new();
    schemas("", &description, &mut all);
    for (place, schema) in all {
        assert!(!schema["type"].is_array(), "{place}: a list of types");
        let named = schema["$ref"].as_str();
        let own = named.and_then(|name| name.strip_prefix("#/components/schemas/"));
        assert!(
            own.is_none_or(|name| !place.starts_with(&format!("/components/schemas/{name}/"))),
            "{place} contains itself"
        );
    }
    for (method, path, operation) in operations(&description) {
        let bodies = operation["requestBody"]["content"].as_object();
        for (media_type, body) in bodies.into_iter().flatten() {
            assert!(
                body["schema"]["$ref"].is_string(),
                "{method} {path}: the body of {media_type} has no name"
            );
        }
    }
    // The order of members is lost in a parsed document.
    let bodies = text.split("\"requestBody\"").skip(1);
    for body in bodies {
        let first = body.find("\"application/").unwrap();
        assert!(body[first..].starts_with("\"application/json\""));
    }
}

#[tokio::test]
async fn a_route_asks_for_a_key_if_and_only_if_its_description_says_so() {
    let server = Standalone::with_keys().await;
    let description = server.description().await;
    assert_eq!(
        description,
        serde_json::from_str::<Value>(&printed("event-aggregator")).unwrap()
    );
    for (method, path, operation) in operations(&description) {
        let path = path.replace("{file}", "index.css").replace(['{', '}'], "");
        let status = server.ask(&method, &path).await.status();
        let keyed = operation["security"] != Value::Array(Vec::new());
        assert_eq!(
            status == StatusCode::UNAUTHORIZED,
            keyed,
            "{method} {path}: {status}"
        );
        assert_ne!(status, StatusCode::NOT_FOUND, "{method} {path}");
        assert_ne!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        for scheme in ["bearer", "api_key"] {
            let scopes = operation["security"]
                .as_array()
                .unwrap()
                .iter()
                .find_map(|one| one.get(scheme));
            assert_eq!(scopes.is_some(), keyed, "{method} {path}: {scheme}");
        }
    }
    server.app.stop().await;
}

#[tokio::test]
async fn a_method_that_is_not_described_is_refused_with_those_that_are() {
    let server = Standalone::start(&[]).await;
    let description = server.description().await;
    for (described, path, _) in operations(&description) {
        let path = path.replace("{file}", "index.css").replace(['{', '}'], "");
        for method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
        ] {
            let response = server.ask(method, &path).await;
            let answered = response.status() != StatusCode::METHOD_NOT_ALLOWED;
            let expected = method == described || (method, &*described) == ("HEAD", "GET");
            assert_eq!(answered, expected, "{method} {path}: {}", response.status());
            let allow = header(&response, header::ALLOW);
            assert!(
                answered || allow.contains(&described),
                "{method} {path}: Allow: {allow}"
            );
        }
    }
    server.app.stop().await;
}

#[tokio::test]
async fn a_server_that_asks_for_no_keys_says_so() {
    let server = Standalone::start(&[]).await;
    let description = server.description().await;
    for (method, path, operation) in operations(&description) {
        assert_eq!(
            operation["security"],
            Value::Array(Vec::new()),
            "{method} {path}"
        );
    }
    server.app.stop().await;
}

#[tokio::test]
async fn the_page_and_its_parts_come_from_here_and_run_nothing_from_elsewhere() {
    let server = Standalone::start(&[]).await;
    let redirect = server.ask("GET", "/docs").await;
    assert_eq!(redirect.status(), StatusCode::PERMANENT_REDIRECT);
    assert_eq!(
        header(&redirect, header::LOCATION),
        "docs/",
        "it works behind a prefix, too"
    );

    let page = server.ask("GET", "/docs/").await;
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(header(&page, header::CONTENT_TYPE), "text/html");
    let page = page.text().await.unwrap();
    let parts: Vec<&str> = page
        .split("src=\"")
        .skip(1)
        .chain(page.split("href=\"").skip(1))
        .map(|rest| rest.split('"').next().unwrap().trim_start_matches("./"))
        .collect();
    assert!(parts.len() >= 5, "{page}");
    for part in parts {
        for method in ["GET", "HEAD"] {
            let response = server.ask(method, &format!("/docs/{part}")).await;
            assert_eq!(response.status(), StatusCode::OK, "{part}");
            let policy = header(&response, header::CONTENT_SECURITY_POLICY);
            let scripts = policy
                .split("; ")
                .find(|rule| rule.starts_with("script-src"));
            assert_eq!(scripts, Some("script-src 'self'"), "{part}");
            assert!(policy.starts_with("default-src 'none'"), "{part}: {policy}");
            assert!(
                header(&response, header::CACHE_CONTROL).contains("max-age"),
                "{part}"
            );
            assert!(response.headers().contains_key("x-request-id"), "{part}");
        }
    }
    let script = server
        .ask("GET", "/docs/swagger-initializer.js")
        .await
        .text()
        .await
        .unwrap();
    assert!(script.contains("\"../openapi.json\""), "{script}");
    server.app.stop().await;
}

#[tokio::test]
async fn what_the_page_does_not_have_is_a_problem_like_any_other() {
    let server = Standalone::start(&[]).await;
    for path in [
        "/docs/nothing",
        "/docs/..%2Fopenapi.json",
        "/docs/a/b",
        "/openapi.yaml",
    ] {
        let response = server.ask("GET", path).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(
            header(&response, header::CONTENT_TYPE),
            "application/problem+json",
            "{path}"
        );
        assert_eq!(
            header(&response, header::CONTENT_SECURITY_POLICY),
            STRICT,
            "{path}"
        );
        assert_eq!(
            header(&response, header::CACHE_CONTROL),
            "no-store",
            "{path}"
        );
    }
    server.app.stop().await;
}

#[tokio::test]
async fn the_root_needs_no_key_and_lists_what_is_served_also_to_a_browser() {
    let server = Standalone::with_keys().await;
    let index = server.ask("GET", "/").await;
    assert_eq!(index.status(), StatusCode::OK);
    let index: Value = index.json().await.unwrap();
    let description = server.description().await;
    assert_eq!(index["name"], description["info"]["title"]);
    assert_eq!(index["version"], description["info"]["version"]);
    let linked = index["links"].as_array().unwrap().iter();
    let linked: Vec<_> = linked
        .map(|link| {
            (
                link["method"].as_str().unwrap(),
                link["path"].as_str().unwrap(),
            )
        })
        .collect();
    let described = operations(&description);
    let described = described.iter().map(|(method, path, _)| (&**method, *path));
    assert_eq!(linked, described.collect::<Vec<_>>());

    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let page = http::client()
        .get(format!("{}/", server.app.url))
        .header(header::ACCEPT, accept)
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(
        header(&page, header::CONTENT_TYPE),
        "text/html; charset=utf-8"
    );
    assert_eq!(header(&page, header::CONTENT_SECURITY_POLICY), STRICT);
    let page = page.text().await.unwrap();
    assert!(
        page.contains("href=\"./docs/\"") && !page.contains("<script"),
        "{page}"
    );
    server.app.stop().await;
}

#[tokio::test]
async fn an_unknown_path_is_answered_with_what_is_near() {
    let near = async |app: &App, path: &str| {
        let (status, problem) = app.get(path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {problem}");
        problem["detail"].as_str().unwrap().to_owned()
    };
    let server = Standalone::start(&[]).await;
    for (path, named) in [
        ("/publish/", "use POST /publish"),
        ("/v1/stats", "use GET /stats"),
        ("/events/orders", "GET /events?topic=orders"),
        ("/events/orders", "/events/{topic}/{event_id}"),
        ("/nothing", "GET / lists what is"),
    ] {
        let told = near(&server.app, path).await;
        assert!(told.contains(named), "{path}: {told}");
    }
    server.app.stop().await;

    // What another program serves is said to be there, whatever that is.
    let publisher = App::publisher(&["--redis-url=redis://127.0.0.1:1"]);
    for path in paths("aggregator").difference(&paths("publisher")) {
        let told = near(&publisher, &path.replace(['{', '}'], "")).await;
        assert!(
            told.contains("is served by an aggregator"),
            "{path}: {told}"
        );
    }
    publisher.stop().await;
    let elsewhere = paths("publisher");
    let elsewhere: Vec<_> = elsewhere
        .difference(&paths("aggregator"))
        .cloned()
        .collect();
    assert_eq!(elsewhere, ["/publish"], "nearby.rs names it");
}

#[tokio::test]
async fn the_time_since_the_start_is_told_with_its_unit() {
    let server = Standalone::start(&[]).await;
    let stats = server.app.stats().await;
    assert_eq!(stats["uptime"], stats["uptime_seconds"]);
    assert!(stats["uptime_seconds"].as_f64() > Some(0.0), "{stats}");
    server.app.stop().await;
}
