//! What only the queue in Redis does: keys, elements that are not events, and a server that comes back.

use queue::{Holder, PushError, redis::MAX_ELEMENT_BYTES};
use redis::AsyncCommands;
use runtime::hold::Hold;
use tests::{
    SOON,
    events::events,
    eventually,
    servers::{self, OwnRedis},
};

use super::{Queue, a_worker, connect, depth, keys};

#[tokio::test]
async fn a_drained_queue_leaves_no_key_in_redis() {
    let (url, name) = (servers::redis_url().await, servers::queue_name());
    let queue = Queue::at(&url, &name);
    queue.pushed(events("a", 10)).await;
    let released = queue.claim(a_worker(), 4).await.unwrap();
    queue
        .claims
        .release(released.id, Holder::Owner)
        .await
        .unwrap();
    let claim = queue.claim(a_worker(), 10).await.unwrap();
    let left = keys(&url, &name).await.len();
    assert_eq!(left, 3, "the claim, its lease and its size");
    queue.settle(&claim).await;
    assert_eq!(keys(&url, &name).await, Vec::<String>::new());
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
    queue.pushed(events("a", 1)).await;

    let mut id = a_worker();
    let claimed = queue.consumers[0].claim(id, 10).await.unwrap();
    assert!(claimed.is_none(), "the oldest is no event");
    assert_eq!(queue.depth().await, depth(2, 0));
    let left = keys(&url, &name).await;
    assert!(
        !left.iter().any(|key| key.contains("claim")),
        "no claim without events: {left:?}"
    );
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

#[tokio::test]
async fn what_somebody_else_pushed_is_claimed_as_malformed() {
    let (url, name) = (servers::redis_url().await, servers::queue_name());
    let queue = Queue::at(&url, &name);
    let mut redis = connect(&url).await;
    let _: () = redis
        .lpush(format!("{{{name}}}:queue"), b"\xff not ours")
        .await
        .unwrap();
    queue.pushed(events("a", 1)).await;
    let claim = queue.claim(a_worker(), 10).await.unwrap();
    assert_eq!(claim.events.len(), 1);
    assert_eq!(claim.malformed[0].raw, b"\xff not ours");
    assert_eq!(claim.len(), 2);
}

#[tokio::test]
async fn a_publisher_goes_on_after_a_restart_of_redis() {
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
    assert!(queue.consumers[0].claim(a_worker(), 1).await.is_err());
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
