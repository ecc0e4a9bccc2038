//! Web pages of other origins: kept out, unless they are named.

use reqwest::{Method, Response, StatusCode};
use tests::{
    app::{App, header},
    keys::KeysFile,
    programs,
};

const ORIGIN: &str = "https://app.example";

/// The standalone program with keys, and pages of these origins let in.
async fn start(origins: &str) -> (App, KeysFile) {
    let (keys, _) = KeysFile::of_one();
    let origins = format!("--cors-allow-origin={origins}");
    (App::over_sqlite(&[&keys.argument(), &origins]).await, keys)
}

/// What a browser asks before a page of this origin may send JSON with a key.
async fn preflight(app: &App, origin: &str, method: &str) -> Response {
    let request = app
        .request(Method::OPTIONS, "/publish")
        .header("Origin", origin);
    let request = request.header("Access-Control-Request-Method", method);
    let headers = "authorization,content-type,content-encoding,x-api-key,ce-id";
    request
        .header("Access-Control-Request-Headers", headers)
        .send()
        .await
        .unwrap()
}

async fn read(app: &App, origin: &str) -> Response {
    app.request(Method::GET, "/stats")
        .header("Origin", origin)
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn no_page_is_let_in_unless_its_origin_is_named() {
    let (app, _keys) = start("").await;
    let response = preflight(&app, ORIGIN, "POST").await;
    assert_eq!(
        response.status(),
        StatusCode::UNAUTHORIZED,
        "a method like any other"
    );
    for response in [response, read(&app, ORIGIN).await] {
        for name in response.headers().keys() {
            assert!(!name.as_str().starts_with("access-control"), "{name}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_page_of_a_named_origin_may_ask_without_a_key_and_call_with_one() {
    let (app, _keys) = start("http://localhost:3000, https://app.example").await;
    let response = preflight(&app, ORIGIN, "POST").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "access-control-allow-origin"), ORIGIN);
    assert_eq!(header(&response, "access-control-allow-credentials"), "");
    let allowed = header(&response, "access-control-allow-headers");
    for name in [
        "authorization",
        "x-api-key",
        "content-type",
        "content-encoding",
        "ce-id",
    ] {
        assert!(
            allowed.split(", ").any(|other| other == name),
            "{name}: {allowed}"
        );
    }
    assert!(response.headers().contains_key("x-request-id"));

    let response = read(&app, ORIGIN).await;
    assert_eq!(
        response.status(),
        StatusCode::UNAUTHORIZED,
        "CORS is no key"
    );
    assert_eq!(
        header(&response, "access-control-allow-origin"),
        ORIGIN,
        "the page may read why"
    );
    let exposed = header(&response, "access-control-expose-headers");
    for name in [
        "x-request-id",
        "retry-after",
        "ratelimit",
        "ratelimit-policy",
    ] {
        assert!(
            exposed.split(", ").any(|other| other == name),
            "{name}: {exposed}"
        );
    }
    assert!(header(&response, "vary").to_lowercase().contains("origin"));
    app.stop().await;
}

#[tokio::test]
async fn a_page_of_another_origin_is_kept_out() {
    let (app, _keys) = start(ORIGIN).await;
    for stranger in [
        "https://evil.example",
        "http://app.example",
        "https://app.example:8443",
        "null",
    ] {
        let response = preflight(&app, stranger, "POST").await;
        assert!(!response.status().is_success(), "{stranger}");
        assert_eq!(
            header(&response, "access-control-allow-origin"),
            "",
            "{stranger}"
        );
        let response = read(&app, stranger).await;
        assert_eq!(
            header(&response, "access-control-allow-origin"),
            "",
            "{stranger}"
        );
    }
    let response = preflight(&app, ORIGIN, "PUT").await;
    assert!(!response.status().is_success(), "nothing answers PUT");
    app.stop().await;
}

#[tokio::test]
async fn without_keys_a_page_may_publish_if_and_only_if_its_origin_is_named() {
    let app = App::over_sqlite(&[&format!("--cors-allow-origin={ORIGIN}")]).await;
    for (origin, expected) in [
        (ORIGIN, StatusCode::ACCEPTED),
        ("https://evil.example", StatusCode::FORBIDDEN),
    ] {
        let request = app
            .request(Method::POST, "/publish")
            .header("Origin", origin);
        let response = request.body(r#"{"id":"a"}"#).send().await.unwrap();
        assert_eq!(response.status(), expected, "{origin}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_star_lets_in_every_page_without_credentials() {
    let (app, _keys) = start("*").await;
    for response in [
        preflight(&app, ORIGIN, "DELETE").await,
        read(&app, "null").await,
    ] {
        assert_eq!(header(&response, "access-control-allow-origin"), "*");
        assert_eq!(header(&response, "access-control-allow-credentials"), "");
    }
    app.stop().await;
}

#[tokio::test]
async fn an_origin_that_is_not_valid_stops_the_start_by_name() {
    for program in programs::ALL {
        let settings = [
            ("CORS_ALLOW_ORIGIN", "https://app.example/"),
            ("BIND_ADDR", "127.0.0.1:0"),
        ];
        let ended = programs::run(program, &[], &settings).await;
        assert_eq!(ended.code, Some(2), "{program}");
        let said = ended.err;
        assert!(
            said.contains("--cors-allow-origin") && said.contains("is not an origin"),
            "{said}"
        );
    }
}
