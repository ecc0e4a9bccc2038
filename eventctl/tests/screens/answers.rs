//! What a person sees of the answers of a server.

use std::fs;

use event_aggregator_client::testing::{Answer, FakeServer};
use serde_json::{Value, json};

/// Runs the program against a server that gives these answers. The address of the server, which differs each time, is
/// replaced.
async fn screen(arguments: &[&str], answers: Vec<Answer>) -> String {
    let server = FakeServer::start(answers).await;
    let url = format!("--url={}", server.url());
    let screen = super::eventctl(&[&[&*url, "--patience=0s"], arguments].concat()).await;
    screen
        .replace(&format!("{url} --patience=0s "), "")
        .replace(server.url(), "http://server")
}

fn stats() -> Value {
    json!({
        "received": 1_234_567, "unique_processed": 3, "duplicate_dropped": 1_234_563, "dead_lettered": 1,
        "topics": {"orders": 2, "a\u{1b}[2Jb": 1},
        "queue": {"pending": 0, "processing": 0},
        "uptime": 93_784.5, "uptime_seconds": 93_784.5, "uptime_start": "2026-01-01T00:00:00Z",
    })
}

fn events() -> Value {
    let event = |id, topic, payload: Value| {
        json!({
            "id": id, "topic": topic, "event_id": format!("o-{id}"), "timestamp": "2026-01-01T12:00:00Z",
            "source": "shop", "payload": payload, "received_at": "2026-01-01T12:00:01Z",
            "processed_at": "2026-01-01T12:00:02Z", "of_a_later_version": true,
        })
    };
    let events = [
        event(1, "orders", json!({"total": 10, "text": "two  spaces"})),
        event(2, "orders", json!({})),
        event(5, "a\u{1b}[2Jb", json!({"n": 1.0})),
    ];
    json!({"events": events, "count": 3, "next_cursor": null})
}

fn dead_letters() -> Value {
    let letters = [
        json!({
            "id": 3, "reason": "it is not an envelope", "receipt_id": null, "failed_at": "2026-01-01T12:00:00Z",
            "raw": "first\u{7}",
        }),
        json!({
            "id": 12, "reason": "the database refused it", "receipt_id": "0198c5d4-0000-7000-8000-000000000000",
            "failed_at": "2026-01-01T12:00:01Z", "raw_hex": "00ff",
        }),
    ];
    json!({"dead_letters": letters, "count": 2, "next_cursor": null})
}

fn replayed(accepted: u64, refused: &Value) -> Answer {
    Answer::json(
        200,
        &json!({
            "dry_run": false, "accepted": accepted, "duplicates": 0, "refused": refused, "next_cursor": null,
        }),
    )
}

fn problem(status: u16, name: &str, detail: &str) -> Answer {
    let kind = format!("urn:event-aggregator:problem:{name}");
    Answer::json(
        status,
        &json!({"type": kind, "title": "x", "status": status, "detail": detail}),
    )
}

#[tokio::test]
async fn the_counters_are_shown() {
    for (name, arguments) in [
        ("stats", &["stats"][..]),
        ("stats_json", &["stats", "--json"]),
    ] {
        let screen = screen(arguments, vec![Answer::json(200, &stats())]).await;
        insta::assert_snapshot!(name, screen);
    }
}

#[tokio::test]
async fn events_are_listed() {
    let nothing = json!({"events": [], "count": 0, "next_cursor": null});
    for (name, arguments, answer) in [
        ("events", &["events"][..], events()),
        ("events_json", &["events", "--json", "--limit=2"], events()),
        ("events_tail", &["events", "--tail=3"], events()),
        ("events_none", &["events"], nothing.clone()),
        ("events_none_match", &["events", "--topic=t"], nothing),
    ] {
        let screen = screen(arguments, vec![Answer::json(200, &answer)]).await;
        insta::assert_snapshot!(name, screen);
    }
}

#[tokio::test]
async fn dead_letters_are_listed_and_shown() {
    let nothing = json!({"dead_letters": [], "count": 0, "next_cursor": null});
    for (name, arguments, answer) in [
        ("list", &["list"][..], dead_letters()),
        ("list_json", &["list", "--json"], dead_letters()),
        ("list_none", &["list"], nothing),
        ("show", &["show", "12"], dead_letters()),
        ("show_text", &["show", "3"], dead_letters()),
        ("show_json", &["show", "12", "--json"], dead_letters()),
        ("show_unknown", &["show", "4"], dead_letters()),
    ] {
        let arguments = [&["dead-letters"], arguments].concat();
        let screen = screen(&arguments, vec![Answer::json(200, &answer)]).await;
        insta::assert_snapshot!(format!("dead_letters_{name}"), screen);
    }
}

#[tokio::test]
async fn dead_letters_are_replayed_and_deleted() {
    let refused = json!([{"id": 12, "reason": "the database refused it"}]);
    let all = vec![replayed(1, &refused)];
    let shown = screen(&["dead-letters", "replay", "--all"], all.clone()).await;
    insta::assert_snapshot!("dead_letters_replay_all", shown);
    let arguments = ["dead-letters", "replay", "--all", "--dry-run"];
    insta::assert_snapshot!("dead_letters_replay_dry_run", screen(&arguments, all).await);

    // Each of the two is asked for: neither is known.
    let unknown = vec![replayed(0, &json!([])); 3];
    let shown = screen(&["dead-letters", "replay", "4", "5"], unknown).await;
    insta::assert_snapshot!("dead_letters_replay_unknown", shown);

    let gone = vec![
        Answer::json(200, &json!({})),
        problem(404, "not-found", "no dead letter has the id 4"),
    ];
    let shown = screen(&["dead-letters", "delete", "3", "4"], gone).await;
    insta::assert_snapshot!("dead_letters_delete", shown);
}

#[tokio::test]
async fn the_counters_are_verified() {
    let stats = |received, topics: Value| {
        let mut stats = stats();
        stats["received"] = received;
        stats["topics"] = topics;
        Answer::json(200, &stats)
    };
    let right = || stats(json!(1_234_567), json!({"orders": 2, "a\u{1b}[2Jb": 1}));
    let wrong = || stats(json!(1_234_568), json!({"orders": 3}));
    let events = || Answer::json(200, &events());
    let answers = |stats: &dyn Fn() -> Answer| vec![stats(), stats(), events(), stats()];
    let shown = screen(&["verify"], answers(&right)).await;
    insta::assert_snapshot!("verify", shown);
    let shown = screen(&["verify"], answers(&wrong)).await;
    insta::assert_snapshot!("verify_wrong", shown);
    let shown = screen(&["verify", "--counters-only"], vec![right()]).await;
    insta::assert_snapshot!("verify_counters_only", shown);
}

/// The last line of a run that published has times, which differ each time.
fn without_times(screen: &str) -> String {
    let lines = screen.lines().map(|line| {
        if line.ends_with("/s") {
            "(time and rate)"
        } else {
            line
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn published_files_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = file("good", "{\"id\":\"a\"}\n{\"id\":\"b\"}\n");
    let mixed = file("mixed", "{\"id\":\"a\"}\nhello\n{\"topic\":\"t\"}\n");
    let empty = file("empty", "\n");
    let table = file("table", "topic,event_id\nt,1\n");
    let refused = folder.path().join("refused").display().to_string();
    for (name, arguments) in [
        ("good", &[&*good][..]),
        ("mixed", &[&*mixed]),
        ("mixed_with_a_file", &[&*mixed, "--refused", &refused]),
        ("empty", &[&*empty]),
        ("table", &[&*table]),
    ] {
        let shown = screen(&[&["publish"], arguments].concat(), Vec::new()).await;
        let shown = shown.replace(&folder.path().display().to_string(), "/folder");
        insta::assert_snapshot!(format!("publish_{name}"), without_times(&shown));
    }
    insta::assert_snapshot!("publish_refused", fs::read_to_string(refused).unwrap());

    let away = vec![problem(503, "queue-full", "the queue is full")];
    let shown = screen(&["publish", &good], away).await;
    let shown = shown.replace(&folder.path().display().to_string(), "/folder");
    insta::assert_snapshot!("publish_away", without_times(&shown));
}

#[tokio::test]
async fn a_server_that_refuses_or_is_away_is_explained() {
    for (name, answer) in [
        (
            "unauthorized",
            problem(401, "unauthorized", "the key is not known"),
        ),
        (
            "forbidden",
            problem(403, "forbidden", "the key may not read"),
        ),
        (
            "certificate_required",
            problem(
                403,
                "certificate-required",
                "this server asks for a certificate",
            ),
        ),
        (
            "unavailable",
            problem(503, "unavailable", "the database is away"),
        ),
        ("hang_up", Answer::hang_up()),
        ("of_another_program", Answer::json(200, &json!("hello"))),
    ] {
        insta::assert_snapshot!(
            format!("error_{name}"),
            screen(&["stats"], vec![answer]).await
        );
    }
}
