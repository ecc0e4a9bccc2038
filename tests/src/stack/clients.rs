//! Clients that send events, each batch until it is acknowledged.

use std::{
    sync::atomic::{AtomicI64, Ordering::SeqCst},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::http;

/// Clients that send at the same time.
const CLIENTS: usize = 4;
/// Events in a request.
const BATCH: usize = 100;
/// How long a client waits for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long a client tries to get a batch acknowledged: longer than any server is away.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_mins(2);
/// Between two attempts.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// A pause after each batch, so that the stream lasts long enough to be hit in its middle.
pub const PACED: Duration = Duration::from_millis(250);
/// No pause after a batch: the queue fills faster than it is drained.
pub const UNPACED: Duration = Duration::ZERO;

/// What the clients did so far.
pub struct Clients {
    http: Client,
    /// Deliveries: events times attempts.
    attempted: AtomicI64,
    /// Deliveries that were acknowledged.
    acknowledged: AtomicI64,
}

impl Default for Clients {
    fn default() -> Self {
        Self {
            http: http::client(),
            attempted: AtomicI64::default(),
            acknowledged: AtomicI64::default(),
        }
    }
}

impl Clients {
    /// Deliveries that were acknowledged so far.
    pub fn acknowledged(&self) -> i64 {
        self.acknowledged.load(SeqCst)
    }

    /// Deliveries tried so far: what was received lies between the acknowledged ones and these.
    pub fn attempted(&self) -> i64 {
        self.attempted.load(SeqCst)
    }

    /// Sends all events, to each publisher in turn, with this pause after each batch.
    ///
    /// # Errors
    /// If a batch is refused, or not acknowledged in time.
    pub async fn send(
        &self,
        publishers: &[String],
        events: &[Value],
        pause: Duration,
    ) -> Result<()> {
        stream::iter(events.chunks(BATCH).zip(publishers.iter().cycle()))
            .map(Ok)
            .try_for_each_concurrent(CLIENTS, |(batch, publisher)| async move {
                let url = format!("{publisher}/publish");
                timeout(ACKNOWLEDGED_WITHIN, self.deliver(&url, batch))
                    .await
                    .context("a batch is not acknowledged in time")??;
                sleep(pause).await;
                anyhow::Ok(())
            })
            .await
    }

    async fn deliver(&self, url: &str, batch: &[Value]) -> Result<()> {
        let deliveries = i64::try_from(batch.len())?;
        // Ends with the time that its caller gives it.
        loop {
            self.attempted.fetch_add(deliveries, SeqCst);
            let request = self.http.post(url).timeout(ANSWER_WITHIN).json(&batch);
            match request.send().await.map(|answer| answer.status()) {
                Ok(StatusCode::ACCEPTED) => break,
                Ok(StatusCode::SERVICE_UNAVAILABLE) | Err(_) => sleep(RETRY_AFTER).await,
                Ok(other) => bail!("{url} answers {other}"),
            }
        }
        self.acknowledged.fetch_add(deliveries, SeqCst);
        Ok(())
    }
}
