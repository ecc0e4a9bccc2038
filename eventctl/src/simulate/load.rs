//! Sending the plan: batches, at a pace, over several connections.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    content::Content,
    ledger::{Ledger, Settled},
    plan::{Delivery, Plan},
};
use crate::{
    client::{Body, Client},
    error::Error,
};

/// How often what is due is sent.
const TICK: Duration = Duration::from_millis(100);

/// How fast, and in which pieces.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Most events in one request.
    pub batch: usize,
    /// Requests at the same time.
    pub connections: usize,
    /// Deliveries a second; `None`: as many as the server takes.
    pub rate: Option<f64>,
}

/// What has happened so far, for whoever watches.
#[derive(Debug, Default)]
pub struct Progress {
    /// Deliveries that were sent at least once.
    pub sent: AtomicU64,
    /// Deliveries that were acknowledged.
    pub acknowledged: AtomicU64,
    /// Requests that were repeated.
    pub retried: AtomicU64,
    /// Requests whose answer was lost.
    pub lost: AtomicU64,
    /// All is sent; the server still works on it.
    pub draining: AtomicBool,
}

/// Sends the plan to its end, or until `stop`; returns what was acknowledged.
///
/// # Errors
/// If the server refuses a batch, or is away for longer than the client's patience.
pub async fn run(
    client: &Client,
    plan: Plan,
    content: &Content,
    pace: Pace,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<Ledger, Error> {
    let mut ledger = Ledger::new(content.topics);
    let sending = batches(plan, pace)
        .take_until(stop.cancelled())
        .map(|batch| send(client, content, progress, batch))
        .buffer_unordered(pace.connections);
    let mut sending = std::pin::pin!(sending);
    while let Some(settled) = sending.next().await {
        ledger.enter(&settled?);
    }
    Ok(ledger)
}

struct Pacer {
    plan: Plan,
    ticks: Option<(Interval, f64)>,
    due: f64,
}

/// The plan in batches, each when it is due. What a slow server keeps waiting is not made up for:
/// a rate is never exceeded.
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
    /// Waits until something is due, and says how much, up to `most`.
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
            reason = "whole events of a small positive number"
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
    content: &Content,
    progress: &Progress,
    batch: Vec<Delivery>,
) -> Result<Settled, Error> {
    let events: Vec<_> = batch
        .iter()
        .map(|delivery| content.event(delivery.event))
        .collect();
    let body = Body {
        bytes: Bytes::from(serde_json::to_vec(&events).map_err(std::io::Error::from)?),
        gzip: false,
    };
    let deliveries = batch.len() as u64;
    progress.sent.fetch_add(deliveries, Relaxed);
    let mut unsure = 0;
    let mut attempts = 0;
    let sent = client.publish(&body, |failure| {
        unsure += u64::from(failure.unsure);
        progress.lost.fetch_add(u64::from(failure.unsure), Relaxed);
        attempts += 1;
        progress.retried.fetch_add(1, Relaxed);
    });
    let acknowledged = match sent.await {
        Ok(()) => {
            progress.acknowledged.fetch_add(deliveries, Relaxed);
            true
        }
        Err(Error::Interrupted) => false,
        Err(error) => return Err(error),
    };
    let first = batch.iter().filter(|delivery| delivery.first);
    Ok(Settled {
        first: first
            .map(|delivery| content.topic_of(delivery.event))
            .collect(),
        deliveries,
        acknowledged,
        unsure,
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
        assert!(sizes.iter().all(|size| *size <= 5), "a tick's worth each");
        assert!((9800..=10_100).contains(&start.elapsed().as_millis()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_slow_server_kept_waiting_is_not_made_up_for() {
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
