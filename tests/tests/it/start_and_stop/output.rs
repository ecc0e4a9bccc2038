//! What programs print and log.

use std::process::Command;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{SOON, app::App, eventually, programs};

use super::{PROGRAMS, one, received};

#[tokio::test]
async fn logs_that_cannot_be_written_lose_nothing_else() {
    let full_disk = "exec 2>/dev/full";
    let reader_gone = "mkfifo log && { : <log & } && exec 2>log";
    for preparation in [
        full_disk,
        reader_gone,
        "exec 2>&-",
        "exec >/dev/full 2>/dev/full",
    ] {
        for (program, settings) in PROGRAMS {
            let settings = [settings, &[("RUST_LOG", "debug")]].concat();
            let mut app = App::prepared(preparation, program, &settings);
            app.alive().await;
            if program == "event-aggregator" {
                app.ready().await;
                assert_eq!(app.publish(&one("1")).await, Some(StatusCode::ACCEPTED));
                received(&app, 1).await;
            }
            app.signal("TERM");
            assert_eq!(app.wait_exit().await, Some(0), "{program}, {preparation}");
        }
    }
}

/// What a shell says of a program whose standard output is `redirected`.
async fn printing(program: &str, command: &str, redirected: &str) -> String {
    let script = format!("{{ \"$0\" {command}; echo \"exit code $?\" >&2; }} {redirected}");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).arg(programs::path(program));
    programs::run_command(shell, &[]).await.err
}

#[tokio::test]
async fn a_reader_that_stops_early_is_not_an_error_and_a_full_disk_is() {
    for (program, command) in [
        ("publisher", "openapi"),
        ("aggregator", "openapi"),
        ("event-aggregator", "openapi"),
        ("publisher", "--help"),
        ("publisher", "keys new a --scope read"),
        ("eventctl", "completions bash"),
    ] {
        let said = printing(program, command, "| true").await;
        assert_eq!(said, "exit code 0\n", "{program} {command}");
    }
    for (program, command, code) in [
        ("publisher", "openapi", 1),
        ("eventctl", "completions bash", 2),
    ] {
        let said = printing(program, command, ">/dev/full").await;
        assert!(said.contains("output cannot be written"), "{said}");
        assert!(said.ends_with(&format!("exit code {code}\n")), "{said}");
    }
    let said = printing("eventctl", "stats --url=ftp://localhost 2>/dev/full", "").await;
    assert_eq!(said, "exit code 2\n");
}

#[tokio::test]
async fn standalone_answers_as_soon_as_it_listens_and_says_so_then() {
    for _ in 0..5 {
        let settings = [("MAX_BODY_BYTES", "1MiB"), ("LEASE_SECONDS", "30s")];
        let app = App::process("event-aggregator", &settings);
        let first = eventually("it answers", SOON, async || app.try_get("/stats").await).await;
        assert_eq!(first.0, StatusCode::OK, "{}", first.1);
        eventually("it says so", SOON, async || app.output().contains(&app.url)).await;
        let file = "data/events.db\n";
        let said = app.output();
        let line = said
            .lines()
            .find(|line| line.contains("stored in"))
            .expect(&said);
        let path = line.split("SQLite, in ").nth(1).expect("its path");
        assert!(
            path.starts_with('/') && format!("{path}\n").ends_with(file),
            "{path}"
        );
        assert!(std::fs::exists(path).is_ok_and(|exists| exists), "{path}");
    }
}

#[tokio::test]
async fn duplicates_and_claims_are_logged_for_who_asks() {
    let settings = [
        ("DATABASE_URL", "sqlite://events.db"),
        ("RUST_LOG", "debug"),
        ("LOG_FORMAT", "json"),
    ];
    let app = App::process("event-aggregator", &settings);
    app.ready().await;
    for _ in 0..2 {
        app.publish(&one("twice")).await;
    }
    let said = app.output();
    let lines: Vec<Value> = said
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let duplicate = lines
        .iter()
        .find(|line| line["event.id"] == "twice")
        .expect(&said);
    assert_eq!(
        (&duplicate["event.topic"], &duplicate["level"]),
        (&json!("t"), &json!("DEBUG"))
    );
    let claim = lines
        .iter()
        .find(|line| line["message"] == "committed a claim")
        .expect(&said);
    assert_eq!(
        (&claim["claim.events"], &claim["level"]),
        (&json!(1), &json!("DEBUG"))
    );
    assert!(claim["record.duration_ms"].is_number());
}
