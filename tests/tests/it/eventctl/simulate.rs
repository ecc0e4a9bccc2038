//! Simulated clients.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_simulation_is_exact_though_the_server_is_killed_meanwhile() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let server = start(folder.path(), port).await;
    let url = format!("http://127.0.0.1:{port}");
    let arguments = [
        "simulate",
        "--events=4000",
        "--rate=1500",
        "--seed=3",
        "--json",
    ];
    let simulation = eventctl(&url, &arguments);
    let disaster = async {
        eventually("some events have arrived", SOON, async || {
            let stats = tests::http::client()
                .get(format!("{url}/stats"))
                .send()
                .await;
            let stats: Value = stats.unwrap().json().await.unwrap();
            stats["received"].as_u64() > Some(500)
        })
        .await;
        server.signal("KILL");
        // It has to be gone before another can open its database.
        drop(server);
        // Several batches fall due while it is away.
        tokio::time::sleep(Duration::from_millis(500)).await;
        start(folder.path(), port).await
    };
    let (run, _server) = tokio::join!(simulation, disaster);
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    let report = run.json();
    assert_eq!(
        (&report["exact"], &report["acknowledged"]),
        (&json!(true), &json!(4000))
    );
    assert!(
        report["retried"].as_u64().unwrap() > 0,
        "it was away: {report}"
    );

    let again = eventctl(&url, &["simulate", "--events=1000", "--topics=3"]).await;
    assert_eq!(
        again.code,
        Some(0),
        "not empty, and still exact: {}",
        again.out
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulation_names_the_counters_that_another_client_moved() {
    let fixture = Fixture::start().await;
    let arguments = ["simulate", "--events=200", "--rate=100", "--json"];
    let stranger = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let event = json!({"topic": "shop/orders", "event_id": "a stranger's"});
        fixture.app.post("/publish", event.to_string()).await
    };
    let (run, published) = tokio::join!(fixture.eventctl(&arguments), stranger);
    assert_eq!(
        (run.code, published.0),
        (Some(1), StatusCode::ACCEPTED),
        "{}",
        run.err
    );
    let report = run.json();
    let wrong = report["checks"].as_array().unwrap().iter().filter(|check| {
        let found = check["found"].as_i64();
        found < check["at_least"].as_i64() || found > check["at_most"].as_i64()
    });
    let wrong: Vec<_> = wrong.map(|check| check["what"].as_str().unwrap()).collect();
    assert_eq!(wrong, ["received", "unique", "shop/orders"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulation_without_end_ends_well_on_a_signal() {
    let fixture = Fixture::start().await;
    let arguments = ["simulate", "--rate=200"];
    let mut endless = Running::start(
        "eventctl",
        &arguments,
        &[("EVENTCTL_URL", &fixture.app.url)],
    );
    eventually("it sends", SOON, async || {
        fixture.app.stats().await["received"].as_i64() > Some(100)
    })
    .await;
    endless.signal("TERM");
    assert_eq!(
        endless.wait_exit(SOON).await,
        Some(0),
        "{}",
        endless.output()
    );
    let output = endless.output();
    assert!(
        output.contains("exact:") && output.contains("30% duplicates"),
        "{output}"
    );
    assert!(
        !output.contains('\u{1b}'),
        "no colours where no terminal is: {output}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulation_says_what_it_stores_and_how_long_it_has_left() {
    let fixture = Fixture::start().await;
    let run = fixture
        .eventctl(&["simulate", "--duration=2s", "--rate=50", "--duplicates=0.5"])
        .await;
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    assert!(run.err.contains("stores about 50 events ("), "{}", run.err);
    assert!(
        run.err.contains("00:00:0") && run.err.contains(" left"),
        "{}",
        run.err
    );
}
