//! Programs as processes: they wait for their servers, survive losing them, and stop in order.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use clap::CommandFactory;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{
    events::Logs,
    eventually,
    programs::{self, Running, free_port},
    servers::{self, OwnPostgres, OwnRedis},
};

const SOON: Duration = Duration::from_secs(30);

/// A program that listens on `port`.
struct Server {
    process: Running,
    url: String,
}

impl Server {
    fn start(program: &str, settings: &[(&str, &str)]) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let settings = [settings, &[("BIND_ADDR", address.as_str())]].concat();
        Self {
            process: Running::start(program, &[], &settings),
            url: format!("http://{address}"),
        }
    }

    /// The program in the same process as `sh`, once that has run `preparation`.
    fn prepared(preparation: &str, program: &str, settings: &[(&str, &str)]) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let settings = [settings, &[("BIND_ADDR", address.as_str())]].concat();
        Self {
            process: Running::start_limited(preparation, program, &settings),
            url: format!("http://{address}"),
        }
    }

    async fn alive(&self) {
        eventually("it is alive", SOON, async || {
            self.status("/health").await == Some(StatusCode::OK)
        })
        .await;
    }

    async fn get(&self, path: &str) -> Option<(StatusCode, Value)> {
        let request = tests::http::client().get(format!("{}{path}", self.url));
        let response = request.timeout(SOON).send().await.ok()?;
        let status = response.status();
        Some((status, response.json().await.unwrap_or_default()))
    }

    async fn status(&self, path: &str) -> Option<StatusCode> {
        self.get(path).await.map(|(status, _)| status)
    }

    async fn publish(&self, body: &Value) -> Option<StatusCode> {
        let request = tests::http::client()
            .post(format!("{}/publish", self.url))
            .json(body)
            .timeout(SOON);
        Some(request.send().await.ok()?.status())
    }

    async fn ready(&self) {
        eventually("it is ready", SOON, async || {
            self.status("/ready").await == Some(StatusCode::OK)
        })
        .await;
    }

    async fn received(&self, count: i64) {
        eventually("all events are counted", SOON, async || {
            matches!(self.get("/stats").await, Some((StatusCode::OK, stats)) if stats["received"] == count)
        })
        .await;
    }
}

fn one(id: &str) -> Value {
    json!({"topic": "t", "event_id": id})
}

#[tokio::test]
async fn both_services_wait_for_servers_that_are_away_and_get_over_losing_them() {
    let mut redis = OwnRedis::start().await;
    let mut postgres = OwnPostgres::start().await;
    let (redis_url, database_url) = (redis.url(), postgres.url());
    redis.stop();
    postgres.stop();
    let settings = [
        ("REDIS_URL", redis_url.as_str()),
        ("DATABASE_URL", database_url.as_str()),
    ];
    let publisher = Server::start("publisher", &settings);
    let aggregator = Server::start("aggregator", &settings);

    for server in [&publisher, &aggregator] {
        eventually("it is alive", SOON, async || {
            server.status("/health").await == Some(StatusCode::OK)
        })
        .await;
        let (status, problem) = server.get("/ready").await.unwrap();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(
            problem["detail"].as_str().unwrap().contains("redis"),
            "{problem}"
        );
    }
    assert_eq!(
        publisher.publish(&one("early")).await,
        Some(StatusCode::SERVICE_UNAVAILABLE)
    );

    redis.restart().await;
    eventually("only the database is missed", SOON, async || {
        let (_, problem) = aggregator.get("/ready").await.unwrap();
        let detail = problem["detail"].as_str().unwrap_or_default();
        detail.contains("postgres") && !detail.contains("redis")
    })
    .await;
    publisher.ready().await;
    assert_eq!(
        publisher.publish(&one("1")).await,
        Some(StatusCode::ACCEPTED)
    );
    postgres.restart().await;
    aggregator.ready().await;
    aggregator.received(1).await;

    // Away later: the database while events arrive, then Redis.
    postgres.stop();
    for id in 2..50 {
        assert_eq!(
            publisher.publish(&one(&id.to_string())).await,
            Some(StatusCode::ACCEPTED)
        );
    }
    assert_eq!(aggregator.status("/health").await, Some(StatusCode::OK));
    assert_eq!(
        aggregator.status("/stats").await,
        Some(StatusCode::SERVICE_UNAVAILABLE)
    );
    postgres.restart().await;
    aggregator.received(49).await;

    redis.stop();
    eventually("the publisher is not ready", SOON, async || {
        publisher.status("/ready").await == Some(StatusCode::SERVICE_UNAVAILABLE)
    })
    .await;
    redis.restart().await;
    publisher.ready().await;
    assert_eq!(
        publisher.publish(&one("50")).await,
        Some(StatusCode::ACCEPTED)
    );
    aggregator.received(50).await;
}

#[tokio::test]
async fn a_stopped_aggregator_hands_back_what_it_cannot_finish() {
    let mut postgres = OwnPostgres::start().await;
    let (redis_url, queue) = (servers::redis_url().await, servers::queue_name());
    let database_url = postgres.url();
    let settings = [
        ("REDIS_URL", redis_url.as_str()),
        ("DATABASE_URL", database_url.as_str()),
        ("QUEUE_NAME", queue.as_str()),
    ];
    let publisher = Server::start("publisher", &settings);
    let mut aggregator = Server::start("aggregator", &settings);
    publisher.ready().await;
    // A worker must have registered before the database goes away: one that has not claims nothing.
    assert_eq!(
        publisher.publish(&one("first")).await,
        Some(StatusCode::ACCEPTED)
    );
    aggregator.received(1).await;
    postgres.stop();
    let batch: Vec<Value> = (0..500).map(|id| one(&id.to_string())).collect();
    assert_eq!(
        publisher.publish(&json!(batch)).await,
        Some(StatusCode::ACCEPTED)
    );
    let mut redis = redis::Client::open(redis_url.as_str())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let mut length = async || -> u64 {
        redis::cmd("LLEN")
            .arg(format!("{{{queue}}}:queue"))
            .query_async(&mut redis)
            .await
            .unwrap()
    };
    eventually("the events are claimed", SOON, async || length().await == 0).await;

    aggregator.process.signal("TERM");
    let code = aggregator.process.wait_exit(SOON).await;
    assert_eq!(code, Some(0));
    assert_eq!(length().await, 500, "they wait in the queue again");

    postgres.restart().await;
    let aggregator = Server::start("aggregator", &settings);
    aggregator.ready().await;
    aggregator.received(501).await;
    let (_, stats) = aggregator.get("/stats").await.unwrap();
    assert_eq!(stats["duplicate_dropped"], 0);
}

#[tokio::test]
async fn stopping_under_load_answers_what_was_accepted_and_stores_it() {
    let folder = tempfile::tempdir().unwrap();
    let database_url = format!("sqlite://{}/events.db", folder.path().display());
    let settings = [("DATABASE_URL", database_url.as_str())];
    let mut server = Server::start("event-aggregator", &settings);
    server.ready().await;
    let events = Logs::generated(4000, 1).events;
    let sending = events.chunks(20).map(|batch| {
        let server = &server;
        async move {
            match server.publish(&json!(batch)).await {
                Some(StatusCode::ACCEPTED) => batch.len(),
                _ => 0,
            }
        }
    });
    let sending = futures_util::future::join_all(sending);
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        server.process.signal("INT");
    };
    let (accepted, ()) = tokio::join!(sending, stopping);
    let accepted: usize = accepted.iter().sum();
    assert_eq!(server.process.wait_exit(SOON).await, Some(0));

    let server = Server::start("event-aggregator", &settings);
    server.ready().await;
    let (_, stats) = server.get("/stats").await.unwrap();
    let received = usize::try_from(stats["received"].as_i64().unwrap()).unwrap();
    // An answer can be lost with its connection, an accepted event cannot.
    assert!(
        received >= accepted,
        "{received} stored, {accepted} accepted"
    );
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut postgres = OwnPostgres::start().await;
    let (redis_url, database_url) = (servers::redis_url().await, postgres.url());
    let mut server = Server::start(
        "event-aggregator",
        &[
            ("REDIS_URL", ""),
            ("DATABASE_URL", database_url.as_str()),
            ("SHUTDOWN_GRACE_SECONDS", "600"),
        ],
    );
    let _ = redis_url;
    server.ready().await;
    postgres.stop();
    // A request that waits for its commit keeps the server from stopping.
    let url = format!("{}/publish", server.url);
    let waiting = tokio::spawn(tests::http::client().post(url).json(&one("1")).send());
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.process.signal("TERM");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    server.process.signal("TERM");
    assert_eq!(
        server.process.wait_exit(Duration::from_secs(5)).await,
        Some(130)
    );
}

/// The programs, with settings with which they start and have somebody to tell about.
const PROGRAMS: [(&str, &[(&str, &str)]); 3] = [
    ("publisher", &[("REDIS_URL", "redis://127.0.0.1:1")]),
    (
        "aggregator",
        &[
            ("REDIS_URL", "redis://127.0.0.1:1"),
            ("DATABASE_URL", "postgres://u@127.0.0.1:1/d"),
        ],
    ),
    ("event-aggregator", &[]),
];

#[tokio::test]
async fn a_hang_up_ends_nothing() {
    for (program, settings) in PROGRAMS {
        let mut server = Server::start(program, settings);
        server.alive().await;
        for _ in 0..3 {
            server.process.signal("HUP");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server.alive().await;
        server.process.signal("TERM");
        let code = server.process.wait_exit(SOON).await;
        assert_eq!(code, Some(0), "{program}: {}", server.process.output());
    }
}

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
            let mut server = Server::prepared(preparation, program, &settings);
            server.alive().await;
            if program == "event-aggregator" {
                server.ready().await;
                assert_eq!(server.publish(&one("1")).await, Some(StatusCode::ACCEPTED));
                server.received(1).await;
            }
            server.process.signal("TERM");
            let code = server.process.wait_exit(SOON).await;
            assert_eq!(code, Some(0), "{program}, {preparation}");
        }
    }
}

/// What a shell says of a program whose standard output is `redirected`.
fn printing(program: &str, command: &str, redirected: &str) -> String {
    let script = format!("{{ \"$0\" {command}; echo \"exit code $?\" >&2; }} {redirected}");
    let run = Command::new("sh")
        .args(["-c", &script])
        .arg(programs::path(program))
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    String::from_utf8_lossy(&run.stderr).into_owned()
}

#[test]
fn a_reader_that_has_read_enough_is_not_an_error_and_a_full_disk_is() {
    for (program, command) in [
        ("publisher", "openapi"),
        ("aggregator", "openapi"),
        ("event-aggregator", "openapi"),
        ("publisher", "--help"),
        ("publisher", "keys new a --scope read"),
        ("eventctl", "completions bash"),
    ] {
        let said = printing(program, command, "| true");
        assert_eq!(said, "exit code 0\n", "{program} {command}");
    }
    for (program, command, code) in [
        ("publisher", "openapi", 1),
        ("eventctl", "completions bash", 2),
    ] {
        let said = printing(program, command, ">/dev/full");
        assert!(said.contains("output cannot be written"), "{said}");
        assert!(said.ends_with(&format!("exit code {code}\n")), "{said}");
    }
    let said = printing("eventctl", "stats --url=ftp://localhost 2>/dev/full", "");
    assert_eq!(said, "exit code 2\n");
}

/// `docker compose` passes on such variables for what nobody has set.
#[tokio::test]
async fn empty_variables_are_unset_ones() {
    for (program, command, names) in [
        (
            "publisher",
            &["openapi"][..],
            variables(&publisher::Settings::command()),
        ),
        (
            "aggregator",
            &["openapi"],
            variables(&aggregator::Settings::command()),
        ),
        (
            "event-aggregator",
            &["openapi"],
            variables(&standalone::Settings::command()),
        ),
        ("eventctl", &["completions", "bash"], eventctl_variables()),
    ] {
        assert!(names.len() > 4, "{program}: {names:?}");
        let settings: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
        let mut process = Running::start(program, command, &settings);
        let code = process.wait_exit(SOON).await;
        assert_eq!(code, Some(0), "{program}: {}", process.output());
    }
    let mut process = Running::start(
        "aggregator",
        &[],
        &[("DATABASE_URL", ""), ("BIND_ADDR", "127.0.0.1:0")],
    );
    assert_eq!(process.wait_exit(SOON).await, Some(1));
    assert!(
        process.output().contains("DATABASE_URL is missing"),
        "{}",
        process.output()
    );
}

fn variables(command: &clap::Command) -> Vec<String> {
    let names = command.get_arguments().filter_map(clap::Arg::get_env);
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

fn eventctl_variables() -> Vec<String> {
    let names = ["URL", "READ_URL", "KEY", "CA_CERT", "CERT", "CERT_KEY"];
    names.map(|name| format!("EVENTCTL_{name}")).into()
}

#[tokio::test]
async fn standalone_answers_as_soon_as_it_listens_and_says_so_then() {
    for _ in 0..5 {
        let server = Server::start(
            "event-aggregator",
            &[("MAX_BODY_BYTES", "1MiB"), ("LEASE_SECONDS", "30s")],
        );
        let first = eventually("it answers", SOON, async || server.get("/stats").await).await;
        assert_eq!(first.0, StatusCode::OK, "{}", first.1);
        eventually("it says so", SOON, async || {
            server.process.output().contains(&server.url)
        })
        .await;
        let file = "data/events.db\n";
        let said = server.process.output();
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

/// Nothing is held up by a database that is away.
#[tokio::test]
async fn standalone_listens_though_its_database_is_away() {
    let away = [("DATABASE_URL", "postgres://u@127.0.0.1:1/d")];
    let server = Server::start("event-aggregator", &away);
    server.alive().await;
    assert_eq!(
        server.status("/stats").await,
        Some(StatusCode::SERVICE_UNAVAILABLE)
    );
    eventually("it says so", SOON, async || {
        server.process.output().contains(&server.url)
    })
    .await;
}

#[tokio::test]
async fn a_value_that_is_not_one_is_answered_with_the_form() {
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
        let mut process = Running::start("publisher", &[], &[(name, value)]);
        assert_eq!(process.wait_exit(SOON).await, Some(2), "{name}={value}");
        let said = process.output();
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
        let mut process = Running::start(program, &[], &settings);
        let code = process.wait_exit(SOON).await;
        let said = process.output();
        assert!(
            code.is_some_and(|code| code != 0),
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
        let mut process = Running::start("aggregator", &["migrate"], &settings);
        assert_eq!(
            process.wait_exit(SOON).await,
            Some(0),
            "{}",
            process.output()
        );
    }
    let pool = sqlx::PgPool::connect(database.url()).await.unwrap();
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM agg_stats")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn a_program_says_how_its_server_is() {
    let mut redis = OwnRedis::start().await;
    let redis_url = redis.url();
    let server = Server::start("publisher", &[("REDIS_URL", redis_url.as_str())]);
    let address = server.url.trim_start_matches("http://");
    let ask = async |arguments: &[&str]| {
        let mut asking = Running::start("publisher", arguments, &[("BIND_ADDR", address)]);
        (asking.wait_exit(SOON).await, asking.output())
    };
    server.ready().await;
    assert_eq!(ask(&["healthcheck"]).await.0, Some(0));
    assert_eq!(ask(&["healthcheck", "--ready"]).await.0, Some(0));

    redis.stop();
    assert_eq!(ask(&["healthcheck"]).await.0, Some(0));
    eventually("it is not ready and says why", SOON, async || {
        let (code, said) = ask(&["healthcheck", "--ready"]).await;
        code == Some(1) && said.contains("redis")
    })
    .await;

    server.process.signal("KILL");
    let (code, said) = ask(&["healthcheck"]).await;
    assert!(
        code == Some(1) && said.contains("does not answer"),
        "{code:?} {said}"
    );
}

#[tokio::test]
async fn duplicates_and_batches_are_logged() {
    let folder = tempfile::tempdir().unwrap();
    let database_url = format!("sqlite://{}/events.db", folder.path().display());
    let server = Server::start(
        "event-aggregator",
        &[
            ("DATABASE_URL", database_url.as_str()),
            ("RUST_LOG", "debug"),
            ("LOG_FORMAT", "json"),
        ],
    );
    server.ready().await;
    for _ in 0..2 {
        server.publish(&one("twice")).await;
    }
    let said = server.process.output();
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
    let batch = lines
        .iter()
        .find(|line| line["batch.duplicates"] == 1)
        .expect(&said);
    assert_eq!(
        (&batch["batch.events"], &batch["level"]),
        (&json!(1), &json!("INFO"))
    );
    assert!(batch["batch.duration_ms"].is_number());
}
