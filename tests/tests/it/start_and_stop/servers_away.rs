//! Servers that are away at the start or later.

use reqwest::StatusCode;
use tests::{
    SOON,
    app::{App, Place},
    eventually, programs,
    servers::{OwnPostgres, OwnRedis},
};

use super::{one, received};

#[tokio::test]
async fn both_services_wait_for_servers_that_are_away_and_for_those_that_go_away_later() {
    let mut redis = OwnRedis::start().await;
    let mut postgres = OwnPostgres::start().await;
    let (redis_url, database_url) = (redis.url(), postgres.url());
    redis.stop();
    postgres.stop();
    let place = Place::at(&redis_url, &database_url);
    let publisher = place.process("publisher", &[]);
    let aggregator = place.process("aggregator", &[]);

    for app in [&publisher, &aggregator] {
        app.alive().await;
        let (status, problem) = app.get("/ready").await;
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
        let (_, problem) = aggregator.get("/ready").await;
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
    received(&aggregator, 1).await;

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
    received(&aggregator, 49).await;

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
    received(&aggregator, 50).await;
}

/// Nothing is held up by a database that is away.
#[tokio::test]
async fn standalone_listens_while_its_database_is_away() {
    let away = [("DATABASE_URL", "postgres://u@127.0.0.1:1/d")];
    let app = App::process("event-aggregator", &away);
    app.alive().await;
    assert_eq!(
        app.status("/stats").await,
        Some(StatusCode::SERVICE_UNAVAILABLE)
    );
    eventually("it says so", SOON, async || app.output().contains(&app.url)).await;
}

#[tokio::test]
async fn healthcheck_says_whether_the_server_is_alive_and_ready() {
    let mut redis = OwnRedis::start().await;
    let redis_url = redis.url();
    let app = App::process("publisher", &[("REDIS_URL", redis_url.as_str())]);
    let address = app.address().to_string();
    let ask = async |arguments: &[&str]| {
        let ended = programs::run("publisher", arguments, &[("BIND_ADDR", &address)]).await;
        (ended.code, ended.out + &ended.err)
    };
    app.ready().await;
    assert_eq!(ask(&["healthcheck"]).await.0, Some(0));
    assert_eq!(ask(&["healthcheck", "--ready"]).await.0, Some(0));

    redis.stop();
    assert_eq!(ask(&["healthcheck"]).await.0, Some(0));
    eventually("it is not ready and says why", SOON, async || {
        let (code, said) = ask(&["healthcheck", "--ready"]).await;
        code == Some(1) && said.contains("redis")
    })
    .await;

    app.signal("KILL");
    let (code, said) = ask(&["healthcheck"]).await;
    assert!(
        code == Some(1) && said.contains("does not answer"),
        "{code:?} {said}"
    );
}
