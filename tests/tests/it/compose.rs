//! `docker-compose.yml` and what it must agree with. That the stack works is `scripts/test-stack`'s to show.

use std::{collections::BTreeSet, fs, process::Command};

use reqwest::StatusCode;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tests::{
    app::Place,
    deployment::documents,
    programs::{self, settings},
    servers::{OwnPostgres, OwnRedis, POSTGRES_IMAGE, REDIS_IMAGE},
};

const SERVICES: [&str; 2] = ["publisher", "aggregator"];

fn compose() -> Value {
    documents("docker-compose.yml").remove(0)
}

/// The names in `${NAME:-default}`.
fn variables(text: &str) -> BTreeSet<&str> {
    let names = text.split("${").skip(1);
    names
        .filter_map(|rest| rest.split([':', '}']).next())
        .collect()
}

#[test]
fn the_programs_know_every_setting() {
    for service in SERVICES {
        let known = settings(service);
        let environment = &compose()["services"][service]["environment"];
        for name in environment.as_object().unwrap().keys() {
            assert!(known.contains(name), "{service} has no setting {name}");
        }
    }
}

#[test]
fn the_servers_are_those_that_the_tests_run_on() {
    let compose = compose();
    assert_eq!(compose["services"]["redis"]["image"], REDIS_IMAGE);
    for service in ["postgres", "database-role"] {
        assert_eq!(compose["services"][service]["image"], POSTGRES_IMAGE);
    }
}

/// What follows `--user` for this user of Redis, with the default password.
fn redis_user(name: &str) -> Vec<String> {
    let command = compose()["services"]["redis"]["command"].clone();
    let words = command.as_array().unwrap().iter();
    let words: Vec<&str> = words.map(|word| word.as_str().unwrap()).collect();
    let start = words.windows(2).position(|two| two == ["--user", name]);
    let user = words[start.unwrap() + 1..].iter();
    let password = format!(">${{REDIS_{}_PASSWORD:-events}}", name.to_uppercase());
    user.take_while(|word| !word.starts_with("--"))
        .map(|word| word.replace(&password, ">events"))
        .collect()
}

#[tokio::test]
async fn the_users_of_redis_have_the_rights_that_the_programs_print() {
    let users = SERVICES.map(redis_user);
    for (service, user) in SERVICES.iter().zip(&users) {
        let printed = programs::run(service, &["acl", service], &[]).await.out;
        let words = user.join(" ");
        let expected = words.replace(">events", ">PASSWORD");
        let expected = expected.replacen(" on ", " reset on ", 1);
        assert_eq!(printed.trim(), format!("ACL SETUSER {expected}"));
    }
    let words = users.iter().flat_map(|user| {
        let words = user.iter().map(String::as_str);
        std::iter::once("--user").chain(words)
    });
    let redis = OwnRedis::start_with(&words.collect::<Vec<_>>()).await;
    for service in SERVICES {
        let url = format!("redis://{service}:events@127.0.0.1:{}", redis.port());
        let client = redis::Client::open(url).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let llen = |key: &'static str| redis::cmd("LLEN").arg(key).clone();
        let own = llen("{events}:queue").query_async(&mut connection).await;
        assert_eq!(own, Ok(0));
        let other: redis::RedisResult<i64> = llen("other").query_async(&mut connection).await;
        assert!(other.is_err(), "{service} may use the queue's keys only");
    }
}

#[test]
fn a_service_may_take_longer_to_stop_than_it_does() {
    for service in SERVICES {
        let service = &compose()["services"][service];
        let seconds = |text: &Value| {
            text.as_str()
                .unwrap()
                .trim_end_matches('s')
                .parse::<u32>()
                .unwrap()
        };
        let grace = seconds(&service["environment"]["SHUTDOWN_GRACE_SECONDS"]);
        assert!(seconds(&service["stop_grace_period"]) > grace);
    }
}

#[test]
fn what_is_mounted_for_observability_is_there() {
    let compose = compose();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    for service in ["prometheus", "grafana"] {
        let service = &compose["services"][service];
        assert_eq!(service["profiles"], serde_json::json!(["observability"]));
        let image = service["image"].as_str().unwrap();
        assert!(image.contains(':') && !image.ends_with("latest"), "{image}");
        let volumes = service["volumes"].as_array().unwrap().iter();
        let volumes = volumes.map(|volume| volume.as_str().unwrap());
        for mounted in volumes.filter(|volume| volume.starts_with("./")) {
            let (path, _) = mounted.split_once(':').unwrap();
            assert!(fs::exists(format!("{root}/{path}")).unwrap(), "{mounted}");
            assert!(mounted.ends_with(":ro"), "{mounted}");
        }
    }
}

#[test]
fn the_demo_ends_by_itself() {
    let simulator = &compose()["services"]["simulator"];
    let arguments: Vec<String> = serde_json::from_value(simulator["command"].clone()).unwrap();
    assert!(
        arguments
            .iter()
            .any(|argument| argument.starts_with("--duration=")),
        "{arguments:?}"
    );
    assert_eq!(simulator["restart"], "no");
}

#[test]
fn every_variable_has_a_default_and_is_in_the_example() {
    let file = fs::read_to_string("../docker-compose.yml").unwrap();
    let example = fs::read_to_string("../.env.example").unwrap();
    for name in variables(&file) {
        assert!(
            file.contains(&format!("${{{name}:-")),
            "{name} has no default"
        );
        let explained = example
            .lines()
            .any(|line| line.starts_with(&format!("{name}=")));
        assert!(explained, ".env.example does not name {name}");
    }
    for line in example
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (name, default) = line.split_once('=').unwrap();
        assert!(
            file.contains(&format!("${{{name}:-{default}}}")),
            "{line} is no default"
        );
    }
}

/// The user in a service's `DATABASE_URL`.
fn user(service: &Value) -> String {
    let url = service["environment"]["DATABASE_URL"].as_str().unwrap();
    let user = url.trim_start_matches("postgres://").split(':').next();
    user.unwrap().to_owned()
}

/// What one-shot services do in the stack, on a PostgreSQL here: the aggregator then runs with a role that owns nothing.
#[tokio::test]
async fn the_aggregators_role_is_made_and_may_do_what_the_aggregator_does() {
    let services = &compose()["services"];
    let (role, migrate) = (&services["database-role"], &services["migrate"]);
    let app = user(&services["aggregator"]);
    let owner = role["environment"]["PGUSER"].as_str().unwrap();
    assert_ne!(app, owner);
    assert_eq!(user(migrate), owner);

    let server = OwnPostgres::start().await;
    let mut admin = PgConnection::connect(&server.url()).await.unwrap();
    for statement in [
        "CREATE ROLE events LOGIN SUPERUSER",
        "CREATE DATABASE events OWNER events",
    ] {
        let running = sqlx::query(statement).execute(&mut admin);
        running.await.unwrap();
    }
    let port = server.port().to_string();
    // The second time there is a role already.
    for password in ["first", "it's"] {
        let mut making = Command::new("sh");
        making.args(["-c", role["command"][0].as_str().unwrap()]);
        let database = role["environment"]["PGDATABASE"].as_str().unwrap();
        let settings = [
            ("PGHOST", "127.0.0.1"),
            ("PGPORT", &port),
            ("PGUSER", owner),
            ("PGDATABASE", database),
            ("AGGREGATOR_DB_PASSWORD", password),
            ("ANALYST_DB_PASSWORD", password),
        ];
        let made = programs::run_command(making, &settings).await;
        assert_eq!(made.code, Some(0), "sh runs psql: {}", made.err);
    }
    let url = |role: &str| format!("postgres://{role}@127.0.0.1:{port}/events");
    let arguments: Vec<&str> = migrate["command"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a.as_str().unwrap())
        .collect();
    let settings = [("DATABASE_URL", &*url(owner))];
    let migrated = programs::run("aggregator", &arguments, &settings).await;
    assert_eq!(migrated.code, Some(0), "{}", migrated.err);

    let app = Place::at("", &url(&app)).standalone(&[]);
    app.ready().await;
    let (status, answer) = app
        .post("/publish", r#"{"topic":"t","event_id":"1"}"#)
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    app.drained(1).await;

    let mut analyst = PgConnection::connect(&url("analyst")).await.unwrap();
    for (table, rows) in [
        ("processed_events", 1),
        ("ledger_buckets", 1),
        ("topic_stats_total", 1),
        ("agg_stats_total", 1),
        ("retired_events", 0),
        ("dead_letters", 0),
    ] {
        let count = format!("SELECT count(*) FROM {table}");
        let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(count));
        assert_eq!(
            count.fetch_one(&mut analyst).await.unwrap(),
            rows,
            "{table}"
        );
    }
    for change in [
        "DELETE FROM processed_events",
        "SET default_transaction_read_only = off; DELETE FROM processed_events",
        "SET default_transaction_read_only = off; SELECT open_next_bucket(0)",
    ] {
        let refused = sqlx::raw_sql(change).execute(&mut analyst).await;
        assert!(refused.is_err(), "{change}");
    }
    app.stop().await;
}
