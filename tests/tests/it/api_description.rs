//! The `OpenAPI` description: it says what is served, it is the one that is checked in, and its page works without
//! another server. That answers are as described is what `scripts/test-api` asks.

use std::{collections::BTreeSet, fs};

use reqwest::{Method, StatusCode};
use serde_json::Value;
use tests::{
    app::{App, header},
    description::{self, operations, printed},
    keys::KeysFile,
    programs,
};

const CHECKED_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
const STRICT: &str = "default-src 'none'; frame-ancestors 'none'";

async fn with_keys() -> (App, KeysFile) {
    let (keys, _) = KeysFile::of_one();
    (App::over_sqlite(&[&keys.argument()]).await, keys)
}

async fn described_by(app: &App) -> Value {
    app.get("/openapi.json").await.1
}

async fn paths(program: &str) -> BTreeSet<String> {
    let description = description::of(program).await;
    let paths = description["paths"].as_object().unwrap().keys();
    paths.cloned().collect()
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

#[tokio::test]
async fn the_description_that_is_checked_in_is_current() {
    let checked_in = fs::read_to_string(CHECKED_IN).unwrap_or_default();
    assert!(
        printed("event-aggregator").await == checked_in,
        "docs/openapi.json is not what the program says; make it anew: \
         cargo run -- openapi > docs/openapi.json"
    );
}

#[tokio::test]
async fn each_program_describes_what_it_serves_and_the_standalone_one_serves_what_both_do() {
    let (publisher, aggregator) = (paths("publisher").await, paths("aggregator").await);
    let of_every = [
        "/",
        "/docs",
        "/docs/",
        "/docs/{file}",
        "/health",
        "/metrics",
        "/openapi.json",
        "/ready",
    ];
    let of_every: BTreeSet<String> = of_every.map(str::to_owned).into();
    let both: BTreeSet<String> = publisher.intersection(&aggregator).cloned().collect();
    assert_eq!(both, of_every);
    let own: Vec<_> = publisher.difference(&of_every).collect();
    assert_eq!(own, ["/publish"]);
    let either: BTreeSet<String> = publisher.union(&aggregator).cloned().collect();
    assert_eq!(paths("event-aggregator").await, either);
}

#[tokio::test]
async fn a_description_can_be_resolved_and_names_each_operation_once() {
    for program in programs::ALL {
        let description = description::of(program).await;
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
            .map(|operation| operation.description["operationId"].as_str().unwrap())
            .collect();
        assert_eq!(ids.len(), operations.len(), "{program}: {ids:?}");
        for operation in &operations {
            let (method, path) = (&operation.method, &operation.template);
            let description = &operation.description;
            assert!(
                description["summary"].is_string(),
                "{method} {path} has no summary"
            );
            for (status, answer) in description["responses"].as_object().unwrap() {
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

#[tokio::test]
async fn generators_of_clients_find_what_they_can_read() {
    let text = printed("event-aggregator").await;
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
    for operation in operations(&description) {
        let (method, path) = (&operation.method, &operation.template);
        let bodies = operation.description["requestBody"]["content"].as_object();
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
async fn a_server_with_keys_serves_the_description_that_the_program_prints() {
    let (app, _keys) = with_keys().await;
    assert_eq!(
        described_by(&app).await,
        description::of("event-aggregator").await
    );
    app.stop().await;
}

#[tokio::test]
async fn a_method_that_is_not_described_is_refused_with_those_that_are() {
    let app = App::over_sqlite(&[]).await;
    for operation in operations(&described_by(&app).await) {
        let (described, path) = (operation.method.as_str(), &operation.path);
        for method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
        ] {
            let response = app.ask(method.parse().unwrap(), path).await;
            let answered = response.status() != StatusCode::METHOD_NOT_ALLOWED;
            let expected = method == described || (method, described) == ("HEAD", "GET");
            assert_eq!(answered, expected, "{method} {path}: {}", response.status());
            let allow = header(&response, "allow");
            assert!(
                answered || allow.contains(described),
                "{method} {path}: Allow: {allow}"
            );
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_server_that_asks_for_no_keys_says_so() {
    let app = App::over_sqlite(&[]).await;
    for operation in operations(&described_by(&app).await) {
        let (method, path) = (&operation.method, &operation.template);
        assert_eq!(operation.scope, None, "{method} {path}");
    }
    app.stop().await;
}

#[tokio::test]
async fn the_page_and_its_parts_come_from_here_and_run_nothing_from_elsewhere() {
    let app = App::over_sqlite(&[]).await;
    let redirect = app.ask(Method::GET, "/docs").await;
    assert_eq!(redirect.status(), StatusCode::PERMANENT_REDIRECT);
    assert_eq!(
        header(&redirect, "location"),
        "docs/",
        "it works behind a prefix, too"
    );

    let page = app.ask(Method::GET, "/docs/").await;
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(header(&page, "content-type"), "text/html");
    let page = page.text().await.unwrap();
    let parts: Vec<&str> = page
        .split("src=\"")
        .skip(1)
        .chain(page.split("href=\"").skip(1))
        .map(|rest| rest.split('"').next().unwrap().trim_start_matches("./"))
        .collect();
    assert!(parts.len() >= 5, "{page}");
    for part in parts {
        for method in [Method::GET, Method::HEAD] {
            let response = app.ask(method.clone(), &format!("/docs/{part}")).await;
            assert_eq!(response.status(), StatusCode::OK, "{part}");
            let policy = header(&response, "content-security-policy");
            let scripts = policy
                .split("; ")
                .find(|rule| rule.starts_with("script-src"));
            assert_eq!(scripts, Some("script-src 'self'"), "{part}");
            assert!(policy.starts_with("default-src 'none'"), "{part}: {policy}");
            assert!(
                header(&response, "cache-control").contains("max-age"),
                "{part}"
            );
            assert!(response.headers().contains_key("x-request-id"), "{part}");
        }
    }
    let script = app
        .ask(Method::GET, "/docs/swagger-initializer.js")
        .await
        .text()
        .await
        .unwrap();
    assert!(script.contains("\"../openapi.json\""), "{script}");
    app.stop().await;
}

#[tokio::test]
async fn what_the_page_does_not_have_is_a_problem_like_any_other() {
    let app = App::over_sqlite(&[]).await;
    for path in [
        "/docs/nothing",
        "/docs/..%2Fopenapi.json",
        "/docs/a/b",
        "/openapi.yaml",
    ] {
        let response = app.ask(Method::GET, path).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(
            header(&response, "content-type"),
            "application/problem+json",
            "{path}"
        );
        assert_eq!(
            header(&response, "content-security-policy"),
            STRICT,
            "{path}"
        );
        assert_eq!(header(&response, "cache-control"), "no-store", "{path}");
    }
    app.stop().await;
}

#[tokio::test]
async fn the_root_needs_no_key_and_lists_what_is_served_and_browsers_get_a_page() {
    let (app, _keys) = with_keys().await;
    let index = app.ask(Method::GET, "/").await;
    assert_eq!(index.status(), StatusCode::OK);
    let index: Value = index.json().await.unwrap();
    let description = described_by(&app).await;
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
    let described = described.iter().map(|operation| {
        let (method, path) = (&operation.method, &operation.template);
        (method.as_str(), path.as_str())
    });
    assert_eq!(linked, described.collect::<Vec<_>>());

    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let asked = app.request(Method::GET, "/").header("accept", accept);
    let page = asked.send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
    let policy = header(&page, "content-security-policy");
    assert!(
        policy.contains("require-trusted-types-for 'script'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    let page = page.text().await.unwrap();
    assert!(page.contains("href=\"docs/\""), "{page}");
    app.stop().await;

    let publisher = App::publisher(&["--redis-url=redis://127.0.0.1:1"]);
    let asked = publisher.request(Method::GET, "/").header("accept", accept);
    let page = asked.send().await.unwrap().text().await.unwrap();
    assert!(
        page.contains("href=\"docs/\"") && page.contains("of an aggregator"),
        "{page}"
    );
    publisher.stop().await;
}

#[tokio::test]
async fn an_unknown_path_is_answered_with_what_is_near() {
    let near = async |app: &App, path: &str| {
        let (status, problem) = app.get(path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {problem}");
        problem["detail"].as_str().unwrap().to_owned()
    };
    let app = App::over_sqlite(&[]).await;
    for (path, named) in [
        ("/publish/", "use POST /publish"),
        ("/v1/stats", "use GET /stats"),
        ("/events/orders", "GET /events?topic=orders"),
        ("/events/orders", "/events/{topic}/{event_id}"),
        ("/nothing", "GET / lists what is"),
    ] {
        let told = near(&app, path).await;
        assert!(told.contains(named), "{path}: {told}");
    }
    app.stop().await;

    // What another program serves is said to be there, whatever that is.
    let publisher = App::publisher(&["--redis-url=redis://127.0.0.1:1"]);
    let (publishers, aggregators) = (paths("publisher").await, paths("aggregator").await);
    for path in aggregators.difference(&publishers) {
        let told = near(&publisher, &path.replace(['{', '}'], "")).await;
        assert!(
            told.contains("is served by an aggregator"),
            "{path}: {told}"
        );
    }
    publisher.stop().await;
    let elsewhere: Vec<_> = publishers.difference(&aggregators).collect();
    assert_eq!(elsewhere, ["/publish"], "nearby.rs names it");
}

#[tokio::test]
async fn the_time_since_the_start_is_told_with_its_unit() {
    let app = App::over_sqlite(&[]).await;
    let stats = app.stats().await;
    assert_eq!(stats["uptime"], stats["uptime_seconds"]);
    assert!(stats["uptime_seconds"].as_f64() > Some(0.0), "{stats}");
    app.stop().await;
}
