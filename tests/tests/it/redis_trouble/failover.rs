//! Servers that come back, or are replaced by others.

use queue::redis::PUSH_CONNECTIONS;
use reqwest::StatusCode;
use tests::{SOON, chaos::proxy::Mode, eventually, servers::OwnRedis};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Scene, address, ask, assert_exact, connect, events, stop};

#[tokio::test]
async fn nothing_is_accepted_while_redis_loads_its_data_and_all_is_there_afterwards() {
    const LOADED: u32 = 100;
    const COMMANDS: usize = 6000;
    // Only loading is slow: a millisecond a command; answers come every thousand commands or so.
    let mut scene = Scene::start_with(&["--key-load-delay", "1000"]).await;
    let publisher = scene.publisher();
    let pushed = publisher.publish(&events(0..LOADED)).await;
    assert_eq!(pushed, Some(StatusCode::ACCEPTED));
    let mut commands = redis::pipe();
    for _ in 0..COMMANDS {
        commands.cmd("INCR").arg("something else").ignore();
    }
    let mut connection = connect(&scene.redis).await;
    commands.exec_async(&mut connection).await.unwrap();
    scene.redis.stop();
    let address = address(&scene.redis);
    // Drivers do not connect to a server that is loading.
    let loading = async || {
        let mut answer = [0; 8];
        let asked = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(b"PING\r\n").await?;
            stream.read_exact(&mut answer).await
        };
        asked.await.is_ok() && answer == *b"-LOADING"
    };
    let meanwhile = async {
        eventually("redis is loading", SOON, loading).await;
        let refused = publisher.publish(&events(LOADED..LOADED + 1)).await;
        assert_eq!(refused, Some(StatusCode::SERVICE_UNAVAILABLE));
    };
    tokio::join!(scene.redis.restart(), meanwhile);

    publisher
        .publish_until_accepted(&events(LOADED..LOADED + 1))
        .await;
    let aggregator = scene.aggregator();
    let all = i64::from(LOADED) + 1;
    assert_exact(&aggregator, all, all).await;
    stop([publisher, aggregator]).await;
}

#[tokio::test]
async fn a_replica_accepts_nothing_and_is_used_again_once_it_is_promoted() {
    let scene = Scene::start().await;
    let (publisher, aggregator) = (scene.publisher(), scene.aggregator());
    aggregator.ready().await;
    assert_eq!(
        publisher.publish(&events(0..10)).await,
        Some(StatusCode::ACCEPTED)
    );

    let nobody = tests::programs::free_port();
    let _: () = scene.ask(&format!("REPLICAOF 127.0.0.1 {nobody}")).await;
    for app in [&publisher, &aggregator] {
        app.not_ready("read-only replica").await;
    }
    let refused = publisher.publish(&events(10..20)).await;
    assert_eq!(refused, Some(StatusCode::SERVICE_UNAVAILABLE));

    let _: () = scene.ask("REPLICAOF NO ONE").await;
    publisher.publish_until_accepted(&events(10..20)).await;
    aggregator.ready().await;
    assert_exact(&aggregator, 20, 20).await;
    stop([publisher, aggregator]).await;
}

#[tokio::test]
async fn after_a_failover_that_closes_connections_all_goes_on_with_the_new_primary() {
    let scene = Scene::start().await;
    let successor = OwnRedis::start().await;
    let port = scene.redis.port();
    let _: () = ask(&successor, &format!("REPLICAOF 127.0.0.1 {port}")).await;
    eventually("the replica follows", SOON, async || {
        let info: String = ask(&successor, "INFO replication").await;
        info.contains("master_link_status:up")
    })
    .await;
    let (publisher, aggregator) = (scene.publisher(), scene.aggregator());
    aggregator.ready().await;
    for at in 0..20 {
        let batch = events(at * 10..at * 10 + 10);
        assert_eq!(publisher.publish(&batch).await, Some(StatusCode::ACCEPTED));
    }
    // What a replica has not received is lost with its primary; here it has received all.
    let synchronized: i64 = scene.ask("WAIT 1 5000").await;
    assert_eq!(synchronized, 1);

    let _: () = ask(&successor, "REPLICAOF NO ONE").await;
    scene.proxy.point_at(address(&successor));
    scene.proxy.cut();
    let _: () = scene
        .ask(&format!("REPLICAOF 127.0.0.1 {}", successor.port()))
        .await;

    for at in 20..40 {
        publisher
            .publish_until_accepted(&events(at * 10..at * 10 + 10))
            .await;
    }
    let counters = aggregator.drained(400).await;
    assert_eq!(counters["unique_processed"], 400, "{counters}");
    // A claim that was settled on the old primary at the last moment may come back; it is not counted again.
    assert!(counters["received"].as_i64() >= Some(400));
    eventually("the new primary is drained", SOON, async || {
        ask::<Vec<String>>(&successor, "KEYS {events}:*")
            .await
            .is_empty()
    })
    .await;
    stop([publisher, aggregator]).await;
}

#[tokio::test]
async fn after_a_failover_that_leaves_connections_open_nobody_stays_on_the_former_primary() {
    let scene = Scene::start().await;
    let successor = OwnRedis::start().await;
    let (publisher, aggregator) = (scene.publisher(), scene.aggregator());
    for app in [&publisher, &aggregator] {
        app.ready().await;
    }
    publisher.publish_until_accepted(&events(0..10)).await;
    assert_exact(&aggregator, 10, 10).await;

    // The former primary is cut off from the others, and still takes writes on the connections that there are.
    scene.proxy.point_at(address(&successor));
    let mut sent = 10;
    eventually("events reach the new primary", SOON, async || {
        publisher
            .publish_until_accepted(&events(sent..sent + 1))
            .await;
        sent += 1;
        ask::<i64>(&successor, "LLEN {events}:queue").await > 0
            || ask::<String>(&successor, "INFO commandstats")
                .await
                .contains("cmdstat_lpush:calls")
    })
    .await;
    let before: String = scene.ask("INFO commandstats").await;
    for _ in 0..20 {
        publisher
            .publish_until_accepted(&events(sent..sent + 1))
            .await;
        sent += 1;
    }
    let after: String = scene.ask("INFO commandstats").await;
    let pushes = |stats: &str| {
        let line = stats
            .lines()
            .find(|line| line.starts_with("cmdstat_lpush:"));
        line.unwrap().to_owned()
    };
    assert_eq!(pushes(&before), pushes(&after), "no push to the former one");
    eventually("what the new primary has is stored", SOON, async || {
        ask::<Vec<String>>(&successor, "KEYS {events}:*")
            .await
            .is_empty()
    })
    .await;
    assert!(aggregator.stats().await["received"].as_i64() >= Some(30));
    stop([publisher, aggregator]).await;
}

#[tokio::test]
async fn a_push_whose_answer_is_lost_is_not_acknowledged_and_not_repeated() {
    let scene = Scene::start().await;
    let publisher = scene.publisher();
    // It has its connections.
    let before = i64::try_from(PUSH_CONNECTIONS.get()).unwrap();
    for _ in 0..before {
        let answer = publisher.publish(&events(0..1)).await;
        assert_eq!(answer, Some(StatusCode::ACCEPTED));
    }
    let length = async || scene.ask::<i64>("LLEN {events}:queue").await;

    scene.proxy.set(Mode::Deaf);
    let batch = events(1..4);
    let pushing = publisher.publish(&batch);
    let losing = async {
        eventually("the push has arrived", SOON, async || {
            length().await > before
        })
        .await;
        scene.proxy.cut();
        scene.proxy.set(Mode::Open);
    };
    let (answer, ()) = tokio::join!(pushing, losing);
    assert_eq!(answer, Some(StatusCode::SERVICE_UNAVAILABLE));
    publisher.ready().await;
    assert_eq!(length().await, before + 1, "one frame, pushed once");

    publisher.publish_until_accepted(&batch).await;
    let aggregator = scene.aggregator();
    assert_exact(&aggregator, before + 6, 4).await;
    stop([publisher, aggregator]).await;
}
