//! `GET /metrics`: what it tells, to whom, and that `docs/METRICS.md` has all of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use redis::AsyncCommands;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tests::{
    SOON,
    app::{App, Deployment, Place, answer, header},
    eventually,
    keys::KeysFile,
    servers::OwnRedis,
};

/// The text of a scrape.
async fn scrape(app: &App) -> String {
    let response = app.ask(Method::GET, "/metrics").await;
    assert_eq!(response.status(), StatusCode::OK);
    let kind = header(&response, "content-type");
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    response.text().await.unwrap()
}

/// The value of a series, such as `queue_events{state="pending"}`.
fn value(text: &str, series: &str) -> Option<f64> {
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

/// The metrics of a scrape by the names that queries use, with their types.
fn families(text: &str) -> BTreeMap<String, String> {
    let declared = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    declared
        .map(|declared| {
            let (name, kind) = declared.split_once(' ').unwrap();
            let ending = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            (format!("{name}{ending}"), kind.to_owned())
        })
        .collect()
}

/// The rows of `docs/METRICS.md`: metric, type, labels, programs.
fn documented() -> Vec<[String; 4]> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/METRICS.md");
    let text = fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let labels = cells[2].split(':').next().unwrap();
        [cells[0].trim_matches('`'), cells[1], labels, cells[4]].map(str::to_owned)
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documentation_has_every_metric_and_no_other() {
    let place = Place::of(Deployment::Services).await;
    // A database is as near to itself as a replica can be.
    let replica = format!("--read-database-url={}", place.database_url());
    let (publisher, aggregator) = (place.publisher(&[]), place.aggregator(&[&replica]));
    let standalone = App::over_sqlite(&[]).await;
    for app in [&publisher, &standalone] {
        app.publish_until_accepted(&json!([{"id": "1"}, {"id": "1"}]))
            .await;
        assert_eq!(
            app.publish(&json!({"id": 1})).await,
            Some(StatusCode::BAD_REQUEST)
        );
    }
    aggregator
        .post("/ingest", json!({"id": "1"}).to_string())
        .await;
    aggregator
        .post("/ingest", json!({"id": 1}).to_string())
        .await;
    aggregator.drained(3).await;
    let documented = documented();
    assert!(documented.len() > 30, "{documented:?}");
    for (program, app) in [
        ("publisher", &publisher),
        ("aggregator", &aggregator),
        ("standalone", &standalone),
    ] {
        // A request counts once it is answered.
        scrape(app).await;
        let text = scrape(app).await;
        let told = families(&text);
        let mut expected = BTreeMap::new();
        for [metric, kind, labels, programs] in &documented {
            if programs == "all" || programs.split(", ").any(|other| other == program) {
                expected.insert(metric.clone(), kind.clone());
                let series = text.lines().find(|line| {
                    let rest = line.strip_prefix(metric.as_str()).unwrap_or_default();
                    rest.starts_with(['{', ' ']) || rest.starts_with("_count")
                });
                let series = series.unwrap_or_else(|| panic!("{metric} of {program}:\n{text}"));
                let labels: BTreeSet<&str> = labels
                    .split(", ")
                    .map(|label| label.trim_matches('`'))
                    .filter(|label| !label.is_empty())
                    .collect();
                let told: BTreeSet<&str> = series
                    .split(['{', ','])
                    .filter_map(|part| part.split_once("=\"").map(|(label, _)| label))
                    .collect();
                assert_eq!(told, labels, "{series}");
            }
        }
        assert_eq!(told, expected, "{program}");
        assert!(text.ends_with("# EOF\n"));
    }
    for app in [publisher, aggregator, standalone] {
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_numbers_are_those_of_stats() {
    let place = Place::of(Deployment::RedisAndSqlite).await;
    let app = place.standalone(&[]);
    app.ready().await;
    let events = json!([{"id": "1"}, {"id": "2"}, {"id": "1"}]);
    app.publish_until_accepted(&events).await;
    let mut redis = place.redis().await;
    let _: () = redis
        .lpush(place.key("queue"), "not an event")
        .await
        .unwrap();
    let stats = app.drained(4).await;
    let text = scrape(&app).await;
    for (metric, member) in [
        ("events_received", "received"),
        ("events_unique", "unique_processed"),
        ("events_duplicate", "duplicate_dropped"),
        ("dead_letters", "dead_lettered"),
        ("topics", "topics_total"),
    ] {
        assert_eq!(value(&text, metric), stats[member].as_f64(), "{metric}");
    }
    assert_eq!(value(&text, "queue_events{state=\"pending\"}"), Some(0.0));
    let accepted = "events_accepted_total{http_route=\"/publish\"}";
    assert_eq!(value(&text, accepted), Some(3.0));
    assert_eq!(
        value(&text, "dependency_up{dependency=\"redis\"}"),
        Some(1.0)
    );

    // A replay moves a delivery from one to the other, or leaves it: a gauge goes down, too.
    let (_, letters) = app.get("/dead-letters").await;
    assert_eq!(letters["count"], 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_think_of_makes_no_series() {
    let app = App::over_sqlite(&[]).await;
    for path in ["/nothing/1", "/nothing/2", "/events/a/b", "/events/c/d"] {
        app.get(path).await;
    }
    let made_up = Method::from_bytes(b"MADEUP").unwrap();
    app.ask(made_up, "/stats").await;
    let text = scrape(&app).await;
    let count = "http_server_request_duration_seconds_count";
    let route = |method: &str, route: &str, status: u16| {
        let series = format!(
            "{count}{{http_request_method=\"{method}\",http_route=\"{route}\",http_response_status_code=\"{status}\"}}"
        );
        value(&text, &series)
    };
    assert_eq!(route("GET", "", 404), Some(2.0));
    assert_eq!(route("GET", "/events/{topic}/{event_id}", 404), Some(2.0));
    assert_eq!(route("_OTHER", "/stats", 405), Some(1.0), "{text}");
    app.stop().await;
}

#[tokio::test]
async fn metrics_need_a_key_unless_they_are_public() {
    let mut file = KeysFile::default();
    let read = file.add("read", "scopes = [\"read\"]");
    let publish = file.add("publish", "scopes = [\"publish\"]");
    file.write();
    let app = App::over_sqlite(&[&file.argument()]).await;
    let status = async |app: &App, key: Option<&str>| {
        let request = app.request(Method::GET, "/metrics");
        let request = match key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        answer(request).await.0
    };
    assert_eq!(status(&app, None).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&app, Some(&publish)).await, StatusCode::FORBIDDEN);
    assert_eq!(status(&app, Some(&read)).await, StatusCode::OK);
    app.stop().await;
    let public = App::over_sqlite(&[&file.argument(), "--metrics-public"]).await;
    assert_eq!(status(&public, None).await, StatusCode::OK);
    public.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dependency_that_is_away_is_down_and_the_rest_is_told() {
    let mut redis = OwnRedis::start().await;
    let place = Place::with_redis(&redis.url()).await;
    let app = place.aggregator(&[]);
    app.ready().await;
    let up = async || value(&scrape(&app).await, "dependency_up{dependency=\"redis\"}");
    assert_eq!(up().await, Some(1.0));
    redis.stop();
    eventually("it is down", SOON, async || up().await == Some(0.0)).await;
    let text = scrape(&app).await;
    assert_eq!(
        value(&text, "dependency_up{dependency=\"postgres\"}"),
        Some(1.0)
    );
    assert_eq!(value(&text, "queue_events{state=\"pending\"}"), None);
    assert!(value(&text, "process_resident_memory_bytes").unwrap() > 0.0);
    redis.restart().await;
    eventually("it is up", SOON, async || up().await == Some(1.0)).await;
    app.stop().await;
}
