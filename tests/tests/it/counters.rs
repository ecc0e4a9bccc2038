//! What dashboards poll: the counters, the topics, and the counters as they were.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, raw_sql};
use tests::{
    SOON,
    app::{App, Deployment, Place, answer, header},
    eventually,
    keys::KeysFile,
};
use tokio::task::JoinSet;

fn events(topic: &str, count: usize) -> Value {
    let event = |id| json!({"topic": topic, "event_id": format!("{topic}-{id}")});
    (0..count).map(event).collect()
}

#[tokio::test]
async fn topics_are_listed_in_parts_in_the_order_that_was_asked_for() {
    let app = App::over_sqlite(&[]).await;
    for (topic, count) in [("a", 1), ("b", 3), ("b/c", 2)] {
        app.publish(&events(topic, count)).await.unwrap();
    }
    app.publish(&events("a", 1)).await.unwrap();
    let (status, first) = app.get("/topics?order=count&limit=2").await;
    assert_eq!(status, StatusCode::OK, "{first}");
    assert_eq!(first["count"], 2);
    assert_eq!(first["topics"][0]["topic"], "b");
    assert_eq!(first["topics"][0]["unique_processed"], 3);
    let cursor = first["next_cursor"].as_str().unwrap();
    let next = format!("/topics?order=count&cursor={cursor}");
    let (_, second) = app.get(&next).await;
    assert_eq!(second["topics"][0]["topic"], "a");
    assert_eq!(second["topics"][0]["duplicate_dropped"], 1);
    assert_eq!(second["next_cursor"], Value::Null);
    // A place knows its order.
    let (_, same) = app.get(&format!("/topics?cursor={cursor}")).await;
    assert_eq!(same, second);
    let (_, below) = app.get("/topics?prefix=b/").await;
    assert_eq!(below["topics"][0]["topic"], "b/c");
    for (query, says) in [
        ("order=size".to_owned(), "name, count or recent"),
        ("prefix=".to_owned(), "must not be empty"),
        ("cursor=x".to_owned(), "pass next_cursor unchanged"),
        ("limit=0".to_owned(), "1 to 1000"),
    ] {
        let (status, problem) = app.get(&format!("/topics?{query}")).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{detail}");
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
    app.stop().await;
}

#[tokio::test]
async fn the_counters_come_with_as_many_topics_as_are_asked_for() {
    let app = App::over_sqlite(&["--max-batch-events=2000", "--queue-max-len=5000"]).await;
    let many: Value = (0..1001)
        .map(|n| json!({"topic": format!("t{n:04}"), "event_id": "1"}))
        .collect();
    app.publish(&many).await.unwrap();
    for (query, listed) in [
        ("", 1000),
        ("?topics=top", 1000),
        ("?topics=all", 1001),
        ("?topics=none", 0),
    ] {
        let (_, counters) = app.get(&format!("/stats{query}")).await;
        assert_eq!(
            counters["topics"].as_object().unwrap().len(),
            listed,
            "{query}"
        );
        assert_eq!(counters["topics_total"], 1001);
        assert_eq!(counters["queue"]["limit"], 5000);
        assert_eq!(counters["queue"]["oldest_age_seconds"], Value::Null);
    }
    let (status, problem) = app.get("/stats?topics=some").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
    app.stop().await;
}

#[tokio::test]
async fn the_queue_tells_how_long_its_oldest_event_has_waited() {
    let place = Place::of(Deployment::Services).await;
    let (publisher, aggregator) = (place.publisher(&[]), place.aggregator(&["--workers=1"]));
    aggregator.ready().await;
    // Nothing is stored for now: the worker waits with its claim, and what comes later waits in the queue.
    let mut database = PgConnection::connect(place.database_url()).await.unwrap();
    let mut hindrance = database.begin().await.unwrap();
    let lock = raw_sql("LOCK TABLE processed_events IN EXCLUSIVE MODE");
    lock.execute(&mut *hindrance).await.unwrap();
    let claimed = async || aggregator.stats().await["queue"]["processing"] == 1;
    publisher.publish_until_accepted(&json!({"id": "1"})).await;
    eventually("it is claimed", SOON, claimed).await;
    publisher.publish_until_accepted(&json!({"id": "2"})).await;
    let age = async || aggregator.stats().await["queue"]["oldest_age_seconds"].as_f64();
    let first = age().await.expect("an event waits");
    eventually("it waits longer", SOON, async || age().await > Some(first)).await;
    hindrance.rollback().await.unwrap();
    let counters = aggregator.drained(2).await;
    assert_eq!(counters["queue"]["oldest_age_seconds"], Value::Null);
    publisher.stop().await;
    aggregator.stop().await;
}

#[tokio::test]
async fn the_history_has_samples_that_add_up_and_no_more_than_fit() {
    let app = App::over_sqlite(&[]).await;
    app.publish(&events("a", 3)).await.unwrap();
    let history = eventually("there is a sample", SOON, async || {
        let (status, history) = app.get("/stats/history?last=5m").await;
        assert_eq!(status, StatusCode::OK, "{history}");
        (history["count"] != 0).then_some(history)
    })
    .await;
    assert_eq!(history["step_seconds"], 10);
    let counter = |sample: &Value, name: &str| sample[name].as_i64().unwrap();
    for sample in history["samples"].as_array().unwrap() {
        let parts = ["unique_processed", "duplicate_dropped", "dead_lettered"];
        let sum: i64 = parts.iter().map(|part| counter(sample, part)).sum();
        assert_eq!(counter(sample, "received"), sum);
        let at = sample["at"].as_str().unwrap();
        assert!(at.ends_with("0Z"), "a multiple of ten seconds: {at}");
    }
    let (_, widened) = app.get("/stats/history?last=7d&step=10").await;
    assert_eq!(widened["step_seconds"], 310);
    for (query, says) in [
        ("step=1w", "such as 5m or 1h"),
        ("last=yesterday", "24h or 7d"),
    ] {
        let (status, problem) = app.get(&format!("/stats/history?{query}")).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{detail}");
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_key_for_some_topics_sees_no_others() {
    let mut file = KeysFile::default();
    let all = file.add("all", "scopes = [\"publish\"]");
    let some = file.add("some", "scopes = [\"read\"]\ntopics = [\"orders/\"]");
    file.write();
    let app = App::over_sqlite(&[&file.argument()]).await;
    for topic in ["orders/eu", "payments"] {
        let publishing = app.request(Method::POST, "/publish").bearer_auth(&all);
        let (status, _) = answer(publishing.body(events(topic, 1).to_string())).await;
        assert_eq!(status, StatusCode::ACCEPTED);
    }
    let read = async |path: &str| {
        answer(app.request(Method::GET, path).bearer_auth(&some))
            .await
            .1
    };
    let listed = read("/topics").await;
    assert_eq!(listed["count"], 1);
    assert_eq!(listed["topics"][0]["topic"], "orders/eu");
    let counters = read("/stats").await;
    assert_eq!(counters["topics"], json!({"orders/eu": 1}));
    assert_eq!(
        (&counters["topics_total"], &counters["received"]),
        (&json!(1), &json!(2))
    );
    app.stop().await;
}

/// For so long many clients ask as fast as they can.
const POLLED_FOR: Duration = Duration::from_secs(2);
const POLLERS: usize = 32;
/// What a process may take in that time: twenty snapshots at once, and five a second, and one for each that is under way.
const MOST_SNAPSHOTS: i64 = 40;

#[tokio::test(flavor = "multi_thread")]
async fn many_pollers_cost_the_database_few_statements_and_get_fresh_counters() {
    let place = Place::of(Deployment::MemoryAndPostgres).await;
    let app = place.standalone(&[]);
    app.ready().await;
    let scans = async || {
        let mut database = PgConnection::connect(place.database_url()).await.unwrap();
        let scans = "SELECT coalesce(seq_scan, 0) + coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relname = 'topic_stats'";
        let scans: i64 = sqlx::query_scalar(scans)
            .fetch_one(&mut database)
            .await
            .unwrap();
        scans
    };
    let before = scans().await;
    let mut pollers = JoinSet::new();
    let end = Instant::now() + POLLED_FOR;
    for _ in 0..POLLERS {
        let request = app.request(Method::GET, "/stats");
        pollers.spawn(async move {
            let mut asked = 0;
            while Instant::now() < end {
                let response = request.try_clone().unwrap().send().await.unwrap();
                assert_eq!(response.status(), StatusCode::OK);
                assert_eq!(header(&response, "content-type"), "application/json");
                asked += 1;
            }
            asked
        });
    }
    // Nobody gets counters from before the request, however many ask.
    for received in 1..=3 {
        app.publish_until_accepted(&json!({"id": received.to_string()}))
            .await;
        assert_eq!(app.stats().await["received"], received);
    }
    let asked: i64 = pollers.join_all().await.into_iter().sum();
    // PostgreSQL adds up what a session did when it has nothing to do.
    eventually("the scans are counted", SOON, async || {
        scans().await > before
    })
    .await;
    let taken = scans().await - before;
    // A statement looks at the topics twice.
    assert!(
        taken <= 2 * MOST_SNAPSHOTS,
        "{taken} scans for {asked} requests"
    );
    assert!(asked > taken, "{asked} requests shared {taken} scans");
    app.stop().await;
}
