//! The stack in containers: filled, killed, stopped, taken down, scaled; the numbers must be exact. Run it by
//! `scripts/test-stack`, which builds the images and removes what is left.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tests::{
    events::Logs,
    stack::{Compose, PACED, Story, UNPACED, counters, exit_codes, step},
};

/// Four services, and two that prepare the database and end.
const CONTAINERS: usize = 6;
/// The programs' `SHUTDOWN_GRACE_SECONDS`.
const GRACE: Duration = Duration::from_secs(30);
/// Events that are sent while the servers are killed.
const MORE_EVENTS: usize = 6000;

#[tokio::main]
async fn main() -> Result<()> {
    let story = &mut Story::new(Compose::single()?);
    let logs = Logs::of_a_day(1);
    step("comes up, locked down", story.comes_up(CONTAINERS)).await?;
    step(
        "survives kills of the aggregator in mid-stream",
        aggregator_killed(story, &logs),
    )
    .await?;
    step(
        "survives kills of Redis and PostgreSQL",
        servers_killed(story),
    )
    .await?;
    step("stops in order under load", stops_in_order(story, &logs)).await?;
    step("keeps everything when taken down", story.taken_down()).await?;
    step("scales", scaled(story, &logs)).await
}

async fn aggregator_killed(story: &mut Story, logs: &Logs) -> Result<()> {
    let publishers = story.compose.publishers(1).await?;
    story.add(logs);
    let count = i64::try_from(logs.events.len())?;
    let sending = story.clients.send(&publishers, &logs.events, PACED);
    let killing = async {
        story.streamed(count / 4).await;
        // Whatever is claimed from now on cannot be committed before the kill.
        story.compose.run(&["pause", "postgres"]).await?;
        story.streamed(count / 2).await;
        story.compose.kill("aggregator").await?;
        ensure!(leases(story).await? > 0, "the kill met no claim");
        story.compose.unpause("postgres").await?;
        story.compose.up(&[]).await?;

        story.streamed(count * 3 / 4).await;
        story.compose.kill("aggregator").await?;
        story.compose.up(&[]).await
    };
    tokio::try_join!(sending, killing)?;
    story.check().await?;
    // The publisher and Redis were never away: nothing was sent twice.
    ensure!(story.clients.attempted() == count, "events were sent again");
    Ok(())
}

async fn servers_killed(story: &mut Story) -> Result<()> {
    let publishers = story.compose.publishers(1).await?;
    let more = Logs::generated(MORE_EVENTS, 4);
    story.add(&more);
    let before = story.clients.acknowledged();
    let sending = story.clients.send(&publishers, &more.events, PACED);
    let killing = async {
        for (server, share) in [("redis", 5), ("postgres", 2)] {
            story
                .streamed(before + i64::try_from(MORE_EVENTS / share)?)
                .await;
            story.compose.kill(server).await?;
            story.compose.up(&[]).await?;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(sending, killing)?;
    story.check().await
}

async fn stops_in_order(story: &mut Story, logs: &Logs) -> Result<()> {
    let publishers = story.compose.publishers(1).await?;
    let before = story.clients.acknowledged();
    let half = i64::try_from(logs.events.len() / 2)?;
    let sending = story.clients.send(&publishers, &logs.events, UNPACED);
    let stopping = async {
        story.streamed(before + half).await;
        let start = Instant::now();
        story
            .compose
            .run(&["stop", "publisher", "aggregator"])
            .await?;
        ensure!(
            start.elapsed() < GRACE,
            "stopping takes {:?}",
            start.elapsed()
        );
        ensure!(leases(story).await? == 0, "something is left claimed");
        let claims = redis(story, &["--scan", "--pattern", "{events}:claim:*"]).await?;
        ensure!(claims.is_empty(), "left: {claims}");
        story.compose.run(&["stop"]).await?;
        let codes = exit_codes(&story.compose.inspect().await?)?;
        ensure!(
            codes.values().all(|code| *code == 0),
            "exit codes: {codes:?}"
        );
        story.compose.up(&[]).await
    };
    tokio::try_join!(sending, stopping)?;
    story.check().await
}

async fn scaled(story: &mut Story, logs: &Logs) -> Result<()> {
    story.compose.more_ports();
    story
        .compose
        .up(&["--scale=publisher=2", "--scale=aggregator=3"])
        .await?;
    let publishers = story.compose.publishers(2).await?;
    let aggregators = story.compose.aggregators(3).await?;
    story
        .clients
        .send(&publishers, &logs.events, UNPACED)
        .await?;
    story.check().await?;
    let first = counters(&story.compose.stats(&aggregators[0]).await?);
    for aggregator in &aggregators[1..] {
        let other = counters(&story.compose.stats(aggregator).await?);
        ensure!(first == other, "one answers {first}, {aggregator} {other}");
    }
    Ok(())
}

/// How many claims there are.
async fn leases(story: &Story) -> Result<u64> {
    let leases = redis(story, &["ZCARD", "{events}:leases"]).await?;
    Ok(leases.trim().parse()?)
}

/// What `redis-cli` prints.
async fn redis(story: &Story, command: &[&str]) -> Result<String> {
    story
        .compose
        .exec("redis", &[&["redis-cli"], command].concat())
        .await
}
