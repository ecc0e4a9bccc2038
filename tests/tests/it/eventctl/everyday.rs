//! What people do by hand: send one event, look at it, take events out and put them back, name their servers.

use tests::{app::Place, servers::OwnRedis};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_sent_without_json_and_found_again() {
    let fixture = Fixture::start().await;
    let ready = fixture.eventctl(&["ready"]).await;
    assert_eq!(
        ready.out, "ready: events are accepted and stored\n",
        "{}",
        ready.err
    );
    let send = [
        "send",
        "orders",
        "--id=o-1",
        "--source=shop",
        "customer.name=Ada",
        "total:=12.50",
        "items:=[1,2]",
    ];
    let sent = fixture.eventctl(&send).await;
    assert_eq!(sent.out, "accepted orders / o-1\n", "{}", sent.err);
    fixture.app.drained(1).await;
    let shown = fixture.eventctl(&["event", "orders", "o-1"]).await;
    assert!(shown.out.contains("source       shop\n"), "{}", shown.out);
    let json = fixture
        .eventctl(&["event", "orders", "o-1", "--json"])
        .await
        .json();
    let payload = json!({"customer": {"name": "Ada"}, "items": [1, 2], "total": 12.50});
    assert_eq!(json["payload"], payload);
    let topics = fixture.eventctl(&["topics"]).await.out;
    assert!(topics.contains("orders       1           0"), "{topics}");
    let none = fixture.eventctl(&["event", "orders", "o-2"]).await;
    assert!(
        none.err.contains("eventctl events --topic orders"),
        "{}",
        none.err
    );
    let sent = fixture.eventctl(&["send", "orders", "--json"]).await;
    assert_eq!(sent.json()["topic"], "orders", "{}", sent.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_can_be_published_again_and_csv_has_a_header() {
    let fixture = Fixture::start().await;
    let input = fixture.file("input", &lines(0, 700));
    let published = fixture
        .eventctl(&["publish", &input, "--ingest", "--json"])
        .await
        .json();
    assert_eq!(
        (&published["new"], &published["duplicates"]),
        (&json!(700), &json!(0))
    );
    let export = fixture.eventctl(&["events", "--export"]).await.out;
    assert_eq!(export.lines().count(), 700);
    let again = fixture.file("export", &export);
    let published = fixture.eventctl(&["publish", &again, "--ingest"]).await;
    assert!(
        published.out.contains("  duplicates  700"),
        "{}",
        published.out
    );
    let other = Fixture::start().await;
    let moved = other
        .eventctl(&["publish", &again, "--ingest", "--json"])
        .await
        .json();
    assert_eq!(moved["new"], 700);
    // Numbers and white space in payloads are as they were.
    assert_eq!(
        other.eventctl(&["events", "--export"]).await.out.len(),
        export.len()
    );

    let csv = fixture.eventctl(&["events", "--csv"]).await.out;
    let mut rows = csv.lines();
    assert_eq!(
        rows.next(),
        Some("topic,event_id,timestamp,source,payload,received_at,processed_at")
    );
    assert_eq!(rows.count(), 700);
    let since = fixture
        .eventctl(&["events", "--since=1h", "--json"])
        .await
        .out;
    assert_eq!(since.lines().count(), 700);
    let until = fixture
        .eventctl(&["events", "--since=2h", "--until=1h"])
        .await
        .out;
    assert_eq!(until, "no events that match\n");
    let last = fixture.eventctl(&["events"]).await.out;
    assert_eq!(last.lines().count(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn following_begins_at_now_unless_an_option_says_otherwise() {
    let fixture = Fixture::start().await;
    let publish = async |from, to| {
        let input = fixture.file("input", &lines(from, to));
        assert_eq!(fixture.eventctl(&["publish", &input]).await.code, Some(0));
    };
    publish(0, 30).await;
    let follow = ["events", "--follow", "--json"];
    let mut follow = Running::start("eventctl", &follow, &[("EVENTCTL_URL", &fixture.app.url)]);
    let mut next = 30;
    eventually("what comes from now on is printed", SOON, async || {
        publish(next, next + 1).await;
        next += 1;
        !follow.output().is_empty()
    })
    .await;
    follow.signal("INT");
    assert_eq!(follow.wait_exit(SOON).await, Some(0), "{}", follow.output());
    for line in follow.output().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let id: usize = event["event_id"].as_str().unwrap().parse().unwrap();
        assert!(id >= 30, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_stands_for_a_server_and_its_key() {
    let fixture = Fixture::start().await;
    let home = fixture.folder.path().join("home");
    let eventctl = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(programs::path("eventctl"));
        command
            .args(arguments)
            .env_clear()
            .env("XDG_CONFIG_HOME", &home);
        let output = command.output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let add = [
        "profile",
        "add",
        "here",
        "--url",
        &fixture.app.url,
        "--key=ek_geheim",
    ];
    let (code, out, err) = eventctl(&add).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("--profile here"), "{out}");
    let (_, listed, _) = eventctl(&["profile", "list"]).await;
    assert!(
        listed.contains(&fixture.app.url) && !listed.contains("geheim"),
        "{listed}"
    );
    let (code, out, err) = eventctl(&["--profile=here", "stats", "--json"]).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("\"received\":0"), "{out}");
    let (code, _, err) = eventctl(&["--profile=there", "stats"]).await;
    assert_eq!(code, Some(2));
    assert!(err.contains("there are: here"), "{err}");
    assert_eq!(eventctl(&["profile", "remove", "here"]).await.0, Some(0));
    let (_, none, _) = eventctl(&["profile", "list"]).await;
    assert!(none.starts_with("no profiles; add one with"), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_says_that_it_waits_and_for_how_long() {
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let waiting = ["stats", "--patience=1s"];
    let run = eventctl(&nowhere, &waiting).await;
    assert_eq!(run.code, Some(3));
    assert!(
        run.err.contains(&format!("waiting for {nowhere}")),
        "{}",
        run.err
    );
    assert!(run.err.contains("(--patience)"), "{}", run.err);
    assert_eq!(run.err.matches("waiting for").count(), 1, "{}", run.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_is_asked_for_counters_is_told_from_an_aggregator() {
    let redis = OwnRedis::start().await;
    let place = Place::with_redis(&redis.url()).await;
    let publisher = place.publisher(&[]);
    publisher.ready().await;
    let run = eventctl(&publisher.url, &["stats"]).await;
    assert_eq!(run.code, Some(4));
    assert!(
        run.err.contains("this is a publisher: set --read-url"),
        "{}",
        run.err
    );
    publisher.stop().await;
}
