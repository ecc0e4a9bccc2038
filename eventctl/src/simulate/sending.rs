//! Sends the plan: in batches, at a pace, over several connections.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use event_aggregator_client::{self as client, Batch, Client};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    expected::{Expected, SentBatch},
    generator::EventGenerator,
    plan::{Delivery, Plan},
};
use crate::error::Error;

/// How often the deliveries that are due are sent.
const TICK: Duration = Duration::from_millis(100);

/// How fast to send, and in which portions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How many events a request has at most.
    pub(super) batch: usize,
    /// How many requests are under way at the same time.
    pub(super) connections: usize,
    /// Deliveries per second; `None`: as many as the server takes.
    pub(super) rate: Option<f64>,
}

/// What has happened so far; the view reads it while the plan is sent.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Deliveries that were sent at least once.
    pub(super) sent: AtomicU64,
    /// Deliveries that were acknowledged.
    pub(super) acknowledged: AtomicU64,
    /// Requests that were repeated.
    pub(super) retried: AtomicU64,
    /// Requests whose answer was lost.
    pub(super) lost: AtomicU64,
    /// Whether everything is sent, and only the server still works.
    pub(super) is_draining: AtomicBool,
}

/// Sends the plan to its end or until `stop`; returns what the servers must count.
///
/// # Errors
/// If the server refuses a batch, or is away for longer than the client's patience.
pub(super) async fn run(
    client: &Client,
    plan: Plan,
    generator: &EventGenerator,
    pace: Pace,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<Expected, Error> {
    let mut expected = Expected::new(generator.topics);
    let sending = batches(plan, pace)
        .take_until(stop.cancelled())
        .map(|batch| send(client, generator, progress, batch))
        .buffer_unordered(pace.connections);
    let mut sending = std::pin::pin!(sending);
    while let Some(sent) = sending.next().await {
        expected.add(&sent?);
    }
    Ok(expected)
}

/// Gives out the plan as fast as the pace allows.
struct Pacer {
    plan: Plan,
    /// The clock, and how many deliveries are due at each tick; `None` if there is no rate.
    ticks: Option<(Interval, f64)>,
    /// How many deliveries are due and not given out yet.
    due: f64,
}

/// The plan in batches, each when it is due. The rate is never exceeded: the time for which a slow server keeps batches
/// waiting is not made up for.
fn batches(plan: Plan, pace: Pace) -> impl Stream<Item = Vec<Delivery>> {
    let ticks = pace.rate.map(|rate| {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        (ticks, rate * TICK.as_secs_f64())
    });
    let pacer = Pacer {
        plan,
        ticks,
        due: 0.0,
    };
    stream::unfold(pacer, move |mut pacer| async move {
        let size = pacer.due(pace.batch).await;
        let batch: Vec<Delivery> = pacer.plan.by_ref().take(size).collect();
        (!batch.is_empty()).then_some((batch, pacer))
    })
}

impl Pacer {
    /// Waits until something is due, and returns how much, up to `most`.
    async fn due(&mut self, most: usize) -> usize {
        let Some((ticks, per_tick)) = &mut self.ticks else {
            return most;
        };
        while self.due < 1.0 {
            ticks.tick().await;
            self.due += *per_tick;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the number is small and positive, and its whole part is meant"
        )]
        let size = (self.due as usize).min(most);
        #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
        let sent = size as f64;
        self.due -= sent;
        size
    }
}

async fn send(
    client: &Client,
    generator: &EventGenerator,
    progress: &Progress,
    deliveries: Vec<Delivery>,
) -> Result<SentBatch, Error> {
    let events = deliveries.iter();
    let events: Vec<_> = events
        .map(|delivery| generator.event(delivery.event))
        .collect();
    let batch = Batch::of(&events).map_err(std::io::Error::from)?;
    let count = deliveries.len() as u64;
    progress.sent.fetch_add(count, Relaxed);
    let mut lost_answers = 0;
    let sent = client.publish_observed(&batch, |failure| {
        let lost = u64::from(failure.is_uncertain);
        lost_answers += lost;
        progress.lost.fetch_add(lost, Relaxed);
        progress.retried.fetch_add(1, Relaxed);
    });
    let is_acknowledged = match sent.await {
        Ok(()) => {
            progress.acknowledged.fetch_add(count, Relaxed);
            true
        }
        Err(client::Error::Interrupted) => false,
        Err(error) => return Err(error.into()),
    };
    let new_events = deliveries.iter().filter(|delivery| delivery.is_first);
    Ok(SentBatch {
        new_events: new_events
            .map(|delivery| generator.topic_of(delivery.event))
            .collect(),
        deliveries: count,
        is_acknowledged,
        lost_answers,
    })
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn pace(batch: usize, rate: Option<f64>) -> Pace {
        Pace {
            batch,
            connections: 1,
            rate,
        }
    }

    async fn sizes(events: u64, pace: Pace) -> Vec<usize> {
        let batches = batches(Plan::new(1, Some(events), 0.0), pace);
        batches.map(|batch| batch.len()).collect().await
    }

    #[tokio::test]
    async fn without_a_rate_batches_are_full() {
        assert_eq!(sizes(250, pace(100, None)).await, [100, 100, 50]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept() {
        let start = Instant::now();
        let sizes = sizes(500, pace(100, Some(50.0))).await;
        assert_eq!(sizes.iter().sum::<usize>(), 500);
        assert!(sizes.iter().all(|size| *size <= 5), "a tick has no more");
        assert!((9800..=10_100).contains(&start.elapsed().as_millis()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_that_a_slow_server_took_is_not_made_up_for() {
        let mut batches = std::pin::pin!(batches(Plan::new(1, None, 0.0), pace(100, Some(50.0))));
        batches.next().await;
        tokio::time::advance(Duration::from_mins(1)).await;
        let start = Instant::now();
        for _ in 0..20 {
            batches.next().await;
        }
        assert!(start.elapsed() >= TICK * 18, "{:?}", start.elapsed());
    }
}
