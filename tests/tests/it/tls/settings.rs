//! Settings, and the programs' own health check.

use tests::{
    certificates::{Authority, PairFiles},
    programs,
};

use super::{Fixture, HERE};

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
        let ended = programs::run("event-aggregator", &arguments, &[]).await;
        (ended.code, ended.out + &ended.err)
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
async fn settings_about_tls_that_cannot_be_used_stop_the_start() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let [one, other] = ["one", "other"]
        .map(|name| authority.sign(&HERE).write(folder.path(), name))
        .map(|files| [files.cert, files.key].map(|path| path.display().to_string()));
    let (cert, key) = (one[0].as_str(), one[1].as_str());
    for program in programs::ALL {
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
            let ended = programs::run(program, &[], &[common, settings].concat()).await;
            let said = ended.out + &ended.err;
            assert_eq!(ended.code, Some(1), "{program}, {settings:?}: {said}");
            assert!(said.contains(says), "{program}, {settings:?}: {said}");
        }
    }
}
