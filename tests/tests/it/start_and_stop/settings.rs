//! Settings of a program, and what it says about those that it cannot use.

use std::collections::BTreeSet;

use tests::{programs, servers};

/// `docker compose` passes on such variables for what nobody has set.
#[tokio::test]
async fn empty_variables_are_unset_ones() {
    for (program, command, names) in [
        (
            "publisher",
            &["openapi"][..],
            programs::settings("publisher"),
        ),
        ("aggregator", &["openapi"], programs::settings("aggregator")),
        (
            "event-aggregator",
            &["openapi"],
            programs::settings("event-aggregator"),
        ),
        ("eventctl", &["completions", "bash"], eventctl_variables()),
    ] {
        assert!(names.len() > 4, "{program}: {names:?}");
        let settings: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
        let ended = programs::run(program, command, &settings).await;
        assert_eq!(ended.code, Some(0), "{program}: {}", ended.err);
    }
    let settings = [("DATABASE_URL", ""), ("BIND_ADDR", "127.0.0.1:0")];
    let ended = programs::run("aggregator", &[], &settings).await;
    assert_eq!(ended.code, Some(1));
    let said = ended.out + &ended.err;
    assert!(said.contains("DATABASE_URL is missing"), "{said}");
}

fn eventctl_variables() -> BTreeSet<String> {
    let names = ["URL", "READ_URL", "KEY", "CA_CERT", "CERT", "CERT_KEY"];
    names.map(|name| format!("EVENTCTL_{name}")).into()
}

#[tokio::test]
async fn a_value_that_is_not_valid_is_answered_with_the_form_it_should_have() {
    for (name, value, says) in [
        ("BIND_ADDR", "8080", "127.0.0.1:8080"),
        ("BIND_ADDR", "localhost:8080", "such as 127.0.0.1:8080"),
        ("MAX_EVENT_BYTES", "1MB", "write 1MiB"),
        ("MAX_BODY_BYTES", "lots", "such as 1MiB"),
        ("SHUTDOWN_GRACE_SECONDS", "30sec", "such as 30s"),
        ("RUST_LOG", "warning", "write error, warn, info"),
        ("RUST_LOG", "publisher", "TARGET=LEVEL"),
        ("RUST_LOG", "publsher=debug", "not a crate of this program"),
        ("ALLOWED_HOSTS", "http://x", "without scheme"),
    ] {
        let ended = programs::run("publisher", &[], &[(name, value)]).await;
        assert_eq!(ended.code, Some(2), "{name}={value}");
        let said = ended.err;
        // It may be wrapped.
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(says), "{name}={value}: {said}");
    }
}

#[tokio::test]
async fn bad_settings_stop_the_start_with_a_message_that_names_them() {
    for (program, settings, named) in [
        ("publisher", vec![("BIND_ADDR", "nowhere")], "--bind-addr"),
        (
            "publisher",
            vec![("BIND_ADDR", "0.0.0.0:0")],
            "AUTH_DISABLED",
        ),
        (
            "publisher",
            vec![("REDIS_URL", "http://s3cret@x")],
            "REDIS_URL",
        ),
        ("publisher", vec![("QUEUE_NAME", "a b")], "--queue-name"),
        (
            "publisher",
            vec![("MAX_BODY_BYTES", "0")],
            "--max-body-bytes",
        ),
        (
            "publisher",
            vec![("RUST_LOG", "aggregator=loud")],
            "RUST_LOG",
        ),
        ("publisher", vec![("LOG_FORMAT", "xml")], "--log-format"),
        ("aggregator", vec![], "DATABASE_URL"),
        (
            "aggregator",
            vec![("DATABASE_URL", "s3cret")],
            "DATABASE_URL",
        ),
        (
            "aggregator",
            vec![
                ("DATABASE_URL", "postgres://u@127.0.0.1/d"),
                ("WORKERS", "0"),
            ],
            "--workers",
        ),
        (
            "event-aggregator",
            vec![("DATABASE_URL", "mysql://u:s3cret@x/y")],
            "DATABASE_URL",
        ),
        (
            "event-aggregator",
            vec![("LEASE_SECONDS", "soon")],
            "--lease-seconds",
        ),
    ] {
        let ended = programs::run(program, &[], &settings).await;
        let said = ended.out + &ended.err;
        assert!(
            ended.code.is_some_and(|code| code != 0),
            "{program} {settings:?}: {said}"
        );
        assert!(said.contains(named), "{program} {settings:?}: {said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
}

#[tokio::test]
async fn the_tables_can_be_made_alone() {
    let database = servers::database().await;
    let settings = [("DATABASE_URL", database.url())];
    for _ in 0..2 {
        let migrated = programs::run("aggregator", &["migrate"], &settings).await;
        assert_eq!(migrated.code, Some(0), "{}", migrated.err);
    }
    let pool = sqlx::PgPool::connect(database.url()).await.unwrap();
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM agg_stats")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(rows, 1);
}
