//! Certificates that are renewed while a server runs.

use std::{fs, time::Duration};

use tests::{SOON, app::App, certificates::Authority, eventually};

use super::{Fixture, HERE};

/// Files are looked at each second.
const SEVERAL_LOOKS: Duration = Duration::from_millis(2500);

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
    let [cert, key] = [&files.cert, &files.key].map(|path| path.display().to_string());
    let settings = [
        ("TLS_CERT", cert.as_str()),
        ("TLS_KEY", &key),
        ("DATABASE_URL", "sqlite://events.db"),
    ];
    let app = App::process("event-aggregator", &settings);
    let said = |what: &str| app.output().matches(what).count();
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
    app.signal("HUP");
    eventually("who asks is told", SOON, async || said(kept) == 2).await;
    assert!(!app.output().contains("PRIVATE KEY"));
}
