//! What every queue promises, checked on each, and what only the one in Redis does.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::HashSet, sync::Arc, time::Duration};

use common::{
    clock::{Clock, Ids, SystemClock},
    event::Event,
    hold::Hold,
    queue::{
        Claim, ClaimId, Consumer, Depth, Holder, LONGEST_LEASE, Producer, PushError, Verdict,
        WorkerId,
        memory::MemoryQueue,
        redis::{
            Address, MAX_ELEMENT_BYTES, RedisConsumer, RedisProducer,
            acl::{Program, UserName},
        },
    },
};
use redis::AsyncCommands;
use tests::{
    events::{event, events},
    eventually,
    servers::{self, OwnRedis},
};
use tokio::task::JoinHandle;

const SOON: Duration = Duration::from_secs(10);
const MAX_LEN: u64 = 1000;
const LEASE: Duration = Duration::from_secs(30);

struct Queue {
    producer: Arc<dyn Producer>,
    consumers: [Arc<dyn Consumer>; 2],
}

impl Queue {
    fn in_memory() -> Self {
        let queue = Arc::new(MemoryQueue::new(MAX_LEN));
        Self {
            producer: queue.clone(),
            consumers: [queue.clone(), queue],
        }
    }

    async fn in_redis() -> Self {
        Self::at(&servers::redis_url().await, &servers::queue_name())
    }

    fn at(url: &str, name: &str) -> Self {
        let address = Address::new(url, name.parse().unwrap()).unwrap();
        let mut consumers = RedisConsumer::for_workers(&address, LEASE, 2)
            .into_iter()
            .map(|consumer| Arc::new(consumer) as Arc<dyn Consumer>);
        Self {
            producer: Arc::new(RedisProducer::new(&address, MAX_LEN)),
            consumers: [consumers.next().unwrap(), consumers.next().unwrap()],
        }
    }

    /// Pushes in the background (a queue in memory confirms only once the events are settled) and
    /// returns when the events wait in the queue.
    async fn push(&self, batch: Vec<Event>) -> JoinHandle<Result<(), PushError>> {
        let expected = self.depth().await.pending + batch.len() as u64;
        let producer = self.producer.clone();
        let pushing = tokio::spawn(async move { producer.push(batch, Hold::nothing()).await });
        eventually("the batch waits in the queue", SOON, async || {
            self.depth().await.pending == expected
        })
        .await;
        pushing
    }

    async fn depth(&self) -> Depth {
        self.consumers[0].depth().await.unwrap()
    }

    async fn claim(&self, id: ClaimId, max: usize) -> Option<Claim> {
        self.consumers[0].claim(id, max).await.unwrap()
    }

    async fn settle(&self, claim: &Claim) {
        let verdicts = vec![Verdict::Accepted; claim.events.len()];
        self.consumers[0]
            .settle(claim.id, Some(&verdicts))
            .await
            .unwrap();
    }
}

fn a_worker() -> ClaimId {
    ClaimId::first(WorkerId(Ids::default().next(SystemClock.now())))
}

fn depth(pending: u64, processing: u64) -> Depth {
    Depth {
        pending,
        processing,
    }
}

macro_rules! contract {
    ($($case:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $case() {
                super::$case(super::Queue::in_memory()).await;
            })*
        }
        mod redis_ {
            $(#[tokio::test]
            async fn $case() {
                super::$case(super::Queue::in_redis().await).await;
            })*
        }
    };
}

contract![
    events_come_out_as_they_went_in_oldest_first,
    an_empty_queue_gives_no_claim,
    a_settled_claim_is_gone_and_settling_twice_does_nothing,
    a_released_claim_goes_back_in_its_place,
    a_claim_is_held_until_it_is_settled,
    concurrent_workers_never_share_an_event,
    a_waiting_worker_is_woken,
    a_cancelled_wait_loses_nothing,
    a_full_queue_accepts_nothing_until_it_has_drained,
];

async fn events_come_out_as_they_went_in_oldest_first(queue: Queue) {
    let mut batch = events("a", 3);
    batch.extend([event("logs/ä", "🦀 \"quoted\" \\")]);
    let _pushing = queue.push(batch.clone()).await;
    let later = events("b", 2);
    let _pushing_later = queue.push(later.clone()).await;

    let id = a_worker();
    let first = queue.claim(id, 4).await.unwrap();
    assert_eq!(*first.events, batch);
    assert_eq!(queue.depth().await, depth(2, 4));
    let second = queue.claim(id.next(), 4).await.unwrap();
    assert_eq!(*second.events, later);
    assert_eq!(queue.depth().await, depth(0, 6));
}

async fn an_empty_queue_gives_no_claim(queue: Queue) {
    let id = a_worker();
    assert!(queue.claim(id, 10).await.is_none());
    assert_eq!(queue.depth().await, depth(0, 0));
    assert!(!queue.consumers[0].renew(id).await.unwrap());
    assert!(!queue.consumers[0].release(id, Holder::Owner).await.unwrap());
}

async fn a_settled_claim_is_gone_and_settling_twice_does_nothing(queue: Queue) {
    let pushing = queue.push(events("a", 3)).await;
    let first = queue.claim(a_worker(), 2).await.unwrap();
    queue.settle(&first).await;
    assert_eq!(queue.depth().await, depth(1, 0));
    queue.settle(&first).await;
    assert_eq!(queue.depth().await, depth(1, 0));
    let second = queue.claim(first.id.next(), 2).await.unwrap();
    queue.settle(&second).await;
    pushing.await.unwrap().unwrap();
    assert_eq!(queue.depth().await, depth(0, 0));
}

async fn a_released_claim_goes_back_in_its_place(queue: Queue) {
    let batch = events("a", 5);
    let _pushing = queue.push(batch.clone()).await;
    let claim = queue.claim(a_worker(), 3).await.unwrap();
    assert!(
        queue.consumers[0]
            .release(claim.id, Holder::Owner)
            .await
            .unwrap()
    );
    assert_eq!(queue.depth().await, depth(5, 0));
    assert!(
        !queue.consumers[0]
            .release(claim.id, Holder::Owner)
            .await
            .unwrap()
    );
    let again = queue.claim(a_worker(), 5).await.unwrap();
    assert_eq!(*again.events, batch);
}

async fn a_claim_is_held_until_it_is_settled(queue: Queue) {
    let _pushing = queue.push(events("a", 1)).await;
    let claim = queue.claim(a_worker(), 1).await.unwrap();
    assert!(queue.consumers[0].renew(claim.id).await.unwrap());
    queue.settle(&claim).await;
    assert!(!queue.consumers[0].renew(claim.id).await.unwrap());
}

async fn concurrent_workers_never_share_an_event(queue: Queue) {
    let _pushing = queue.push(events("a", 500)).await;
    let take_all = |consumer: Arc<dyn Consumer>| async move {
        let (mut id, mut keys) = (a_worker(), Vec::new());
        while let Some(claim) = consumer.claim(id, 7).await.unwrap() {
            keys.extend(claim.events.iter().map(|event| event.event_id.clone()));
            id = id.next();
        }
        keys
    };
    let [one, two] = queue.consumers.clone();
    let (one, two) = tokio::join!(tokio::spawn(take_all(one)), tokio::spawn(take_all(two)));
    let taken = [one.unwrap(), two.unwrap()].concat();
    assert_eq!(taken.len(), 500);
    assert_eq!(taken.iter().collect::<HashSet<_>>().len(), 500);
}

async fn a_waiting_worker_is_woken(queue: Queue) {
    let consumer = queue.consumers[0].clone();
    let waiting = tokio::spawn(async move {
        let id = a_worker();
        loop {
            if let Some(claim) = consumer.claim(id, 10).await.unwrap() {
                return claim;
            }
            consumer.wait().await.unwrap();
        }
    });
    let batch = events("a", 1);
    let producer = queue.producer.clone();
    let pushed = batch.clone();
    let _pushing = tokio::spawn(async move { producer.push(pushed, Hold::nothing()).await });
    let claim = tokio::time::timeout(SOON, waiting).await.unwrap().unwrap();
    assert_eq!(*claim.events, batch);
}

async fn a_cancelled_wait_loses_nothing(queue: Queue) {
    let consumer = queue.consumers[0].clone();
    let waiting = tokio::spawn(async move {
        loop {
            consumer.wait().await.unwrap();
            // While events wait it returns at once.
            tokio::task::yield_now().await;
        }
    });
    let batch = events("a", 5);
    let _pushing = queue.push(batch.clone()).await;
    waiting.abort();
    assert!(waiting.await.is_err());
    assert_eq!(queue.depth().await, depth(5, 0));
    let claim = queue.claim(a_worker(), 10).await.unwrap();
    assert_eq!(*claim.events, batch);
}

async fn a_full_queue_accepts_nothing_until_it_has_drained(queue: Queue) {
    let room = usize::try_from(MAX_LEN).unwrap();
    let _pushing = queue.push(events("a", room)).await;
    let refused = queue
        .producer
        .push(events("b", 1), Hold::nothing())
        .await
        .unwrap_err();
    assert!(
        matches!(
            refused,
            PushError::Full {
                len: MAX_LEN,
                max: MAX_LEN
            }
        ),
        "{refused:?}"
    );
    assert_eq!(queue.depth().await, depth(MAX_LEN, 0));
    // Not just as much room as is needed: then publishers would change their mind all the time.
    let claim = queue.claim(a_worker(), room / 5).await.unwrap();
    queue.settle(&claim).await;
    let _pushing_again = queue.push(events("b", room / 10)).await;
    assert_eq!(queue.depth().await, depth(MAX_LEN / 10 * 9, 0));
}

#[tokio::test]
async fn a_push_into_memory_is_confirmed_with_verdicts_once_all_of_it_is_settled() {
    let queue = Arc::new(MemoryQueue::new(MAX_LEN));
    let pushing = tokio::spawn({
        let queue = queue.clone();
        async move { queue.submit(events("a", 3), Hold::nothing()).await }
    });
    eventually("the batch waits", SOON, async || {
        queue.depth().await.unwrap().pending == 3
    })
    .await;
    let first = queue.claim(a_worker(), 2).await.unwrap().unwrap();
    let second = queue.claim(a_worker(), 2).await.unwrap().unwrap();
    queue
        .settle(second.id, Some(&[Verdict::Duplicate]))
        .await
        .unwrap();
    assert!(!pushing.is_finished());
    queue.settle(first.id, None).await.unwrap();
    let verdicts = pushing.await.unwrap().unwrap();
    assert_eq!(verdicts, [None, None, Some(Verdict::Duplicate)]);
}

#[tokio::test(start_paused = true)]
async fn a_push_into_memory_that_nobody_takes_is_withdrawn() {
    let queue = MemoryQueue::new(MAX_LEN);
    let refused = queue
        .submit(events("a", 3), Hold::nothing())
        .await
        .unwrap_err();
    assert!(matches!(refused, PushError::Unconfirmed(_)), "{refused:?}");
    assert_eq!(queue.depth().await.unwrap(), depth(0, 0));
}

#[tokio::test]
async fn a_drained_queue_leaves_no_key_in_redis() {
    let (url, name) = (servers::redis_url().await, servers::queue_name());
    let queue = Queue::at(&url, &name);
    queue.push(events("a", 10)).await.await.unwrap().unwrap();
    let released = queue.claim(a_worker(), 4).await.unwrap();
    queue.consumers[0]
        .release(released.id, Holder::Owner)
        .await
        .unwrap();
    let claim = queue.claim(a_worker(), 10).await.unwrap();
    assert_eq!(keys(&url, &name).await.len(), 2, "the claim and its lease");
    queue.settle(&claim).await;
    assert_eq!(keys(&url, &name).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_adopted_claim_is_not_handed_back_by_its_former_owner() {
    let (url, name) = (servers::redis_url().await, servers::queue_name());
    let queue = Queue::at(&url, &name);
    queue.push(events("a", 3)).await.await.unwrap().unwrap();
    let claim = queue.claim(a_worker(), 3).await.unwrap();
    let mut redis = connect(&url).await;
    let _: () = redis
        .sadd(format!("{{{name}}}:adopted"), claim.id.to_string())
        .await
        .unwrap();
    assert!(
        !queue.consumers[0]
            .release(claim.id, Holder::Owner)
            .await
            .unwrap()
    );
    assert_eq!(queue.depth().await, depth(0, 3));
}

#[tokio::test]
async fn a_lease_ends_by_the_clock_of_the_server_and_renewing_moves_it() {
    let (url, name) = (servers::redis_url().await, servers::queue_name());
    let queue = Queue::at(&url, &name);
    queue.push(events("a", 1)).await.await.unwrap().unwrap();
    let claim = queue.claim(a_worker(), 1).await.unwrap();
    let mut redis = connect(&url).await;
    let leases = format!("{{{name}}}:leases");
    let id = claim.id.to_string();
    let deadline: f64 = redis.zscore(&leases, &id).await.unwrap();
    let (seconds, _): (f64, f64) = redis::cmd("TIME").query_async(&mut redis).await.unwrap();
    let left = deadline / 1000.0 - seconds;
    assert!((20.0..=31.0).contains(&left), "{left} s left");

    let _: () = redis.zadd(&leases, &id, 1).await.unwrap();
    assert!(queue.consumers[0].renew(claim.id).await.unwrap());
    let renewed: f64 = redis.zscore(&leases, &id).await.unwrap();
    assert!(renewed >= deadline);
}

#[tokio::test]
async fn a_deadline_that_the_clock_was_set_back_behind_counts_as_run_out() {
    let (url, name) = (servers::redis_url().await, servers::queue_name());
    let queue = Queue::at(&url, &name);
    queue.push(events("a", 1)).await.await.unwrap().unwrap();
    let claim = queue.claim(a_worker(), 1).await.unwrap();
    let mut redis = connect(&url).await;
    let (leases, id) = (format!("{{{name}}}:leases"), claim.id.to_string());
    let (now, _): (u64, u64) = redis::cmd("TIME").query_async(&mut redis).await.unwrap();
    let adopted = async || {
        queue.consumers[1]
            .adopt()
            .await
            .unwrap()
            .map(|claim| claim.id)
    };

    // Somebody's lease may be as long as this.
    let longest = (now + LONGEST_LEASE.as_secs()) * 1000;
    let _: () = redis.zadd(&leases, &id, longest).await.unwrap();
    assert_eq!(adopted().await, None);

    // Nobody's is as long as this; a live owner's renewal sets it right.
    let implausible = longest + 2 * LEASE.as_secs() * 1000;
    let _: () = redis.zadd(&leases, &id, implausible).await.unwrap();
    assert!(queue.consumers[0].renew(claim.id).await.unwrap());
    assert_eq!(adopted().await, None);

    let _: () = redis.zadd(&leases, &id, implausible).await.unwrap();
    assert_eq!(adopted().await, Some(claim.id));
    let deadline: u64 = redis.zscore(&leases, &id).await.unwrap();
    assert!(deadline < longest, "the adopter's lease is a usual one");
}

#[tokio::test]
async fn an_element_larger_than_any_event_is_set_aside_and_holds_nobody_up() {
    // Elements of this size would hold up the tests that share a server.
    let server = OwnRedis::start_with(&["--appendonly", "no"]).await;
    let (url, name) = (server.url(), "events".to_owned());
    let queue = Queue::at(&url, &name);
    let giant = vec![0xff; MAX_ELEMENT_BYTES + 1];
    let patient = redis::AsyncConnectionConfig::new().set_response_timeout(Some(SOON));
    let mut redis = redis::Client::open(&*url)
        .unwrap()
        .get_multiplexed_async_connection_with_config(&patient)
        .await
        .unwrap();
    let (list, oversized) = (format!("{{{name}}}:queue"), format!("{{{name}}}:oversized"));
    let _: () = redis.lpush(&list, &giant).await.unwrap();
    let _: () = redis.lpush(&list, &giant[1..]).await.unwrap();
    queue.push(events("a", 1)).await.await.unwrap().unwrap();

    let mut id = a_worker();
    assert!(
        queue.claim(id, 10).await.is_none(),
        "the oldest is no event"
    );
    assert_eq!(queue.depth().await, depth(2, 0));
    assert_eq!(keys(&url, &name).await.len(), 2, "no claim without events");
    let mut taken = Vec::new();
    for _ in 0..2 {
        id = id.next();
        taken.extend(queue.claim(id, 10).await);
    }
    assert_eq!(taken[0].malformed[0].raw, giant[1..], "as large as may be");
    assert_eq!(taken.last().unwrap().events.len(), 1);
    let kept: Vec<Vec<u8>> = redis.lrange(&oversized, 0, -1).await.unwrap();
    assert!(kept == [giant], "byte for byte");
}

/// Does once what the programs do with these users: publish, claim, renew, release, settle, adopt, ask, get ready.
async fn all_that_is_needed(redis: &OwnRedis, name: &str) -> Result<(), String> {
    let url = |user: &str| format!("redis://{user}:PASSWORD@127.0.0.1:{}/1", redis.port());
    let address = |user: &str| Address::new(&url(user), name.parse().unwrap()).unwrap();
    let (publishing, working) = (address("publisher"), address("aggregator"));
    let producer = RedisProducer::new(&publishing, MAX_LEN);
    let consumer = &RedisConsumer::for_workers(&working, Duration::ZERO, 1)[0];
    let probe = async |address: &Address| {
        let (_, probe) = address.watched();
        probe.probe().await.map_err(|trouble| trouble.detail)
    };
    let text = |error: common::queue::QueueError| error.to_string();
    probe(&publishing).await?;
    probe(&working).await?;
    let pushed = producer.push(events("a", 2), Hold::nothing()).await;
    pushed.map_err(|error| error.to_string())?;
    consumer.wait().await.map_err(text)?;
    let id = a_worker();
    consumer.claim(id, 1).await.map_err(text)?;
    consumer.renew(id).await.map_err(text)?;
    consumer.release(id, Holder::Owner).await.map_err(text)?;
    consumer.claim(id.next(), 2).await.map_err(text)?;
    // Its lease is over as soon as it is made.
    consumer
        .adopt()
        .await
        .map_err(text)?
        .ok_or("nothing to adopt")?;
    consumer.holders().await.map_err(text)?;
    consumer.depth().await.map_err(text)?;
    consumer.settle(id.next(), None).await.map_err(text)?;
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
    let users = [
        ("publisher", Program::Publisher),
        ("aggregator", Program::Aggregator),
    ];
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

#[tokio::test]
async fn what_somebody_else_pushed_is_claimed_as_malformed() {
    let (url, name) = (servers::redis_url().await, servers::queue_name());
    let queue = Queue::at(&url, &name);
    let mut redis = connect(&url).await;
    let _: () = redis
        .lpush(format!("{{{name}}}:queue"), b"\xff not ours")
        .await
        .unwrap();
    queue.push(events("a", 1)).await.await.unwrap().unwrap();
    let claim = queue.claim(a_worker(), 10).await.unwrap();
    assert_eq!(claim.events.len(), 1);
    assert_eq!(claim.malformed[0].raw, b"\xff not ours");
    assert_eq!(claim.len(), 2);
}

#[tokio::test]
async fn a_publisher_gets_over_a_restart_of_redis() {
    let mut server = OwnRedis::start().await;
    let queue = Queue::at(&server.url(), "events");
    queue
        .producer
        .push(events("a", 2), Hold::nothing())
        .await
        .unwrap();
    server.stop();
    let refused = queue
        .producer
        .push(events("b", 1), Hold::nothing())
        .await
        .unwrap_err();
    assert!(matches!(refused, PushError::Unconfirmed(_)), "{refused:?}");
    assert!(queue.consumers[0].wait().await.is_err());
    server.restart().await;
    eventually("pushing works again", SOON, async || {
        queue
            .producer
            .push(events("c", 1), Hold::nothing())
            .await
            .is_ok()
    })
    .await;
    assert!(
        queue.depth().await.pending >= 3,
        "what was confirmed is there"
    );
}

async fn connect(url: &str) -> redis::aio::MultiplexedConnection {
    redis::Client::open(url)
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap()
}

async fn keys(url: &str, name: &str) -> Vec<String> {
    connect(url)
        .await
        .keys(format!("{{{name}}}:*"))
        .await
        .unwrap()
}
