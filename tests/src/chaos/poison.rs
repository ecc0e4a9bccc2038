//! What cannot be stored: events that the database refuses at one time or another, and queue elements that are no events at
//! all. And somebody who replays dead letters the whole time.

use std::time::Duration;

use anyhow::{Context, ensure};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, error::DatabaseError};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::schedule::WINDOW;

/// The database refuses one in a hundred events, another one in each transaction: so events are put aside, and can be
/// replayed, at any time.
const REFUSE: &str = "ALTER TABLE processed_events
    ADD CONSTRAINT moody CHECK (hashtext(event_id || now()::text) % 100 <> 0)";
/// A bucket that was opened meanwhile has the constraint as its own, too.
const TAKE_ALL: &str = "
    DO $$
    DECLARE bucket regclass;
    BEGIN
        ALTER TABLE processed_events DROP CONSTRAINT moody;
        FOR bucket IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'processed_events'::regclass LOOP
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS moody', bucket);
        END LOOP;
    END $$";

/// SQLSTATE of a circle of waiting transactions.
const DEADLOCK: &str = "40P01";

/// Elements that somebody else pushes into the queue.
const STRANGERS: u32 = 12;
/// Between two replays.
const REPLAY_EVERY: Duration = Duration::from_millis(120);
/// How long a replay or a push may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long to try what must succeed in the end.
const DONE_WITHIN: Duration = Duration::from_secs(30);
/// Between two attempts.
const TRY_EVERY: Duration = Duration::from_millis(50);
/// Pages of dead letters that one replay goes through at most.
const MAX_PAGES: usize = 100;
/// Tells the random numbers here from others of the same seed.
const SALT: u64 = 0xbad;

/// From now on the database refuses some events for their data.
pub(super) async fn refuse_some(database_url: &str) -> anyhow::Result<()> {
    execute(database_url, REFUSE).await
}

/// From now on it refuses none.
pub(super) async fn take_all(database_url: &str) -> anyhow::Result<()> {
    execute(database_url, TAKE_ALL).await
}

/// A change of all buckets locks the whole ledger first, and who records one bucket first: they may wait for each other in a
/// circle, and PostgreSQL then gives up one of them.
async fn execute(database_url: &str, statement: &'static str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(database_url).await?;
    let deadline = Instant::now() + DONE_WITHIN;
    while let Err(error) = sqlx::query(statement).execute(&mut connection).await {
        let code = error.as_database_error().and_then(DatabaseError::code);
        if code.as_deref() != Some(DEADLOCK) || Instant::now() > deadline {
            return Err(error.into());
        }
    }
    Ok(connection.close().await?)
}

/// Pushes elements that are no events, while things break. What arrives is in the journal of Redis.
pub(super) async fn push_strangers(seed: u64, redis_url: String, queue: String) {
    let mut rng = SmallRng::seed_from_u64(seed ^ SALT);
    let key = format!("{{{queue}}}:queue");
    for number in 0..STRANGERS {
        sleep(WINDOW.mul_f64(2.0 * rng.random::<f64>() / f64::from(STRANGERS))).await;
        let element = format!("stranger {number} \u{0}{{").into_bytes();
        let push = async {
            let client = redis::Client::open(redis_url.as_str())?;
            let mut redis = client.get_multiplexed_async_connection().await?;
            let push = redis::cmd("LPUSH").arg(&key).arg(element).clone();
            push.exec_async(&mut redis).await
        };
        // Redis may be away; nobody was promised anything.
        let _ = tokio::time::timeout(ANSWER_WITHIN, push).await;
    }
}

/// Replays all dead letters again and again, at one aggregator after another, whatever they answer. Returns how many
/// were stored, as far as is known.
pub(super) async fn replay_all_along(aggregators: Vec<String>, stop: CancellationToken) -> i64 {
    let (client, mut stored) = (client(), 0);
    for url in aggregators.iter().cycle() {
        let replaying = replay(&client, url);
        tokio::select! {
            () = stop.cancelled() => break,
            // Killed, frozen, cut off: the next one will do.
            replayed = replaying => stored += replayed.unwrap_or_default(),
        }
        sleep(REPLAY_EVERY).await;
    }
    stored
}

/// Replays all dead letters at an aggregator that must manage to, now that nothing is broken. Returns how
/// many were stored.
pub(super) async fn replay_at_last(url: &str) -> anyhow::Result<i64> {
    let (client, deadline) = (client(), Instant::now() + DONE_WITHIN);
    loop {
        match replay(&client, url).await {
            Ok(stored) => return Ok(stored),
            Err(error) if Instant::now() > deadline => {
                return Err(error).context("dead letters cannot be replayed");
            }
            Err(_) => sleep(TRY_EVERY).await,
        }
    }
}

async fn replay(client: &Client, url: &str) -> anyhow::Result<i64> {
    let (mut body, mut stored) = (json!({"all": true}), 0);
    for _ in 0..MAX_PAGES {
        let request = client
            .post(format!("{url}/dead-letters/replay"))
            .json(&body);
        let response = request.send().await?;
        ensure!(response.status() == StatusCode::OK, "{}", response.status());
        let answer: Value = response.json().await?;
        for verdict in ["accepted", "duplicates"] {
            stored += answer[verdict].as_i64().unwrap_or_default();
        }
        match &answer["next_cursor"] {
            Value::String(cursor) => body["cursor"] = json!(cursor),
            _ => return Ok(stored),
        }
    }
    anyhow::bail!("there is no end to dead letters")
}

fn client() -> Client {
    let client = crate::http::builder().timeout(ANSWER_WITHIN).build();
    client.expect("an HTTP client")
}
