//! Certificates of clients.

use std::fs;

use reqwest::{Client, Method, StatusCode};
use tests::{
    SOON,
    app::answer,
    certificates::{Authority, PairFiles},
    description::{self, operations},
    eventually,
    keys::KeysFile,
    programs,
};

use super::Fixture;

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
    let operations = operations(&description::of("event-aggregator").await);
    let described = operations.iter().map(|operation| {
        (
            &operation.method,
            &*operation.path,
            operation.scope.is_none(),
        )
    });
    let others = [
        (&Method::GET, "/no/such/path", false),
        (&Method::PATCH, "/stats", false),
    ];
    for (method, path, is_open) in described.chain(others) {
        let ask = |client: &Client| {
            let url = format!("{}{path}", fixture.app.url);
            client.request(method.clone(), url)
        };
        let (status, problem) = answer(ask(&none)).await;
        if is_open {
            assert_ne!(status, StatusCode::FORBIDDEN, "{method} {path}");
        } else {
            assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path}");
            let expected = "urn:event-aggregator:problem:certificate-required";
            assert_eq!(problem["type"], expected, "{method} {path}: {problem}");
        }
        let (status, _) = answer(ask(&known)).await;
        assert_ne!(status, StatusCode::FORBIDDEN, "{method} {path}");
        assert!(ask(&strange).send().await.is_err(), "there is no handshake");
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
async fn a_certificate_does_not_replace_a_key() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let clients = authority.write(folder.path(), "clients.pem");
    let (keys, _) = KeysFile::of_one();
    let fixture = Fixture::start(
        &authority,
        &[
            &format!("--tls-client-ca={}", clients.display()),
            &keys.argument(),
        ],
    )
    .await;
    let known = authority.client(Some(&authority.sign(&["somebody"])));
    let status = fixture.status(&known, "/stats").await;
    assert_eq!(status, Some(StatusCode::UNAUTHORIZED));
    fixture.app.stop().await;
}

#[tokio::test]
async fn eventctl_trusts_the_authority_it_is_told_to_and_shows_the_certificate_it_is_given() {
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
        let ended = programs::run("eventctl", &arguments, &[]).await;
        let said = ended.out + &ended.err;
        assert_eq!(ended.code, Some(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    fixture.app.stop().await;
}
