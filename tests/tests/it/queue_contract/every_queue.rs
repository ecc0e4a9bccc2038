//! What every queue promises.

use std::{collections::HashSet, sync::Arc};

use queue::{Consumer, Holder, PushError};
use runtime::hold::Hold;
use tests::events::{event, events};

use super::{MAX_LEN, Queue, a_worker, confirmed, depth};

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
    the_queue_tells_when_the_event_that_waits_longest_was_accepted,
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
    assert!(!queue.claims.renew(id).await.unwrap());
    assert!(!queue.claims.release(id, Holder::Owner).await.unwrap());
}

async fn a_settled_claim_is_gone_and_settling_twice_does_nothing(queue: Queue) {
    let pushing = queue.push(events("a", 2)).await;
    let pushing_later = queue.push(events("b", 1)).await;
    let first = queue.claim(a_worker(), 2).await.unwrap();
    queue.settle(&first).await;
    assert_eq!(queue.depth().await, depth(1, 0));
    queue.settle(&first).await;
    assert_eq!(queue.depth().await, depth(1, 0));
    let second = queue.claim(first.id.next(), 2).await.unwrap();
    queue.settle(&second).await;
    confirmed(pushing).await.unwrap();
    confirmed(pushing_later).await.unwrap();
    assert_eq!(queue.depth().await, depth(0, 0));
}

async fn a_released_claim_goes_back_in_its_place(queue: Queue) {
    let batch = events("a", 5);
    let _pushing = queue.push(batch.clone()).await;
    let claim = queue.claim(a_worker(), 3).await.unwrap();
    assert!(queue.claims.release(claim.id, Holder::Owner).await.unwrap());
    assert_eq!(queue.depth().await, depth(5, 0));
    assert!(!queue.claims.release(claim.id, Holder::Owner).await.unwrap());
    let again = queue.claim(a_worker(), 5).await.unwrap();
    assert_eq!(*again.events, batch);
}

async fn a_claim_is_held_until_it_is_settled(queue: Queue) {
    let _pushing = queue.push(events("a", 1)).await;
    let claim = queue.claim(a_worker(), 1).await.unwrap();
    assert!(queue.claims.renew(claim.id).await.unwrap());
    queue.settle(&claim).await;
    assert!(!queue.claims.renew(claim.id).await.unwrap());
}

async fn concurrent_workers_never_share_an_event(queue: Queue) {
    let _pushing = queue.push(events("a", 500)).await;
    let take_all = |consumer: Arc<dyn Consumer>| async move {
        let (mut id, mut keys) = (a_worker(), Vec::new());
        while let Some(taken) = consumer.claim(id, 7).await.unwrap() {
            keys.extend(
                taken
                    .claim
                    .events
                    .iter()
                    .map(|event| event.event_id.clone()),
            );
            id = id.next();
        }
        keys
    };
    let [one, two] = queue.consumers.clone();
    let (one, two) = tokio::join!(
        confirmed(tokio::spawn(take_all(one))),
        confirmed(tokio::spawn(take_all(two)))
    );
    let taken = [one, two].concat();
    assert_eq!(taken.len(), 500);
    assert_eq!(taken.iter().collect::<HashSet<_>>().len(), 500);
}

async fn a_waiting_worker_is_woken(queue: Queue) {
    let consumer = queue.consumers[0].clone();
    let waiting = tokio::spawn(async move {
        let id = a_worker();
        loop {
            if let Some(taken) = consumer.claim(id, 10).await.unwrap() {
                return taken.claim;
            }
            consumer.wait().await.unwrap();
        }
    });
    let batch = events("a", 1);
    let producer = queue.producer.clone();
    let pushed = batch.clone();
    let _pushing = tokio::spawn(async move { producer.push(pushed, Hold::nothing()).await });
    let claim = confirmed(waiting).await;
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
    let pending = room - claim.len() + room / 10;
    assert_eq!(queue.depth().await, depth(pending as u64, 0));
}

async fn the_queue_tells_when_the_event_that_waits_longest_was_accepted(queue: Queue) {
    let oldest = async || queue.claims.depth().await.unwrap().oldest;
    assert_eq!(oldest().await, None);
    let batch = events("a", 2);
    let _pushing = queue.push(batch[..1].to_vec()).await;
    let _pushing_later = queue.push(batch[1..].to_vec()).await;
    let accepted = |event: &event::Event| Some(event.receipt_id.received_at());
    assert_eq!(oldest().await, accepted(&batch[0]));
    let claim = queue.claim(a_worker(), 1).await.unwrap();
    assert_eq!(oldest().await, accepted(&batch[1]));
    let _last = queue.claim(a_worker(), 1).await.unwrap();
    assert_eq!(oldest().await, None);
    assert!(queue.claims.release(claim.id, Holder::Owner).await.unwrap());
    assert_eq!(oldest().await, accepted(&batch[0]));
}
