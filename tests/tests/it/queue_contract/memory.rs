//! What only the queue in memory does: it confirms a push once all of it is settled.

use std::sync::Arc;

use event::Verdict;
use queue::{PushError, Queue, memory::MemoryQueue};
use runtime::hold::Hold;
use tests::{SOON, events::events, eventually};

use super::{MAX_LEN, a_worker, confirmed, depth};

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
    let consumer = queue.clone().consumer();
    let claim = async || consumer.claim(a_worker(), 2).await.unwrap().unwrap().claim;
    let (first, second) = (claim().await, claim().await);
    queue.recorded(second.id, &[Verdict::Duplicate]);
    queue.settle(second.id).await.unwrap();
    assert!(!pushing.is_finished());
    queue.settle(first.id).await.unwrap();
    let verdicts = confirmed(pushing).await.unwrap();
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
