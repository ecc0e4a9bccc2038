//! What is sent to a stack, and what it must say of that afterwards.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{clients::Clients, compose::Compose, containers::check_hardening};
use crate::{events::Logs, eventually};

/// How long a share of a stream may take.
const STREAMED_WITHIN: Duration = Duration::from_mins(1);

/// A stack, and what must be in it.
pub struct Story {
    /// The stack.
    pub compose: Compose,
    /// Those who send to it.
    pub clients: Clients,
    /// Different events sent so far, by topic.
    unique: BTreeMap<String, i64>,
    /// Deliveries that were received without having been acknowledged: known once they are counted.
    unacknowledged: i64,
}

impl Story {
    /// Of a stack to which nothing was sent yet.
    #[must_use]
    pub fn new(compose: Compose) -> Self {
        Self {
            compose,
            clients: Clients::default(),
            unique: BTreeMap::new(),
            unacknowledged: 0,
        }
    }

    /// From now on these must be in it as well: they are sent for the first time.
    pub fn add(&mut self, logs: &Logs) {
        for (topic, count) in &logs.unique {
            *self.unique.entry(topic.clone()).or_default() += count;
        }
    }

    /// It comes up with so many containers, which may do as little as possible.
    ///
    /// # Errors
    /// If it does not, or a container may do more.
    pub async fn comes_up(&self, containers: usize) -> Result<()> {
        self.compose.up(&[]).await?;
        let there = self.compose.inspect().await?;
        ensure!(there.len() == containers, "{} containers", there.len());
        check_hardening(&there)
    }

    /// Takes it down and up again, and nothing of it is lost.
    ///
    /// # Errors
    /// If a number differs.
    pub async fn taken_down(&mut self) -> Result<()> {
        let acknowledged = self.clients.acknowledged();
        let before = counters(&self.compose.drained(acknowledged).await?);
        self.compose.run(&["down"]).await?;
        self.compose.up(&[]).await?;
        let after = counters(&self.compose.drained(acknowledged).await?);
        ensure!(before == after, "{before} before, {after} after");
        self.check().await
    }

    /// Waits until so many deliveries are acknowledged.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn streamed(&self, acknowledged: i64) {
        let reached = async || self.clients.acknowledged() >= acknowledged;
        eventually("so many events are acknowledged", STREAMED_WITHIN, reached).await;
    }

    /// Everything sent so far is stored once and counted as often as it was received.
    ///
    /// # Errors
    /// If a number is wrong.
    pub async fn check(&mut self) -> Result<()> {
        let (acknowledged, attempted) = (self.clients.acknowledged(), self.clients.attempted());
        let stats = self
            .compose
            .drained(acknowledged + self.unacknowledged)
            .await?;
        let number = |name: &str| stats[name].as_i64().unwrap_or(-1);
        let received = number("received");
        ensure!(
            (acknowledged..=attempted).contains(&received),
            "{acknowledged} acknowledged: {stats}"
        );
        let unique: i64 = self.unique.values().sum();
        ensure!(
            stats["topics"] == json!(self.unique),
            "not {:?}: {stats}",
            self.unique
        );
        ensure!(
            number("unique_processed") == unique,
            "{unique} different events: {stats}"
        );
        ensure!(number("duplicate_dropped") == received - unique, "{stats}");
        ensure!(number("dead_lettered") == 0, "{stats}");
        self.unacknowledged = received - acknowledged;
        // Fails if a counter and the rows differ.
        self.compose
            .exec("aggregator", &["aggregator", "verify"])
            .await?;
        eprintln!(
            "stack: {attempted} sent, {acknowledged} acknowledged, {received} received, {unique} unique"
        );
        Ok(())
    }
}

/// Does a part of the story, and prints how long it took.
///
/// # Errors
/// Those of the part.
pub async fn step(name: &str, doing: impl Future<Output = Result<()>>) -> Result<()> {
    let start = Instant::now();
    doing.await?;
    eprintln!("stack: {name}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// What must not change while nothing is sent.
#[must_use]
pub fn counters(stats: &Value) -> Value {
    let names = [
        "received",
        "unique_processed",
        "duplicate_dropped",
        "dead_lettered",
        "topics",
        "uptime_start",
    ];
    names
        .iter()
        .map(|name| ((*name).to_owned(), stats[*name].clone()))
        .collect()
}
