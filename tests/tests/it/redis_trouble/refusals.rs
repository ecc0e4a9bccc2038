//! Servers that cannot be used: what is wrong is named.

use reqwest::StatusCode;
use tests::{SOON, app::Place, eventually, programs::free_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Scene, address, ask_words, assert_exact, events, stop};

#[tokio::test]
async fn a_redis_that_refuses_writes_is_not_ready_and_says_why() {
    let scene = Scene::start().await;
    let (publisher, aggregator) = (scene.publisher(), scene.aggregator());
    let apps = [&publisher, &aggregator];
    let refused = async |why: &str| {
        for app in apps {
            app.not_ready(why).await;
        }
        let answer = publisher.publish(&events(0..1)).await;
        assert_eq!(answer, Some(StatusCode::SERVICE_UNAVAILABLE));
    };
    let mended = async || {
        for app in apps {
            app.ready().await;
        }
        let answer = publisher.publish(&events(0..1)).await;
        assert_eq!(answer, Some(StatusCode::ACCEPTED));
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
    for right in ["lpush", "evalsha"] {
        let url = user(&scene, right, &[&format!("-{right}")]).await;
        let publisher = scene.with_redis(&url).publisher(&[]);
        publisher
            .not_ready(&format!("may not run the command {right};"))
            .await;
        publisher.stop().await;
    }
    for right in ["blmove", "zadd", "srem"] {
        let url = user(&scene, right, &[&format!("-{right}")]).await;
        let aggregator = scene.with_redis(&url).aggregator(&[]);
        aggregator
            .not_ready(&format!("may not run the command {right};"))
            .await;
        aggregator.stop().await;
    }
    let url = user(&scene, "keyless", &["resetkeys", "~other"]).await;
    let publisher = scene.with_redis(&url).publisher(&[]);
    publisher.not_ready("may not use the queue's keys").await;
    publisher.stop().await;
}

#[tokio::test]
async fn a_user_without_the_right_to_read_settings_works_and_is_told_once_what_is_not_checked() {
    let scene = Scene::start().await;
    let url = user(&scene, "mute", &["-info", "-config"]).await;
    let running = scene.with_redis(&url).process("publisher", &[]);
    let rule = "+info +config|get";
    eventually("it warns", SOON, async || running.output().contains(rule)).await;
    let publisher = scene.with_redis(&url).publisher(&[]);
    let aggregator = scene.with_redis(&url).aggregator(&[]);
    for app in [&publisher, &aggregator] {
        app.ready().await;
    }
    publisher.publish_until_accepted(&events(0..5)).await;
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
        let running = scene.with_redis(&url).process("publisher", &[]);
        eventually(why, SOON, async || {
            let said = running.output();
            said.contains("ERROR") && said.contains(at) && said.contains(why)
        })
        .await;
        assert!(!running.output().contains("s3cret"));
    }
}

#[tokio::test]
async fn a_cluster_without_slots_is_down_until_it_has_them() {
    // Else it would listen on a port that is 10,000 higher than its own, and that may be somebody's.
    let bus = free_port().to_string();
    let scene = Scene::start_with(&["--cluster-enabled", "yes", "--cluster-port", &bus]).await;
    let (publisher, aggregator) = (scene.publisher(), scene.aggregator());
    for app in [&publisher, &aggregator] {
        app.not_ready("its cluster is down").await;
    }
    let _: String = scene.ask("CLUSTER ADDSLOTSRANGE 0 16383").await;
    publisher.publish_until_accepted(&events(0..5)).await;
    assert_exact(&aggregator, 5, 5).await;
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
        let place = Place::at(&format!("redis://{address}"), "");
        let publisher = place.publisher(&[]);
        let why = format!("its version is {version}");
        publisher.not_ready(&why).await;
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
async fn settings_that_put_accepted_events_at_risk_are_logged_and_the_worst_are_refused() {
    let scene = Scene::start().await;
    let _: () = scene.ask("CONFIG SET maxmemory-policy allkeys-lru").await;
    let _: () = scene.ask("CONFIG SET appendfsync everysec").await;
    for program in ["publisher", "aggregator"] {
        let running = scene.place.process(program, &[]);
        eventually("it warns", SOON, async || {
            let said = running.output();
            said.contains("ERROR") && said.contains("allkeys-lru") && said.contains("appendfsync")
        })
        .await;
    }
    let (publisher, aggregator) = (scene.publisher(), scene.aggregator());
    for app in [&publisher, &aggregator] {
        app.not_ready("set it to noeviction").await;
    }
    let _: () = scene.ask("CONFIG SET maxmemory-policy noeviction").await;
    publisher.ready().await;
    aggregator.ready().await;
    stop([publisher, aggregator]).await;
}
