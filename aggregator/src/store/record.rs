//! Recording a claim: one READ COMMITTED transaction, one statement a table.
//!
//! Locks are taken in one order by everyone: the claim's worker, events by key, topics by name, and
//! last, for as short as can be, the one row of counters. See
//! [READ COMMITTED](https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED).

use common::{
    faults::{Point, crash_at},
    queue::Claim,
    store::{Letter, Outcome, Plan, Recorded, StoreError, TopicDelta},
};
use sqlx::{PgConnection, PgPool, query};
use uuid::Uuid;

use super::{
    classify::{commit_failure, failure},
    horizon, insert,
    known::Known,
    workers,
};

pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

const COUNT_TOPICS: &str = "
    INSERT INTO topic_stats AS t (topic, unique_processed, duplicate_dropped, last_processed_at)
    SELECT topic, unique_processed, duplicate_dropped, now()
    FROM unnest($1::text[], $2::bigint[], $3::bigint[])
        AS batch (topic, unique_processed, duplicate_dropped)
    ON CONFLICT (topic) DO UPDATE SET
        unique_processed = t.unique_processed + excluded.unique_processed,
        duplicate_dropped = t.duplicate_dropped + excluded.duplicate_dropped,
        last_processed_at = excluded.last_processed_at";

const INSERT_LETTERS: &str = "
    INSERT INTO dead_letters (raw, reason, receipt_id)
    SELECT raw, reason, receipt_id
    FROM unnest($1::bytea[], $2::text[], $3::uuid[]) AS batch (raw, reason, receipt_id)";

const COUNT: &str = "
    UPDATE agg_stats SET
        received = received + $1 + $2 + $3,
        unique_processed = unique_processed + $1,
        duplicate_dropped = duplicate_dropped + $2,
        dead_lettered = dead_lettered + $3
    WHERE id = 1";

/// Whether the database is expected to take every event.
#[derive(Clone, Copy)]
enum Insert {
    All,
    AroundRefused,
}

/// The second attempt finds out which events the database refuses.
pub(super) async fn record(
    pool: &PgPool,
    known: &Known,
    claim: &Claim,
) -> Result<Recorded, StoreError> {
    match attempt(pool, known, claim, Insert::All).await {
        Err(StoreError::Refused(_)) => attempt(pool, known, claim, Insert::AroundRefused).await,
        done => done,
    }
}

async fn attempt(
    pool: &PgPool,
    known: &Known,
    claim: &Claim,
    how: Insert,
) -> Result<Recorded, StoreError> {
    let mut transaction = pool.begin_with(BEGIN).await.map_err(failure)?;
    crash_at(Point::AfterBegin);
    let glance = known.glance(&claim.events);
    let applied = apply(&mut transaction, claim, how, &glance.known).await;
    let recorded = applied.map_err(failure)?;
    if let Recorded::Committed(verdicts) = &recorded {
        crash_at(Point::BeforeCommit);
        transaction.commit().await.map_err(commit_failure)?;
        known.learn(glance, verdicts);
    }
    Ok(recorded)
}

async fn apply(
    transaction: &mut PgConnection,
    claim: &Claim,
    how: Insert,
    known: &[bool],
) -> sqlx::Result<Recorded> {
    if let Some(nothing_to_record) = workers::advance(transaction, claim.id).await? {
        return Ok(nothing_to_record);
    }
    crash_at(Point::AfterAdvance);
    let since = horizon::enter(transaction).await?;
    let plan = Plan::new(&claim.events);
    let mut outcome = match how {
        Insert::All => insert::all(transaction, &plan, known, since).await?,
        Insert::AroundRefused => insert::around_refused(transaction, &plan).await?,
    };
    outcome
        .letters
        .extend(claim.malformed.iter().map(Letter::from));
    crash_at(Point::AfterInsert);
    count_topics(transaction, &outcome.topics).await?;
    crash_at(Point::AfterTopics);
    insert_letters(transaction, &outcome.letters).await?;
    count(transaction, &outcome, outcome.dead_lettered()).await?;
    Ok(Recorded::Committed(outcome.verdicts))
}

/// Adds a batch to the row of counters; the very last statement of a transaction.
pub(super) async fn count(
    transaction: &mut PgConnection,
    outcome: &Outcome<'_>,
    dead_lettered: i64,
) -> sqlx::Result<()> {
    query(COUNT)
        .bind(outcome.unique())
        .bind(outcome.duplicate())
        .bind(dead_lettered)
        .execute(transaction)
        .await?;
    Ok(())
}

pub(super) async fn count_topics(
    transaction: &mut PgConnection,
    topics: &[TopicDelta<'_>],
) -> sqlx::Result<()> {
    if topics.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = topics.iter().map(|delta| delta.topic).collect();
    let unique: Vec<i64> = topics.iter().map(|delta| delta.unique).collect();
    let duplicate: Vec<i64> = topics.iter().map(|delta| delta.duplicate).collect();
    query(COUNT_TOPICS)
        .bind(names)
        .bind(unique)
        .bind(duplicate)
        .execute(transaction)
        .await?;
    Ok(())
}

async fn insert_letters(transaction: &mut PgConnection, letters: &[Letter]) -> sqlx::Result<()> {
    if letters.is_empty() {
        return Ok(());
    }
    let raw: Vec<&[u8]> = letters.iter().map(|letter| &letter.raw[..]).collect();
    // A reason may quote what was in the queue, and PostgreSQL's text holds no U+0000.
    let reasons: Vec<String> = letters
        .iter()
        .map(|letter| letter.reason.replace('\0', "\u{fffd}"))
        .collect();
    let receipts: Vec<Option<Uuid>> = letters.iter().map(|letter| letter.receipt_id).collect();
    query(INSERT_LETTERS)
        .bind(raw)
        .bind(reasons)
        .bind(receipts)
        .execute(transaction)
        .await?;
    Ok(())
}
