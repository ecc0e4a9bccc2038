//! `docker-compose.yml`, `docker-compose.cluster.yml` and what they must agree with. That the stacks work is
//! `scripts/test-stack`'s to show.

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
const SINGLE: &str = "docker-compose.yml";
const CLUSTER: &str = "docker-compose.cluster.yml";

fn compose(file: &str) -> Value {
    documents(file).remove(0)
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
    for (file, service) in [SINGLE, CLUSTER]
        .iter()
        .flat_map(|file| SERVICES.map(|service| (file, service)))
    {
        let known = settings(service);
        let environment = &compose(file)["services"][service]["environment"];
        for name in environment.as_object().unwrap().keys() {
            assert!(known.contains(name), "{service} has no setting {name}");
        }
    }
}

#[test]
fn the_servers_are_those_that_the_tests_run_on() {
    let single = compose(SINGLE);
    assert_eq!(single["services"]["redis"]["image"], REDIS_IMAGE);
    for service in ["postgres", "database-role"] {
        assert_eq!(single["services"][service]["image"], POSTGRES_IMAGE);
    }
    let cluster = compose(CLUSTER);
    assert_eq!(cluster["services"]["redis-cluster"]["image"], REDIS_IMAGE);
    for (name, service) in cluster["services"].as_object().unwrap() {
        let base = name.trim_end_matches(|c: char| c == '-' || c.is_ascii_digit());
        let own = ["haproxy", "redis-cluster"].contains(&base);
        let extended = serde_json::json!({ "file": SINGLE, "service": base });
        assert!(own || service["extends"] == extended, "{name}");
    }
}

#[test]
fn the_nodes_of_the_cluster_keep_events_as_safely_as_the_one_redis() {
    let settings = |file: &str, redis: &str| -> Vec<Value> {
        let command = compose(file)["services"][redis]["command"].clone();
        let words = command.as_array().unwrap().iter();
        words
            .take_while(|word| *word != "--user")
            .cloned()
            .collect()
    };
    let single = settings(SINGLE, "redis");
    assert!(settings(CLUSTER, "redis-1").starts_with(&single));
}

/// What follows `--user` for this user in a command of Redis, with the default password.
fn redis_user(command: &Value, name: &str) -> Vec<String> {
    let words = command.as_array().unwrap().iter();
    let words: Vec<&str> = words.map(|word| word.as_str().unwrap()).collect();
    let start = words.windows(2).position(|two| two == ["--user", name]);
    let user = words[start.unwrap() + 1..].iter();
    user.take_while(|word| !word.starts_with("--"))
        .map(|word| with_default_password(name, word))
        .collect()
}

fn with_default_password(user: &str, text: &str) -> String {
    let variable = format!("${{REDIS_{}_PASSWORD:-events}}", user.to_uppercase());
    text.replace(&variable, "events")
}

#[tokio::test]
async fn the_users_of_redis_have_the_rights_that_the_programs_print() {
    for (file, redis, key) in [
        (SINGLE, "redis", "{events}:queue"),
        (CLUSTER, "redis-1", "{events:0.1}:queue"),
    ] {
        let services = &compose(file)["services"];
        let users = SERVICES.map(|user| redis_user(&services[redis]["command"], user));
        for (service, user) in SERVICES.iter().zip(&users) {
            let environment = services[service]["environment"].as_object().unwrap();
            let named = ["REDIS_URL", "QUEUE_SHARDS", "REDIS_WAIT_REPLICAS"];
            let named = named.map(|name| {
                let value = environment.get(name)?.as_str()?;
                Some((name, with_default_password(service, value)))
            });
            let settings: Vec<_> = named
                .iter()
                .flatten()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let printed = programs::run(service, &["acl", service], &settings).await;
            let words = user.join(" ");
            let expected = words.replace(">events", ">PASSWORD");
            let expected = expected.replacen(" on ", " reset on ", 1);
            let expected = format!("ACL SETUSER {expected}");
            assert_eq!(printed.out.trim(), expected, "{file}");
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
            let own = llen(key).query_async(&mut connection).await;
            assert_eq!(own, Ok(0));
            let other: redis::RedisResult<i64> = llen("other").query_async(&mut connection).await;
            assert!(other.is_err(), "{service} may use the queue's keys only");
        }
    }
}

#[test]
fn a_service_may_take_longer_to_stop_than_it_does() {
    for service in SERVICES {
        let service = &compose(SINGLE)["services"][service];
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
fn what_is_mounted_is_there_and_cannot_be_changed() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    for file in [SINGLE, CLUSTER] {
        let compose = compose(file);
        let services = compose["services"].as_object().unwrap().values();
        let volumes = services.filter_map(|service| service["volumes"].as_array());
        let volumes = volumes.flatten().map(|volume| volume.as_str().unwrap());
        let mounted: Vec<&str> = volumes.filter(|volume| volume.starts_with("./")).collect();
        assert!(!mounted.is_empty());
        for mounted in mounted {
            let (path, _) = mounted.split_once(':').unwrap();
            assert!(fs::exists(format!("{root}/{path}")).unwrap(), "{mounted}");
            assert!(mounted.ends_with(":ro"), "{mounted}");
        }
    }
}

#[test]
fn images_of_others_have_a_version_and_observability_is_asked_for() {
    let (single, cluster) = (compose(SINGLE), compose(CLUSTER));
    for (compose, service) in [
        (&single, "prometheus"),
        (&single, "grafana"),
        (&cluster, "haproxy"),
    ] {
        let image = compose["services"][service]["image"].as_str().unwrap();
        assert!(image.contains(':') && !image.ends_with("latest"), "{image}");
    }
    for service in ["prometheus", "grafana"] {
        let profiles = &single["services"][service]["profiles"];
        assert_eq!(*profiles, serde_json::json!(["observability"]));
    }
}

#[test]
fn the_demo_ends_by_itself() {
    let simulator = &compose(SINGLE)["services"]["simulator"];
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
    let files = [SINGLE, CLUSTER].map(|file| fs::read_to_string(format!("../{file}")).unwrap());
    let file = files.join("");
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
    let services = &compose(SINGLE)["services"];
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
