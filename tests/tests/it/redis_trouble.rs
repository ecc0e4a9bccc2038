//! What Redis may answer when something is wrong with it: nothing accepted is lost, nothing is counted
//! twice, and all goes on by itself once it is mended.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use common::queue::redis::PUSH_CONNECTIONS;
use redis::{FromRedisValue, aio::MultiplexedConnection};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{
    app::App,
    chaos::proxy::{Mode, Proxy},
    eventually,
    programs::Running,
    servers::{self, OwnRedis},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const SOON: Duration = Duration::from_secs(30);
const NO_LATENCY: Duration = Duration::ZERO;

/// A Redis of the test's own, and the system over it.
struct Scene {
    redis: OwnRedis,
    proxy: Proxy,
    database: servers::Database,
}

impl Scene {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(redis: &[&str]) -> Self {
        let redis = OwnRedis::start_with(redis).await;
        let proxy = Proxy::start(address(&redis), NO_LATENCY).await;
        let database = servers::database().await;
        Self {
            redis,
            proxy,
            database,
        }
    }

    fn redis_url(&self) -> String {
        format!("--redis-url=redis://{}", self.proxy.address())
    }

    fn publisher(&self) -> App {
        App::publisher(&[&self.redis_url()])
    }

    fn aggregator(&self) -> App {
        let database_url = format!("--database-url={}", self.database.url());
        App::aggregator(&[&self.redis_url(), &database_url, "--lease-seconds=2"])
    }

    async fn ask<T: FromRedisValue>(&self, command: &str) -> T {
        ask(&self.redis, command).await
    }
}

fn address(redis: &OwnRedis) -> std::net::SocketAddr {
    ([127, 0, 0, 1], redis.port()).into()
}

async fn connect(redis: &OwnRedis) -> MultiplexedConnection {
    let client = redis::Client::open(redis.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn ask<T: FromRedisValue>(redis: &OwnRedis, command: &str) -> T {
    ask_words(redis, &command.split(' ').collect::<Vec<_>>()).await
}

async fn ask_words<T: FromRedisValue>(redis: &OwnRedis, words: &[&str]) -> T {
    let asked = redis::cmd(words[0]).arg(&words[1..]).clone();
    asked.query_async(&mut connect(redis).await).await.unwrap()
}

fn events(ids: std::ops::Range<u32>) -> Value {
    ids.map(|id| json!({"topic": "t", "event_id": id.to_string()}))
        .collect()
}

async fn publish(publisher: &App, events: &Value) -> StatusCode {
    publisher.post("/publish", events.to_string()).await.0
}

/// Publishes until it is accepted, as a client does; answers how often it was not.
async fn publish_until_accepted(publisher: &App, events: &Value) -> u32 {
    let mut refused = 0;
    eventually("the batch is accepted", SOON, async || {
        let accepted = publish(publisher, events).await == StatusCode::ACCEPTED;
        refused += u32::from(!accepted);
        accepted
    })
    .await;
    refused
}

/// Waits until `/ready` says this about Redis.
async fn not_ready(app: &App, why: &str) {
    eventually(why, SOON, async || {
        let (status, problem) = app.get("/ready").await;
        status == StatusCode::SERVICE_UNAVAILABLE
            && problem["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains(why))
    })
    .await;
}

async fn stop(apps: [App; 2]) {
    for app in apps {
        app.stop().await;
    }
}

async fn assert_exact(aggregator: &App, received: i64, unique: i64) {
    let counters = aggregator.drained(received).await;
    assert_eq!(
        (&counters["received"], &counters["unique_processed"]),
        (&json!(received), &json!(unique)),
        "{counters}"
    );
    assert_eq!(counters["dead_lettered"], 0);
}

#[tokio::test]
async fn while_redis_loads_its_data_nothing_is_accepted_and_afterwards_all_is_there() {
    const LOADED: u32 = 100;
    const COMMANDS: usize = 6000;
    // Only loading is slow: a millisecond a command; answers come every thousand commands or so.
    let mut scene = Scene::start_with(&["--key-load-delay", "1000"]).await;
    let publisher = scene.publisher();
    let pushed = publish(&publisher, &events(0..LOADED)).await;
    assert_eq!(pushed, StatusCode::ACCEPTED);
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
        let refused = publish(&publisher, &events(LOADED..LOADED + 1)).await;
        assert_eq!(refused, StatusCode::SERVICE_UNAVAILABLE);
    };
    tokio::join!(scene.redis.restart(), meanwhile);

    publish_until_accepted(&publisher, &events(LOADED..LOADED + 1)).await;
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
        publish(&publisher, &events(0..10)).await,
        StatusCode::ACCEPTED
    );

    let nobody = tests::programs::free_port();
    let _: () = scene.ask(&format!("REPLICAOF 127.0.0.1 {nobody}")).await;
    for app in [&publisher, &aggregator] {
        not_ready(app, "read-only replica").await;
    }
    let refused = publish(&publisher, &events(10..20)).await;
    assert_eq!(refused, StatusCode::SERVICE_UNAVAILABLE);

    let _: () = scene.ask("REPLICAOF NO ONE").await;
    publish_until_accepted(&publisher, &events(10..20)).await;
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
        assert_eq!(publish(&publisher, &batch).await, StatusCode::ACCEPTED);
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
        publish_until_accepted(&publisher, &events(at * 10..at * 10 + 10)).await;
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
    publish_until_accepted(&publisher, &events(0..10)).await;
    assert_exact(&aggregator, 10, 10).await;

    // The former primary is cut off from the others, and still takes writes on the connections that there are.
    scene.proxy.point_at(address(&successor));
    let mut sent = 10;
    eventually("events reach the new primary", SOON, async || {
        publish_until_accepted(&publisher, &events(sent..sent + 1)).await;
        sent += 1;
        ask::<i64>(&successor, "LLEN {events}:queue").await > 0
            || ask::<String>(&successor, "INFO commandstats")
                .await
                .contains("cmdstat_lpush:calls")
    })
    .await;
    let before: String = scene.ask("INFO commandstats").await;
    for _ in 0..20 {
        publish_until_accepted(&publisher, &events(sent..sent + 1)).await;
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
async fn a_redis_that_refuses_writes_is_not_ready_and_says_why() {
    let scene = Scene::start().await;
    let (publisher, aggregator) = (scene.publisher(), scene.aggregator());
    let apps = [&publisher, &aggregator];
    let refused = async |why: &str| {
        for app in apps {
            not_ready(app, why).await;
        }
        let answer = publish(&publisher, &events(0..1)).await;
        assert_eq!(answer, StatusCode::SERVICE_UNAVAILABLE);
    };
    let mended = async || {
        for app in apps {
            app.ready().await;
        }
        let answer = publish(&publisher, &events(0..1)).await;
        assert_eq!(answer, StatusCode::ACCEPTED);
    };
    mended().await;

    let _: () = scene.ask("CONFIG SET min-replicas-to-write 1").await;
    refused("too few replicas follow it").await;
    let (_, problem) = publisher.get("/ready").await;
    assert!(problem["detail"].as_str().unwrap().contains("(since "));
    let _: () = scene.ask("CONFIG SET min-replicas-to-write 0").await;
    mended().await;

    // No file can take the place of a folder.
    let obstacle = scene.redis.folder().join("dump.rdb");
    std::fs::create_dir_all(obstacle.join("full")).unwrap();
    let _: () = ask_words(&scene.redis, &["CONFIG", "SET", "save", "3600 1"]).await;
    let _: String = scene.ask("BGSAVE").await;
    refused("could not save its data to disk").await;
    std::fs::remove_dir_all(obstacle).unwrap();
    let _: () = ask_words(&scene.redis, &["CONFIG", "SET", "save", ""]).await;
    mended().await;
    stop([publisher, aggregator]).await;
}

/// Gives a user of this name all rights but these, and answers the address for it.
async fn user(scene: &Scene, name: &str, without: &[&str]) -> String {
    let mut command = vec!["ACL", "SETUSER", name, "on", ">s3cret", "~*", "+@all"];
    command.extend(without);
    let _: () = ask_words(&scene.redis, &command).await;
    format!("redis://{name}:s3cret@{}", scene.proxy.address())
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let scene = Scene::start().await;
    let database_url = format!("--database-url={}", scene.database.url());
    for right in ["lpush", "evalsha"] {
        let url = user(&scene, right, &[&format!("-{right}")]).await;
        let publisher = App::publisher(&[&format!("--redis-url={url}")]);
        not_ready(&publisher, &format!("may not run the command {right};")).await;
        publisher.stop().await;
    }
    for right in ["blmove", "zadd", "srem"] {
        let url = user(&scene, right, &[&format!("-{right}")]).await;
        let aggregator = App::aggregator(&[&format!("--redis-url={url}"), &database_url]);
        not_ready(&aggregator, &format!("may not run the command {right};")).await;
        aggregator.stop().await;
    }
    let url = user(&scene, "keyless", &["resetkeys", "~other"]).await;
    let publisher = App::publisher(&[&format!("--redis-url={url}")]);
    not_ready(&publisher, "may not use the queue's keys").await;
    publisher.stop().await;
}

#[tokio::test]
async fn who_may_not_ask_for_settings_works_and_is_told_once_what_is_not_checked() {
    let scene = Scene::start().await;
    let url = user(&scene, "mute", &["-info", "-config"]).await;
    let settings = [("REDIS_URL", &*url), ("BIND_ADDR", "127.0.0.1:0")];
    let running = Running::start("publisher", &[], &settings);
    let rule = "+info +config|get";
    eventually("it warns", SOON, async || running.output().contains(rule)).await;
    let publisher = App::publisher(&[&format!("--redis-url={url}")]);
    let database_url = format!("--database-url={}", scene.database.url());
    let aggregator = App::aggregator(&[&format!("--redis-url={url}"), &database_url]);
    for app in [&publisher, &aggregator] {
        app.ready().await;
    }
    publish_until_accepted(&publisher, &events(0..5)).await;
    assert_exact(&aggregator, 5, 5).await;
    assert_eq!(running.output().matches(rule).count(), 1);
    stop([publisher, aggregator]).await;
}

#[tokio::test]
async fn the_first_failure_is_logged_with_the_address_and_without_the_password() {
    let scene = Scene::start().await;
    let address = address(&scene.redis).to_string();
    let nobody = format!("127.0.0.1:{}", tests::programs::free_port());
    for (url, at, why) in [
        (
            format!("redis://nobody:s3cret@{address}"),
            &*address,
            "refuses the user or the password",
        ),
        (
            format!("redis://:s3cret@{nobody}"),
            &*nobody,
            "nothing listens at its address",
        ),
        (
            "redis://:s3cret@redis.invalid".to_owned(),
            "redis.invalid:6379",
            "the name of its host is not known",
        ),
    ] {
        let settings = [("REDIS_URL", &*url), ("BIND_ADDR", "127.0.0.1:0")];
        let running = Running::start("publisher", &[], &settings);
        eventually(why, SOON, async || {
            let said = running.output();
            said.contains("ERROR") && said.contains(at) && said.contains(why)
        })
        .await;
        assert!(!running.output().contains("s3cret"));
    }
}

#[tokio::test]
async fn a_cluster_is_told_to_be_one() {
    let scene = Scene::start_with(&["--cluster-enabled", "yes"]).await;
    let (publisher, aggregator) = (scene.publisher(), scene.aggregator());
    for app in [&publisher, &aggregator] {
        not_ready(app, "a cluster, which is not supported yet").await;
    }
    stop([publisher, aggregator]).await;
}

/// Answers each command with what `answer` makes of it, as a server would that only speaks the protocol.
async fn fake_redis(answer: fn(&str) -> String) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut asked = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut asked).await {
                    let answer = answer(&String::from_utf8_lossy(&asked[..read]));
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_redis_that_is_too_old_is_refused_by_its_version() {
    const UNKNOWN: &str = "-ERR unknown command\r\n";
    let says_hello: fn(&str) -> String = |asked| {
        if asked.contains("HELLO") {
            "*4\r\n$7\r\nversion\r\n$6\r\n6.2.14\r\n$4\r\nrole\r\n$6\r\nmaster\r\n".to_owned()
        } else {
            "-NOPERM this user has no permissions\r\n".to_owned()
        }
    };
    let tells_info: fn(&str) -> String = |asked| {
        if asked.contains("INFO") {
            "$22\r\nredis_version:5.0.14\r\n\r\n".to_owned()
        } else {
            UNKNOWN.to_owned()
        }
    };
    for (answer, version) in [(says_hello, "6.2.14"), (tells_info, "5.0.14")] {
        let address = fake_redis(answer).await;
        let publisher = App::publisher(&[&format!("--redis-url=redis://{address}")]);
        let why = format!("its version is {version}");
        not_ready(&publisher, &why).await;
        let (status, problem) = publisher.post("/publish", events(0..1).to_string()).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains(&why) && detail.contains("nothing was accepted"),
            "{detail}"
        );
        publisher.stop().await;
    }
}

#[tokio::test]
async fn a_full_redis_accepts_nothing_and_can_still_be_drained() {
    let scene = Scene::start().await;
    let publisher = scene.publisher();
    publisher.ready().await;
    let info: String = scene.ask("INFO memory").await;
    let used = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    let limit = used.unwrap().trim().parse::<u64>().unwrap() + 4 * 1024 * 1024;
    let _: () = scene.ask(&format!("CONFIG SET maxmemory {limit}")).await;

    let mut accepted = 0;
    eventually("redis is full", SOON, async || {
        let event = json!({"topic": "t", "event_id": accepted.to_string(), "payload": {"x": "x".repeat(100_000)}});
        let (status, problem) = publisher.post("/publish", event.to_string()).await;
        if status == StatusCode::ACCEPTED {
            accepted += 1;
            return false;
        }
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
        true
    })
    .await;
    assert!(accepted > 10, "there was room for some: {accepted}");

    let aggregator = scene.aggregator();
    assert_exact(&aggregator, accepted, accepted).await;
    let next = u32::try_from(accepted).unwrap();
    publish_until_accepted(&publisher, &events(next..next + 1)).await;
    assert_exact(&aggregator, accepted + 1, accepted + 1).await;
    stop([publisher, aggregator]).await;
}

#[tokio::test]
async fn a_redis_that_is_nearly_full_is_left_alone_until_there_is_room() {
    let scene = Scene::start().await;
    let (publisher, aggregator) = (scene.publisher(), scene.aggregator());
    assert_eq!(
        publish(&publisher, &events(0..1)).await,
        StatusCode::ACCEPTED
    );
    // Nearly nothing, then: what is used is over nine tenths of it.
    let _: () = scene.ask("CONFIG SET maxmemory 100kb").await;
    eventually("it is told to wait", SOON, async || {
        let request = publisher.request(reqwest::Method::POST, "/publish");
        let answer = request.json(&events(0..1)).send().await.unwrap();
        let retry_after = answer.headers().contains_key("retry-after");
        let problem: Value = answer.json().await.unwrap();
        let full = problem["type"] == "urn:event-aggregator:problem:queue-full";
        assert!(!full || retry_after, "{problem}");
        full
    })
    .await;
    let _: () = scene.ask("CONFIG SET maxmemory 100mb").await;
    publish_until_accepted(&publisher, &events(1..2)).await;
    let counters = aggregator.drained(2).await;
    assert_eq!(counters["unique_processed"], 2, "{counters}");
    stop([publisher, aggregator]).await;
}

#[tokio::test]
async fn a_key_of_another_type_stops_the_queue_until_it_is_removed() {
    let scene = Scene::start().await;
    let (publisher, aggregator) = (scene.publisher(), scene.aggregator());
    aggregator.ready().await;
    for key in ["queue", "handoff", "leases", "adopted"] {
        let _: () = scene.ask(&format!("SET {{events}}:{key} somebody's")).await;
        for app in [&publisher, &aggregator] {
            not_ready(app, &format!("redis: the key {{events}}:{key} holds")).await;
        }
        if key == "queue" {
            let refused = publish(&publisher, &events(0..5)).await;
            assert_eq!(refused, StatusCode::SERVICE_UNAVAILABLE);
        }
        let _: () = scene.ask(&format!("DEL {{events}}:{key}")).await;
        aggregator.ready().await;
    }
    publish_until_accepted(&publisher, &events(0..5)).await;
    assert_exact(&aggregator, 5, 5).await;
    stop([publisher, aggregator]).await;
}

#[tokio::test]
async fn a_stranger_among_the_leases_holds_nobody_up() {
    let scene = Scene::start().await;
    let _: () = scene.ask("ZADD {events}:leases 1 stranger").await;
    let (publisher, aggregator) = (scene.publisher(), scene.aggregator());
    publish_until_accepted(&publisher, &events(0..5)).await;
    assert_exact(&aggregator, 5, 5).await;
    let leases: Vec<String> = scene.ask("ZRANGE {events}:leases 0 -1").await;
    assert_eq!(leases, ["stranger"], "it is left for somebody to look at");
    stop([publisher, aggregator]).await;
}

#[tokio::test]
async fn settings_that_put_accepted_events_at_risk_are_logged_and_the_worst_are_refused() {
    let scene = Scene::start().await;
    let _: () = scene.ask("CONFIG SET maxmemory-policy allkeys-lru").await;
    let _: () = scene.ask("CONFIG SET appendfsync everysec").await;
    let (redis, database) = (scene.redis.url(), scene.database.url().to_owned());
    for program in ["publisher", "aggregator"] {
        let settings = [
            ("REDIS_URL", redis.as_str()),
            ("DATABASE_URL", database.as_str()),
            ("BIND_ADDR", "127.0.0.1:0"),
        ];
        let running = Running::start(program, &[], &settings);
        eventually("it warns", SOON, async || {
            let said = running.output();
            said.contains("ERROR") && said.contains("allkeys-lru") && said.contains("appendfsync")
        })
        .await;
    }
    let (publisher, aggregator) = (scene.publisher(), scene.aggregator());
    for app in [&publisher, &aggregator] {
        not_ready(app, "set it to noeviction").await;
    }
    let _: () = scene.ask("CONFIG SET maxmemory-policy noeviction").await;
    publisher.ready().await;
    aggregator.ready().await;
    stop([publisher, aggregator]).await;
}

#[tokio::test]
async fn a_push_whose_answer_is_lost_is_not_acknowledged_and_not_repeated() {
    let scene = Scene::start().await;
    let publisher = scene.publisher();
    // It has its connections.
    let before = i64::try_from(PUSH_CONNECTIONS.get()).unwrap();
    for _ in 0..before {
        let answer = publish(&publisher, &events(0..1)).await;
        assert_eq!(answer, StatusCode::ACCEPTED);
    }
    let length = async || scene.ask::<i64>("LLEN {events}:queue").await;

    scene.proxy.set(Mode::Deaf);
    let batch = events(1..4);
    let pushing = publish(&publisher, &batch);
    let losing = async {
        eventually("the push has arrived", SOON, async || {
            length().await > before
        })
        .await;
        scene.proxy.cut();
        scene.proxy.set(Mode::Open);
    };
    let (answer, ()) = tokio::join!(pushing, losing);
    assert_eq!(answer, StatusCode::SERVICE_UNAVAILABLE);
    publisher.ready().await;
    assert_eq!(length().await, before + 3, "pushed once");

    publish_until_accepted(&publisher, &batch).await;
    let aggregator = scene.aggregator();
    assert_exact(&aggregator, before + 6, 4).await;
    stop([publisher, aggregator]).await;
}
