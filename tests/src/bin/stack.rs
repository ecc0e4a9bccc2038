//! The stack in containers: filled, killed, stopped, taken down, scaled; the numbers must be exact. Run it by
//! `scripts/test-stack`, which builds the images and removes what is left.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::{
    events::Logs,
    eventually,
    stack::{Clients, Compose, PACED, UNPACED, check_hardening, exit_codes},
};

/// How long a share of a stream may take.
const STREAMED_WITHIN: Duration = Duration::from_mins(1);
/// The programs' `SHUTDOWN_GRACE_SECONDS`.
const GRACE: Duration = Duration::from_secs(30);
/// Events that are sent while the servers are killed.
const MORE_EVENTS: usize = 6000;

/// The stack, and what must be in it.
struct Story {
    compose: Compose,
    clients: Clients,
    /// Different events sent so far, by topic.
    unique: BTreeMap<String, i64>,
    /// Deliveries that were received without having been acknowledged: known once they are counted.
    unacknowledged: i64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut story = Story {
        compose: Compose::new()?,
        clients: Clients::default(),
        unique: BTreeMap::new(),
        unacknowledged: 0,
    };
    let logs = Logs::of_a_day(1);
    step("comes up, locked down", story.comes_up()).await?;
    step(
        "survives kills of the aggregator in mid-stream",
        story.aggregator_killed(&logs),
    )
    .await?;
    step(
        "survives kills of Redis and PostgreSQL",
        story.servers_killed(),
    )
    .await?;
    step("stops in order under load", story.stops_in_order(&logs)).await?;
    step("keeps everything when taken down", story.taken_down()).await?;
    step("scales", story.scaled(&logs)).await
}

async fn step(name: &str, doing: impl Future<Output = Result<()>>) -> Result<()> {
    let start = Instant::now();
    doing.await?;
    eprintln!("stack: {name}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

impl Story {
    async fn comes_up(&mut self) -> Result<()> {
        self.compose.up(&[]).await?;
        let containers = self.compose.inspect().await?;
        // Four services, and two that prepare the database and end.
        ensure!(containers.len() == 6, "{} containers", containers.len());
        check_hardening(&containers)
    }

    async fn aggregator_killed(&mut self, logs: &Logs) -> Result<()> {
        let publishers = self.compose.publishers(1).await?;
        self.unique.extend(logs.unique.clone());
        let count = i64::try_from(logs.events.len())?;
        let sending = self.clients.send(&publishers, &logs.events, PACED);
        let killing = async {
            self.streamed(count / 4).await;
            // Whatever is claimed from now on cannot be committed before the kill.
            self.compose.run(&["pause", "postgres"]).await?;
            self.streamed(count / 2).await;
            self.compose.kill("aggregator").await?;
            ensure!(self.leases().await? > 0, "the kill met no claim");
            self.compose.unpause("postgres").await?;
            self.compose.up(&[]).await?;

            self.streamed(count * 3 / 4).await;
            self.compose.kill("aggregator").await?;
            self.compose.up(&[]).await
        };
        tokio::try_join!(sending, killing)?;
        self.check().await?;
        // The publisher and Redis were never away: nothing was sent twice.
        ensure!(self.clients.attempted() == count, "events were sent again");
        Ok(())
    }

    async fn servers_killed(&mut self) -> Result<()> {
        let publishers = self.compose.publishers(1).await?;
        let more = Logs::generated(MORE_EVENTS, 4);
        for (topic, count) in &more.unique {
            *self.unique.entry(topic.clone()).or_default() += count;
        }
        let before = self.clients.acknowledged();
        let sending = self.clients.send(&publishers, &more.events, PACED);
        let killing = async {
            for (server, share) in [("redis", 5), ("postgres", 2)] {
                self.streamed(before + i64::try_from(MORE_EVENTS / share)?)
                    .await;
                self.compose.kill(server).await?;
                self.compose.up(&[]).await?;
            }
            anyhow::Ok(())
        };
        tokio::try_join!(sending, killing)?;
        self.check().await
    }

    async fn stops_in_order(&mut self, logs: &Logs) -> Result<()> {
        let publishers = self.compose.publishers(1).await?;
        let before = self.clients.acknowledged();
        let half = i64::try_from(logs.events.len() / 2)?;
        let sending = self.clients.send(&publishers, &logs.events, UNPACED);
        let stopping = async {
            self.streamed(before + half).await;
            let start = Instant::now();
            self.compose
                .run(&["stop", "publisher", "aggregator"])
                .await?;
            ensure!(
                start.elapsed() < GRACE,
                "stopping takes {:?}",
                start.elapsed()
            );
            ensure!(self.leases().await? == 0, "something is left claimed");
            let claims = self
                .compose
                .redis(&["--scan", "--pattern", "{events}:claim:*"])
                .await?;
            ensure!(claims.is_empty(), "left: {claims}");
            self.compose.run(&["stop"]).await?;
            let codes = exit_codes(&self.compose.inspect().await?)?;
            ensure!(
                codes.values().all(|code| *code == 0),
                "exit codes: {codes:?}"
            );
            self.compose.up(&[]).await
        };
        tokio::try_join!(sending, stopping)?;
        self.check().await
    }

    async fn taken_down(&mut self) -> Result<()> {
        let acknowledged = self.clients.acknowledged();
        let before = counters(&self.compose.drained(acknowledged).await?);
        self.compose.run(&["down"]).await?;
        self.compose.up(&[]).await?;
        let after = counters(&self.compose.drained(acknowledged).await?);
        ensure!(before == after, "{before} before, {after} after");
        self.check().await
    }

    async fn scaled(&mut self, logs: &Logs) -> Result<()> {
        self.compose.more_ports();
        self.compose
            .up(&["--scale=publisher=2", "--scale=aggregator=3"])
            .await?;
        let publishers = self.compose.publishers(2).await?;
        let aggregators = self.compose.aggregators(3).await?;
        self.clients
            .send(&publishers, &logs.events, UNPACED)
            .await?;
        self.check().await?;
        let first = counters(&self.compose.stats(&aggregators[0]).await?);
        for aggregator in &aggregators[1..] {
            let other = counters(&self.compose.stats(aggregator).await?);
            ensure!(first == other, "one answers {first}, {aggregator} {other}");
        }
        Ok(())
    }

    /// How many claims there are.
    async fn leases(&self) -> Result<u64> {
        let leases = self.compose.redis(&["ZCARD", "{events}:leases"]).await?;
        Ok(leases.trim().parse()?)
    }

    async fn streamed(&self, acknowledged: i64) {
        let reached = async || self.clients.acknowledged() >= acknowledged;
        eventually("so many events are acknowledged", STREAMED_WITHIN, reached).await;
    }

    /// Everything sent so far is stored once and counted as often as it was received.
    async fn check(&mut self) -> Result<()> {
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
            .run(&["exec", "-T", "aggregator", "aggregator", "verify"])
            .await?;
        eprintln!(
            "stack: {attempted} sent, {acknowledged} acknowledged, {received} received, {unique} unique"
        );
        Ok(())
    }
}

/// What must not change while nothing is sent.
fn counters(stats: &Value) -> Value {
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
