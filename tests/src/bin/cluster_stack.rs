//! The stack without a single point of loss: a primary of Redis is killed, and the standby of PostgreSQL is promoted, both under load;
//! the numbers must be exact. Run it by `scripts/test-stack`, which builds the images and removes what is left.

use anyhow::{Context, Result, ensure};
use tests::{
    SOON,
    events::Logs,
    eventually,
    stack::{Compose, PACED, Story, step},
};

/// Three publishers, three aggregators, `HAProxy`, six of Redis, two of PostgreSQL, and three that prepare them and end.
const CONTAINERS: usize = 18;
/// Events that are sent while a server is killed: for about as long as it takes to replace it.
const EVENTS: usize = 18_000;
/// The nodes of Redis that are replicas at first.
const REPLICAS: [&str; 3] = ["redis-4", "redis-5", "redis-6"];
/// What makes a standby the primary, and a former primary a standby.
const SCRIPT: &str = "/cluster/postgres.sh";

#[tokio::main]
async fn main() -> Result<()> {
    let story = &mut Story::new(Compose::cluster()?);
    step("cluster comes up, locked down", story.comes_up(CONTAINERS)).await?;
    step("survives a failover of Redis", redis_killed(story)).await?;
    step("survives a failover of PostgreSQL", standby_promoted(story)).await?;
    step("takes the former primary back", primary_rejoins(story)).await?;
    step("keeps everything when taken down", story.taken_down()).await?;
    ensure!(!follows(story, "postgres-2").await?, "it is the primary");
    Ok(())
}

async fn redis_killed(story: &mut Story) -> Result<()> {
    ensure!(leads(story, "redis-1").await?, "redis-1 is a primary");
    let killing = async |story: &Story| {
        story.compose.kill("redis-1").await?;
        eventually("its replica takes over", SOON, async || {
            for replica in REPLICAS {
                if leads(story, replica).await.is_ok_and(|leads| leads) {
                    return true;
                }
            }
            false
        })
        .await;
        Ok(())
    };
    under_load(story, 1, killing).await?;
    story.compose.up(&[]).await?;
    eventually("the former primary follows it", SOON, async || {
        leads(story, "redis-1").await.is_ok_and(|leads| !leads)
    })
    .await;
    story.check().await
}

async fn standby_promoted(story: &mut Story) -> Result<()> {
    let promoting = async |story: &Story| {
        let early = story.compose.exec("postgres-2", &[SCRIPT, "promote"]).await;
        refused(early, "postgres-1 still runs")?;
        story.compose.kill("postgres-1").await?;
        story
            .compose
            .exec("postgres-2", &[SCRIPT, "promote"])
            .await?;
        Ok(())
    };
    under_load(story, 2, promoting).await?;
    let again = story.compose.exec("postgres-2", &[SCRIPT, "promote"]).await;
    refused(again, "postgres-2 is the primary already")?;
    story.check().await
}

async fn primary_rejoins(story: &mut Story) -> Result<()> {
    let once = async |word| {
        let arguments = ["run", "--rm", "-T", "--no-deps", "postgres-1", word];
        story.compose.run(&arguments).await
    };
    refused(
        once("postgres").await,
        "postgres-1 was the primary before postgres-2",
    )?;
    once("rejoin").await?;
    story.compose.up(&[]).await?;
    refused(once("rejoin").await, "postgres-1 runs in another container")?;
    ensure!(follows(story, "postgres-1").await?, "it is a standby");
    // Commits wait for it.
    under_load(story, 3, async |_| Ok(())).await?;
    story.check().await
}

/// Sends events of this seed, and does something while they are sent.
async fn under_load(
    story: &mut Story,
    seed: u64,
    doing: impl AsyncFnOnce(&Story) -> Result<()>,
) -> Result<()> {
    let publishers = story.compose.publishers(1).await?;
    let logs = Logs::generated(EVENTS, seed);
    story.add(&logs);
    let third = story.clients.acknowledged() + i64::try_from(EVENTS / 3)?;
    let story = &*story;
    let sending = story.clients.send(&publishers, &logs.events, PACED);
    let doing = async {
        story.streamed(third).await;
        doing(story).await
    };
    tokio::try_join!(sending, doing)?;
    Ok(())
}

fn refused(outcome: Result<String>, why: &str) -> Result<()> {
    let error = outcome.err().context("it is refused")?.to_string();
    ensure!(error.contains(why), "it does not say '{why}': {error}");
    Ok(())
}

/// Whether this node of Redis is a primary.
async fn leads(story: &Story, node: &str) -> Result<bool> {
    let role = story.compose.exec(node, &["redis-cli", "ROLE"]).await?;
    Ok(role.starts_with("master"))
}

/// Whether this node of PostgreSQL is a standby.
async fn follows(story: &Story, node: &str) -> Result<bool> {
    let question = [
        "psql",
        "--username=events",
        "--no-align",
        "--tuples-only",
        "--command=SELECT pg_is_in_recovery()",
    ];
    Ok(story.compose.exec(node, &question).await?.trim() == "t")
}
