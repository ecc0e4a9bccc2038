//! What only the queue in Redis does: leases, and claims that others adopt.

use queue::{Holder, LONGEST_LEASE};
use redis::AsyncCommands;
use tests::{events::events, servers};

use super::{LEASE, Queue, a_worker, connect, depth};

#[tokio::test]
async fn an_adopted_claim_is_not_handed_back_by_its_former_owner() {
    let (url, name) = (servers::redis_url().await, servers::queue_name());
    let queue = Queue::at(&url, &name);
    queue.pushed(events("a", 3)).await;
    let claim = queue.claim(a_worker(), 3).await.unwrap();
    let mut redis = connect(&url).await;
    let _: () = redis
        .sadd(format!("{{{name}}}:adopted"), claim.id.to_string())
        .await
        .unwrap();
    assert!(!queue.claims.release(claim.id, Holder::Owner).await.unwrap());
    assert_eq!(queue.depth().await, depth(0, 3));
}

#[tokio::test]
async fn a_lease_ends_by_the_clock_of_the_server_and_renewing_moves_it() {
    let (url, name) = (servers::redis_url().await, servers::queue_name());
    let queue = Queue::at(&url, &name);
    queue.pushed(events("a", 1)).await;
    let claim = queue.claim(a_worker(), 1).await.unwrap();
    let mut redis = connect(&url).await;
    let leases = format!("{{{name}}}:leases");
    let id = claim.id.to_string();
    let deadline: f64 = redis.zscore(&leases, &id).await.unwrap();
    let (seconds, _): (f64, f64) = redis::cmd("TIME").query_async(&mut redis).await.unwrap();
    let left = deadline / 1000.0 - seconds;
    assert!((20.0..=31.0).contains(&left), "{left} s left");

    let _: () = redis.zadd(&leases, &id, 1).await.unwrap();
    assert!(queue.claims.renew(claim.id).await.unwrap());
    let renewed: f64 = redis.zscore(&leases, &id).await.unwrap();
    assert!(renewed >= deadline);
}

#[tokio::test]
async fn a_deadline_that_the_clock_was_set_back_behind_counts_as_run_out() {
    let (url, name) = (servers::redis_url().await, servers::queue_name());
    let queue = Queue::at(&url, &name);
    queue.pushed(events("a", 1)).await;
    let claim = queue.claim(a_worker(), 1).await.unwrap();
    let mut redis = connect(&url).await;
    let (leases, id) = (format!("{{{name}}}:leases"), claim.id.to_string());
    let (now, _): (u64, u64) = redis::cmd("TIME").query_async(&mut redis).await.unwrap();
    let adopted = async || queue.claims.adopt().await.unwrap().map(|claim| claim.id);

    // Somebody's lease may be as long as this.
    let longest = (now + LONGEST_LEASE.as_secs()) * 1000;
    let _: () = redis.zadd(&leases, &id, longest).await.unwrap();
    assert_eq!(adopted().await, None);

    // Nobody's is as long as this; a live owner's renewal sets it right.
    let implausible = longest + 2 * LEASE.as_secs() * 1000;
    let _: () = redis.zadd(&leases, &id, implausible).await.unwrap();
    assert!(queue.claims.renew(claim.id).await.unwrap());
    assert_eq!(adopted().await, None);

    let _: () = redis.zadd(&leases, &id, implausible).await.unwrap();
    assert_eq!(adopted().await, Some(claim.id));
    let deadline: u64 = redis.zscore(&leases, &id).await.unwrap();
    assert!(deadline < longest, "the adopter's lease is a usual one");
}
