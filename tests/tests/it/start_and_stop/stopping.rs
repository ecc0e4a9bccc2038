//! Signals, and the end of a program.

use std::time::Duration;

use event::element;
use futures_util::future::join_all;
use redis::AsyncCommands;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{
    SOON,
    app::{App, Deployment, Place},
    events::Logs,
    eventually,
    servers::OwnPostgres,
};

use super::{PROGRAMS, one, received};

#[tokio::test]
async fn a_stopped_aggregator_hands_back_what_it_cannot_finish() {
    let mut postgres = OwnPostgres::start().await;
    let place = Place::with_database(&postgres.url()).await;
    let publisher = place.process("publisher", &[]);
    let aggregator = place.process("aggregator", &[]);
    publisher.ready().await;
    // A worker must have registered before the database goes away: one that has not claims nothing.
    assert_eq!(
        publisher.publish(&one("first")).await,
        Some(StatusCode::ACCEPTED)
    );
    received(&aggregator, 1).await;
    postgres.stop();
    let batch: Vec<Value> = (0..500).map(|id| one(&id.to_string())).collect();
    assert_eq!(
        publisher.publish(&json!(batch)).await,
        Some(StatusCode::ACCEPTED)
    );
    let (mut redis, queue) = (place.redis().await, place.key("queue"));
    let mut waiting = async || -> usize {
        let elements: Vec<Vec<u8>> = redis.lrange(&queue, 0, -1).await.unwrap();
        let events = elements
            .into_iter()
            .map(|element| element::open(element).events.len());
        events.sum()
    };
    eventually("the events are claimed", SOON, async || {
        waiting().await == 0
    })
    .await;

    aggregator.stop().await;
    assert_eq!(waiting().await, 500, "they wait in the queue again");

    postgres.restart().await;
    let aggregator = place.process("aggregator", &[]);
    aggregator.ready().await;
    received(&aggregator, 501).await;
    assert_eq!(aggregator.stats().await["duplicate_dropped"], 0);
}

#[tokio::test]
async fn stopping_under_load_answers_what_was_accepted_and_stores_it() {
    let place = Place::of(Deployment::MemoryAndSqlite).await;
    let mut app = place.process("event-aggregator", &[]);
    app.ready().await;
    let events = Logs::generated(4000, 1).events;
    let sending = events.chunks(20).map(|batch| {
        let app = &app;
        async move {
            match app.publish(&json!(batch)).await {
                Some(StatusCode::ACCEPTED) => batch.len(),
                _ => 0,
            }
        }
    });
    let sending = join_all(sending);
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        app.signal("INT");
    };
    let (accepted, ()) = tokio::join!(sending, stopping);
    let accepted: usize = accepted.iter().sum();
    assert_eq!(app.wait_exit().await, Some(0));

    let app = place.process("event-aggregator", &[]);
    app.ready().await;
    let stats = app.stats().await;
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
    let place = Place::at("", &postgres.url());
    let settings = [("SHUTDOWN_GRACE_SECONDS", "600")];
    let mut app = place.process("event-aggregator", &settings);
    app.ready().await;
    postgres.stop();
    // A request that waits for its commit keeps the server from stopping.
    let request = app.request(Method::POST, "/publish").json(&one("1"));
    let waiting = tokio::spawn(request.send());
    tokio::time::sleep(Duration::from_millis(300)).await;
    app.signal("TERM");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    app.signal("TERM");
    assert_eq!(app.wait_exit().await, Some(130));
}

#[tokio::test]
async fn a_hang_up_ends_nothing() {
    for (program, settings) in PROGRAMS {
        let app = App::process(program, settings);
        app.alive().await;
        for _ in 0..3 {
            app.signal("HUP");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        app.alive().await;
        app.stop().await;
    }
}
