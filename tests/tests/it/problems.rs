//! A document of each problem that the servers can answer with, as it was last accepted.
//!
//! When a change is wanted: `INSTA_UPDATE=always scripts/test -E 'test(problems::)'`, and commit what it has changed.

use std::{collections::BTreeSet, io};

use edge::problem::{Kind, Problem};
use futures_util::stream;
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tests::{
    SOON,
    app::{App, Place, header},
    certificates::Authority,
    eventually,
    keys::KeysFile,
    programs::free_port,
    raw::{self, Raw},
};

/// The headers that belong to a problem.
const HEADERS: [&str; 6] = [
    "content-type",
    "accept",
    "accept-encoding",
    "allow",
    "retry-after",
    "www-authenticate",
];
/// No key here may send as many requests at once.
const OVER_EVERY_RATE: usize = 30;

/// The problems that were shown so far.
#[derive(Default)]
struct Shown(BTreeSet<String>);

impl Shown {
    /// Sends a request; the problem in its answer must be as it was accepted under this name.
    async fn ask(&mut self, name: &str, request: RequestBuilder) {
        let answer = request.send().await.expect("an answer");
        self.answer(name, answer).await;
    }

    async fn answer(&mut self, name: &str, answer: Response) {
        let headers = HEADERS.map(|name| (name, header(&answer, name).to_owned()));
        let headers = headers.iter().filter(|(_, value)| !value.is_empty());
        let headers: Vec<_> = headers
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let headers = headers.join("\n");
        let status = answer.status();
        let problem = answer.json().await.expect("a problem is JSON");
        self.problem(name, &format!("{status}\n{headers}\n\n"), &problem);
    }

    fn problem(&mut self, name: &str, head: &str, problem: &Value) {
        self.0.insert(problem["type"].as_str().unwrap().to_owned());
        let document = serde_json::to_string_pretty(problem).unwrap();
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("snapshots/problems");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.add_filter(r"127\.0\.0\.1:\d+", "[address]");
        settings.add_filter(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "[time]");
        settings.add_filter(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "[id]");
        settings.bind(|| insta::assert_snapshot!(name, format!("{head}{document}\n")));
    }
}

#[tokio::test]
async fn each_problem_is_as_it_was_accepted() {
    let mut shown = Shown::default();
    wrong_requests(&mut shown).await;
    keys(&mut shown).await;
    certificates(&mut shown).await;
    bounds(&mut shown).await;
    servers_away(&mut shown).await;
    not_on_request(&mut shown);
    let kinds = Kind::ALL.iter().map(|kind| kind.type_uri()).collect();
    assert_eq!(shown.0, kinds);
}

async fn wrong_requests(shown: &mut Shown) {
    let app = App::over_sqlite(&["--max-body-bytes=4096"]).await;
    let post = |body: &'static str| app.request(Method::POST, "/publish").body(body);
    shown.ask("malformed-body", post("nonsense")).await;
    shown.ask("invalid-batch", post(r#"{"events":"x"}"#)).await;
    let second_is_wrong = r#"[{"id":"a"},{"id":1}]"#;
    shown.ask("invalid-event", post(second_is_wrong)).await;
    let too_large = post("").body(" ".repeat(4097));
    shown.ask("too-large", too_large).await;
    let table = post("topic,event_id").header("content-type", "text/csv");
    shown.ask("unsupported-media-type", table).await;
    let compressed = post("").header("content-encoding", "br");
    shown.ask("unsupported-encoding", compressed).await;
    let of_another_page = post("{}").header("sec-fetch-site", "cross-site");
    shown.ask("forbidden-to-pages", of_another_page).await;
    let of_another_host = post("{}").header("host", "elsewhere.example");
    shown.ask("forbidden-host", of_another_host).await;
    for (name, method, path) in [
        ("invalid-parameter", Method::GET, "/events?limit=0"),
        ("not-found-event", Method::GET, "/events/orders/1"),
        ("not-found-path", Method::GET, "/v1/stats"),
        ("method-not-allowed", Method::PUT, "/ingest"),
    ] {
        shown.ask(name, app.request(method, path)).await;
    }
    // A body that never comes.
    let nothing = Body::wrap_stream(stream::pending::<io::Result<Vec<u8>>>());
    shown.ask("request-timeout", post("").body(nothing)).await;
    app.stop().await;
}

async fn keys(shown: &mut Shown) {
    let mut keys = KeysFile::default();
    let key = keys.add(
        "key",
        "scopes = [\"publish\"]\ntopics = [\"orders/\"]\nrequests_per_second = 1",
    );
    keys.write();
    let app = App::over_sqlite(&[&keys.argument()]).await;
    shown
        .ask("unauthorized", app.request(Method::GET, "/stats"))
        .await;
    let read = app.request(Method::GET, "/stats").bearer_auth(&key);
    shown.ask("forbidden-scope", read).await;
    let publish = || app.request(Method::POST, "/publish").bearer_auth(&key);
    let payment = r#"{"topic":"payments","event_id":"1"}"#;
    shown.ask("forbidden-topic", publish().body(payment)).await;
    for _ in 0..OVER_EVERY_RATE {
        let answer = publish().body("{}").send().await.unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            shown.answer("rate-limited", answer).await;
            break;
        }
    }
    app.stop().await;
}

async fn certificates(shown: &mut Shown) {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let pair = authority
        .sign(&["127.0.0.1"])
        .write(folder.path(), "server");
    let clients = authority.write(folder.path(), "clients.pem");
    let [cert, key] = pair.arguments();
    let clients = format!("--tls-client-ca={}", clients.display());
    let app = App::over_sqlite_unready(&[&cert, &key, &clients]).over_tls(authority.client(None));
    let read = app.request(Method::GET, "/stats");
    shown.ask("certificate-required", read).await;
    app.stop().await;
}

async fn bounds(shown: &mut Shown) {
    let app = App::over_sqlite(&["--queue-max-len=1"]).await;
    let two = app.request(Method::POST, "/publish");
    let two = two.body(r#"[{"id":"a"},{"id":"b"}]"#);
    shown.ask("queue-full", two).await;
    app.stop().await;

    let app = App::over_sqlite(&["--max-requests-in-flight=1"]).await;
    let overloaded = eventually("the place is taken", SOON, async || {
        let mut client = Raw::to(&app).await;
        let unfinished = raw::post_with("/publish", "Content-Length: 100", "");
        client.send(unfinished).await;
        let answer = app.ask(Method::GET, "/stats").await;
        let refused = answer.status() == StatusCode::SERVICE_UNAVAILABLE;
        refused.then_some((answer, client))
    })
    .await;
    shown.answer("overloaded", overloaded.0).await;
    drop(overloaded.1);
    app.stop().await;
}

async fn servers_away(shown: &mut Shown) {
    let nobody = format!("redis://127.0.0.1:{}", free_port());
    let publisher = Place::at(&nobody, "").publisher(&[]);
    publisher.not_ready("redis").await;
    let event = publisher.request(Method::POST, "/publish");
    let event = event.body(r#"{"id":"a"}"#);
    shown.ask("unavailable", event).await;
    let ready = publisher.request(Method::GET, "/ready");
    shown.ask("unavailable-not-ready", ready).await;
    publisher.stop().await;
}

/// No request brings these about: one would be a defect, and while a server stops, it takes no more requests.
fn not_on_request(shown: &mut Shown) {
    for (name, kind) in [
        ("internal", Kind::Internal),
        ("shutting-down", Kind::ShuttingDown),
    ] {
        let problem = serde_json::to_value(Problem::new(kind, "[detail]")).unwrap();
        shown.problem(name, "", &problem);
    }
}
