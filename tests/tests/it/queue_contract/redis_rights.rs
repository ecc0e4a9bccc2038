//! What only the queue in Redis does: it needs few rights.

use std::time::Duration;

use queue::{
    Holder, Producer, PushError,
    redis::{
        Address, RedisConsumer, RedisProducer,
        acl::{Rights, UserName},
    },
};
use runtime::{hold::Hold, readiness::Watched};
use tests::{SOON, events::events, eventually, servers::OwnRedis};

use super::{MAX_LEN, a_worker, connect};

/// Does once what the programs do with these users: publish, claim, renew, release, settle, adopt, ask, get ready.
async fn all_that_is_needed(redis: &OwnRedis, name: &str) -> Result<(), String> {
    let url = |user: &str| format!("redis://{user}:PASSWORD@127.0.0.1:{}/1", redis.port());
    let address = |user: &str| Address::new(&url(user), name.parse().unwrap()).unwrap();
    let (publishing, working) = (address("publisher"), address("aggregator"));
    let producer = RedisProducer::new(&publishing, MAX_LEN);
    let opened = RedisConsumer::for_workers(&working, Duration::ZERO, 1);
    let (queue, consumer) = (opened.shards.all().remove(0), &opened.consumers[0]);
    let probe = async |(_, probe): Watched| probe.probe().await.map_err(|trouble| trouble.detail);
    let text = |error: queue::QueueError| error.to_string();
    probe(producer.watched().remove(0)).await?;
    probe(queue.watched().expect("it is in another process")).await?;
    // Finding nothing is what makes the process wait.
    consumer.claim(a_worker(), 1).await.map_err(text)?;
    let pushed = producer.push(events("a", 2), Hold::nothing()).await;
    pushed.map_err(|error| error.to_string())?;
    consumer.wait().await.map_err(text)?;
    let id = a_worker();
    consumer.claim(id, 1).await.map_err(text)?;
    queue.renew(id).await.map_err(text)?;
    queue.release(id, Holder::Owner).await.map_err(text)?;
    consumer.claim(id.next(), 2).await.map_err(text)?;
    // Its lease is over as soon as it is made.
    queue
        .adopt()
        .await
        .map_err(text)?
        .ok_or("nothing to adopt")?;
    queue.holders().await.map_err(text)?;
    queue.depth().await.map_err(text)?;
    queue.settle(id.next()).await.map_err(text)?;
    // A full queue is asked for its length.
    let full = RedisProducer::new(&publishing, 1)
        .push(events("b", 2), Hold::nothing())
        .await;
    match full {
        Err(PushError::Full { .. }) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

#[tokio::test]
async fn the_rights_that_acl_prints_are_enough_and_each_is_needed() {
    let redis = OwnRedis::start().await;
    let address = Address::new("redis://127.0.0.1/1", "events".parse().unwrap()).unwrap();
    let mut admin = connect(&redis.url()).await;
    let users = [("publisher", Rights::Publish), ("aggregator", Rights::Work)];
    let users = users.map(|(name, program)| {
        let user: UserName = name.parse().unwrap();
        (name, address.acl(program, &user))
    });
    let mut run = async |words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        let command = redis::cmd(words[0]).arg(&words[1..]).clone();
        let answer: redis::Value = command.query_async(&mut admin).await.unwrap();
        answer
    };
    for (_, line) in &users {
        run(line).await;
    }
    run("ACL LOG RESET").await;
    all_that_is_needed(&redis, "events").await.unwrap();
    // The settings are looked at beside that.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(run("ACL LOG").await, redis::Value::Array(vec![]));

    for (name, line) in &users {
        let rights = line.split(' ').filter(|right| right.starts_with('+'));
        for right in rights {
            // The last one may end a selector.
            let (right, end) = match right.strip_suffix(')') {
                Some(right) => (right, ")"),
                None => (right, " "),
            };
            let with = format!("{line} ").replacen(&format!(" {right}{end}"), end, 1);
            run(with.trim()).await;
            run("SCRIPT FLUSH").await;
            run("ACL LOG RESET").await;
            let _ = all_that_is_needed(&redis, "events").await;
            eventually(&format!("{name} misses {right}"), SOON, async || {
                run("ACL LOG").await != redis::Value::Array(vec![])
            })
            .await;
            run("FLUSHALL").await;
        }
        run(line).await;
    }
}
