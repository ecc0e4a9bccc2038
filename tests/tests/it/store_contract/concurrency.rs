//! Workers and readers at the same time.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use event::{Event, Verdict::Accepted};
use futures_util::future::join_all;
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::SliceRandom};
use store::Cursor;
use tests::{
    SOON,
    events::{event, events},
    eventually,
};
use tokio::time::timeout;

use super::{Tested, WORKERS, claim};

contract![
    concurrent_workers_with_the_same_events_count_exactly,
    counters_add_up_in_every_snapshot_while_workers_write,
    a_reader_that_follows_the_writers_misses_nothing,
];

/// How long all workers together may take.
const WRITTEN_WITHIN: Duration = Duration::from_mins(2);
const ROUNDS: usize = 25;
const BATCH: usize = 40;
const UNIVERSE: usize = 300;

/// What one worker will record: batches of events that others record too.
fn overlapping(seed: u64) -> Vec<Vec<Event>> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut batch = || {
        let mut batch: Vec<Event> = (0..BATCH)
            .map(|_| rng.random_range(0..UNIVERSE))
            .map(|n| event(&format!("topic {}", n % 7), &n.to_string()))
            .collect();
        batch.shuffle(&mut rng);
        batch
    };
    (0..ROUNDS).map(|_| batch()).collect()
}

/// Records the batches one after the other; tells what was accepted.
async fn work(tested: &Tested, batches: Vec<Vec<Event>>) -> Vec<(String, String)> {
    let mut accepted = Vec::new();
    let mut id = tested.worker().await;
    for batch in batches {
        let verdicts = tested.insist(&claim(id, &batch)).await;
        let new = batch.iter().zip(verdicts);
        let new = new.filter(|(_, verdict)| *verdict == Accepted);
        accepted
            .extend(new.map(|(event, _)| (event.topic.to_string(), event.event_id.to_string())));
        id = id.next();
    }
    accepted
}

async fn concurrent_workers_with_the_same_events_count_exactly(tested: Tested) {
    let workers: Vec<_> = (0..u64::from(WORKERS)).map(overlapping).collect();
    let sent: usize = workers.iter().flatten().map(Vec::len).sum();
    let different: HashSet<(String, String)> = workers
        .iter()
        .flatten()
        .flatten()
        .map(|event| (event.topic.to_string(), event.event_id.to_string()))
        .collect();

    let working = workers.into_iter().map(|batches| work(&tested, batches));
    let accepted: Vec<_> = join_all(working).await.into_iter().flatten().collect();

    assert_eq!(accepted.len(), different.len(), "none accepted twice");
    assert_eq!(accepted.into_iter().collect::<HashSet<_>>(), different);
    let unique = i64::try_from(different.len()).unwrap();
    let sent = i64::try_from(sent).unwrap();
    assert_eq!(tested.counters().await, (unique, sent - unique, 0));
    let stored = tested.all().await;
    let stored: HashSet<_> = stored
        .into_iter()
        .map(|event| (event.topic, event.event_id))
        .collect();
    assert_eq!(stored, different);
}

/// How far those who write are, and whether the one who reads has seen some of it.
#[derive(Default)]
struct Progress {
    seen: AtomicBool,
    done: AtomicBool,
}

/// Writes, one worker for each list of batches. Halfway it waits until something was seen, so that it
/// is certain that one reads while others write.
async fn write(tested: &Tested, workers: Vec<Vec<Vec<Event>>>, progress: &Progress) {
    let halves = workers.into_iter().map(|mut batches| {
        let second = batches.split_off(batches.len() / 2);
        (batches, second)
    });
    let (first, second): (Vec<_>, Vec<_>) = halves.unzip();
    join_all(first.into_iter().map(|batches| work(tested, batches))).await;
    eventually("the reader has caught up", SOON, async || {
        progress.seen.load(Ordering::SeqCst)
    })
    .await;
    join_all(second.into_iter().map(|batches| work(tested, batches))).await;
    progress.done.store(true, Ordering::SeqCst);
}

async fn counters_add_up_in_every_snapshot_while_workers_write(tested: Tested) {
    let progress = Progress::default();
    let workers: Vec<_> = (0..4).map(overlapping).collect();
    let reading = async {
        let mut seen = Vec::new();
        while !progress.done.load(Ordering::SeqCst) {
            // Checks that they add up.
            let received = tested.stats().await.received;
            progress.seen.fetch_or(received > 0, Ordering::SeqCst);
            seen.push(received);
        }
        seen
    };
    let both = async { tokio::join!(write(&tested, workers, &progress), reading) };
    let ((), seen) = timeout(WRITTEN_WITHIN, both).await.expect("all is written");
    assert!(seen.is_sorted());
    let sent = i64::try_from(4 * ROUNDS * BATCH).unwrap();
    assert_eq!(tested.stats().await.received, sent);
}

async fn a_reader_that_follows_the_writers_misses_nothing(tested: Tested) {
    let progress = Progress::default();
    let writer = |n: usize| {
        // Of different sizes, so that they take differently long.
        let size = |round: usize| 1 + (n * 31 + round * 7) % 60;
        let batch = |round| events(&format!("writer {n} round {round}"), size(round));
        (0..ROUNDS).map(batch).collect::<Vec<_>>()
    };
    let writers: Vec<_> = (0..6).map(writer).collect();
    let sent: HashSet<_> = writers
        .iter()
        .flatten()
        .flatten()
        .map(|event| (event.topic.to_string(), event.event_id.to_string()))
        .collect();
    let reading = async {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let last_look = progress.done.load(Ordering::SeqCst);
            let page = tested.page(50, after).await;
            let last_page = page.next.is_none();
            let last = page.items.last();
            after = last.map(|event| Cursor { id: event.id }).or(after);
            seen.extend(page.items);
            let caught_up = last_page && !seen.is_empty();
            progress.seen.fetch_or(caught_up, Ordering::SeqCst);
            if last_look && last_page {
                return seen;
            }
            assert!(seen.len() <= sent.len(), "nothing twice");
        }
    };
    let both = async { tokio::join!(write(&tested, writers, &progress), reading) };
    let ((), seen) = timeout(WRITTEN_WITHIN, both).await.expect("all is written");
    assert!(seen.is_sorted_by(|one, next| one.id < next.id));
    assert_eq!(seen.len(), sent.len());
    let seen: HashSet<_> = seen
        .into_iter()
        .map(|event| (event.topic, event.event_id))
        .collect();
    assert_eq!(seen, sent);
}
