//! The alert rules and the board, with a real Prometheus.

use std::{path::Path, process::Command, time::Duration};

use redis::AsyncCommands;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection, raw_sql};
use tests::{
    SOON,
    app::Place,
    deployment::documents,
    eventually, programs,
    prometheus::{Prometheus, deployed},
    servers::OwnRedis,
};

/// How long a query may take to find something: two scrapes, and what rates need.
const FOUND_WITHIN: Duration = Duration::from_mins(1);
/// What may wait in the queue.
const MAX_LEN: usize = 2000;

/// From now on every insert fails with a serialization failure, which is tried again.
const CONFLICTS: &str = "
    CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$;
    CREATE TRIGGER conflict BEFORE INSERT ON processed_events FOR EACH ROW EXECUTE FUNCTION conflict()";

/// The rules as they are, but in seconds instead of minutes.
fn hurried(rules: &str) -> String {
    let mut rules = rules
        .replace("[5m]", "[10s]")
        .replace("[10m]", "[10s]")
        .replace("[15m]", "[10s]")
        .replace("> 60", "> 1");
    for time in ["1m", "5m", "10m"] {
        rules = rules.replace(&format!("for: {time}"), "for: 0s");
    }
    rules
}

/// The queries of the board.
fn queries() -> Vec<String> {
    let board: Value =
        serde_json::from_str(&deployed("grafana/boards/event-aggregator.json")).unwrap();
    let panels = board["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
        panel["targets"].as_array().unwrap()
    });
    let query = |target: &Value| {
        let query = target["expr"].as_str().unwrap();
        query.replace("$__rate_interval", "10s")
    };
    targets.map(query).collect()
}

/// What the rules compare, and their names.
fn rules() -> Vec<(String, String)> {
    let rules = documents("deploy/prometheus/alerts.yml").remove(0);
    let rules = rules["groups"][0]["rules"].as_array().unwrap().clone();
    let text = |rule: &Value, member: &str| rule[member].as_str().unwrap().to_owned();
    rules
        .iter()
        .map(|rule| (text(rule, "alert"), text(rule, "expr")))
        .collect()
}

#[test]
fn the_tests_of_the_rules_pass_and_each_rule_has_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus");
    for arguments in [
        &["check", "config", "prometheus.yml"][..],
        &["test", "rules", "alerts_test.yml"],
    ] {
        let mut command = Command::new("promtool");
        let ended = command
            .args(arguments)
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }
    let tests = deployed("prometheus/alerts_test.yml");
    let documentation = include_str!("../../../docs/OBSERVABILITY.md");
    for (alert, _) in rules() {
        let fires = format!("alertname: {alert}\n        exp_alerts");
        assert!(tests.contains(&fires), "no test fires {alert}");
        assert!(
            documentation.contains(&format!("`{alert}`")),
            "{alert} is not explained"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_finds_what_stats_says_and_each_trouble_is_told() {
    let mut redis = OwnRedis::start().await;
    let place = Place::with_redis(&redis.url()).await;
    let max_len = MAX_LEN.to_string();
    let publisher = place.process("publisher", &[("QUEUE_MAX_LEN", &max_len)]);
    let workers = [
        ("QUEUE_MAX_LEN", max_len.as_str()),
        ("WORKERS", "1"),
        ("BATCH_SIZE", "10"),
    ];
    let aggregator = place.process("aggregator", &workers);
    publisher.ready().await;
    aggregator.ready().await;
    let prometheus = Prometheus::start(publisher.address(), aggregator.address(), hurried).await;
    // Rates need a value from before.
    eventually("both are scraped", SOON, async || {
        prometheus.query("sum(up)").await == [2.0]
    })
    .await;
    let arguments = [
        "simulate",
        "--url",
        &publisher.url,
        "--read-url",
        &aggregator.url,
        "--events",
        "3000",
        "--rate",
        "500",
        "--json",
    ];
    let ended = programs::run("eventctl", &arguments, &[]).await;
    assert_eq!(ended.code, Some(0), "{} {}", ended.out, ended.err);
    // A client that makes a mistake, and a delivery that is not an event.
    publisher
        .post("/publish", json!({"id": 1}).to_string())
        .await;
    let mut connection = place.redis().await;
    let _: () = connection
        .lpush(place.key("queue"), "not an event")
        .await
        .unwrap();
    let stats = aggregator.drained(3001).await;

    finds_everything(&prometheus, &stats).await;
    let accepted = "sum(events_accepted_total)";
    assert_eq!(prometheus.query(accepted).await, [3000.0], "{accepted}");

    let fires = async |alert: &str| {
        let firing = async || {
            prometheus
                .firing()
                .await
                .iter()
                .any(|firing| firing == alert)
        };
        eventually(&format!("{alert} fires"), FOUND_WITHIN, firing).await;
    };
    fires("DeadLetters").await;

    // Nothing is stored for now, and more comes in until the queue is full.
    let mut database = PgConnection::connect(place.database_url()).await.unwrap();
    let mut hindrance = database.begin().await.unwrap();
    let lock = raw_sql("LOCK TABLE processed_events IN EXCLUSIVE MODE");
    lock.execute(&mut *hindrance).await.unwrap();
    for batch in 0..MAX_LEN / 100 {
        let events: Value = (0..100)
            .map(|n| json!({"id": format!("{batch}-{n}")}))
            .collect();
        publisher.publish(&events).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    fires("QueueNearlyFull").await;
    fires("EventsWaitLong").await;
    fires("QueueGrows").await;
    let full: Value = (0..100).map(|n| json!({"id": n.to_string()})).collect();
    eventually("events are refused", SOON, async || {
        publisher.publish(&full).await;
        prometheus
            .firing()
            .await
            .contains(&"EventsRefused".to_owned())
    })
    .await;
    hindrance.rollback().await.unwrap();

    database.execute(CONFLICTS).await.unwrap();
    publisher.publish(&json!({"id": "conflict"})).await;
    fires("RecordingRetried").await;
    redis.stop();
    fires("DependencyDown").await;
    drop(publisher);
    fires("ProgramDown").await;
}

/// Every query of the board and of the rules finds something, and the counters are those of `/stats`.
async fn finds_everything(prometheus: &Prometheus, stats: &Value) {
    for query in queries() {
        let what = format!("{query} finds something");
        eventually(&what, FOUND_WITHIN, async || {
            !prometheus.query(&query).await.is_empty()
        })
        .await;
    }
    for (alert, expression) in rules() {
        // What comes before the comparison.
        let compared = expression.split(" > ").next().unwrap();
        let compared = compared.split(" == ").next().unwrap();
        let compared = hurried(compared);
        let what = format!("{compared}, of {alert}, finds something");
        eventually(&what, FOUND_WITHIN, async || {
            !prometheus.query(&compared).await.is_empty()
        })
        .await;
    }
    for (metric, member) in [
        ("events_received", "received"),
        ("events_unique", "unique_processed"),
        ("events_duplicate", "duplicate_dropped"),
        ("dead_letters", "dead_lettered"),
    ] {
        let counted = stats[member].as_f64().unwrap();
        eventually(&format!("{metric} is {counted}"), SOON, async || {
            prometheus.query(&format!("max({metric})")).await == [counted]
        })
        .await;
    }
}
