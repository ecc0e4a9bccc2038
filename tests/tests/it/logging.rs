//! What the programs log, and that `docs/LOGGING.md` has all of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;
use tests::{
    SOON,
    app::{App, Place},
    eventually, programs,
    servers::OwnRedis,
};

/// The folders of the programs' own code.
const CODE: [&str; 4] = ["common", "publisher", "aggregator", "standalone"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The arguments of a call, up to its last parenthesis.
fn arguments(call: &str) -> &str {
    let (mut depth, mut in_text) = (1, false);
    let end = call.find(|letter| {
        in_text ^= letter == '"';
        depth += match letter {
            '(' if !in_text => 1,
            ')' if !in_text => -1,
            _ => 0,
        };
        depth == 0
    });
    &call[..end.unwrap()]
}

/// The message of a record: the last text in the call that logs it that is not a word alone.
fn message(call: &str) -> String {
    let texts: Vec<&str> = call.split('"').skip(1).step_by(2).collect();
    let longest = texts.iter().max_by_key(|text| text.len()).unwrap();
    // A text over several lines goes on where the next line begins.
    let lines: Vec<&str> = longest.split("\\\n").map(str::trim_start).collect();
    lines.concat()
}

#[test]
fn the_documentation_has_every_message() {
    let documented = fs::read_to_string(root().join("docs/LOGGING.md")).unwrap();
    let mut files = Vec::new();
    for folder in CODE {
        sources(&root().join(folder), &mut files);
    }
    let mut messages = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for level in ["info", "warn", "error"] {
            for call in code.split(&format!("tracing::{level}!(")).skip(1) {
                let call = arguments(call);
                let message = message(call);
                messages += 1;
                // What stands between gaps.
                for part in message.split(['{', '}']).step_by(2) {
                    let part = part.replace('`', "");
                    let part = part.trim();
                    assert!(
                        documented.replace('`', "").contains(part),
                        "docs/LOGGING.md does not have {message:?} of {}",
                        file.display()
                    );
                }
                for field in call
                    .split([',', '\n'])
                    .filter_map(|part| part.split_once(" = "))
                {
                    let name = field.0.trim();
                    assert!(
                        documented.contains(&format!("`{name}`")),
                        "docs/LOGGING.md does not have the field {name} of {message:?}"
                    );
                }
            }
        }
    }
    assert!(messages > 25, "{messages} messages were found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dependency_that_goes_away_and_comes_back_takes_few_lines_however_much_is_refused() {
    const REFUSED: u64 = 50;
    let mut redis = OwnRedis::start().await;
    let place = Place::with_redis(&redis.url()).await;
    let publisher = place.process("publisher", &[]);
    let aggregator = place.process("aggregator", &[]);
    publisher.ready().await;
    aggregator.ready().await;
    publisher.publish_until_accepted(&json!({"id": "1"})).await;
    aggregator.drained(1).await;
    redis.stop();
    publisher.not_ready("redis").await;
    aggregator.not_ready("redis").await;
    for _ in 0..REFUSED {
        let status = publisher.publish(&json!({"id": "2"})).await;
        assert_eq!(status.map(|status| status.as_u16()), Some(503));
    }
    redis.restart().await;
    publisher.ready().await;
    aggregator.ready().await;
    let lines = |app: &App, part: &str| {
        let output = app.output();
        let lines = output.lines().filter(|line| line.contains(part));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    for app in [&publisher, &aggregator] {
        eventually("it says that it works again", SOON, async || {
            lines(app, "redis works again").len() == 1
        })
        .await;
        let errors = lines(app, "ERROR");
        // One trouble may show in several ways.
        assert!((1..=3).contains(&errors.len()), "{errors:?}");
        let said = lines(app, "WARN");
        assert!(said.len() <= 3, "{said:?}");
    }
    let back = lines(&publisher, "redis works again").remove(0);
    let failures = back.split("dependency.failures=").nth(1).unwrap();
    let failures: u64 = failures.split_whitespace().next().unwrap().parse().unwrap();
    assert!(failures >= REFUSED, "{back}");
    publisher.stop().await;
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_under_load_logs_a_line_in_ten_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("events.db").display());
    let app = App::process("event-aggregator", &[("DATABASE_URL", &database)]);
    app.ready().await;
    let before = app.output().lines().count();
    let arguments = ["simulate", "--url", &app.url, "--events", "20000", "--json"];
    let ended = programs::run("eventctl", &arguments, &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    eventually("the summary is logged", SOON, async || {
        app.output().contains("stored events")
    })
    .await;
    let output = app.output();
    let lines = output.lines().count() - before;
    assert!(lines <= 4, "{output}");
    app.stop().await;
}
