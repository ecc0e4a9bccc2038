//! Recording a claim: one READ COMMITTED transaction, one statement a table.
//!
//! Locks are taken in one order by everyone: the claim's worker, events by key, topics by name, and
//! last, for as short as can be, the one row of counters. See
//! [READ COMMITTED](https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED)
//! and [INSERT … ON CONFLICT](https://www.postgresql.org/docs/current/sql-insert.html#SQL-ON-CONFLICT).

use chrono::{DateTime, Utc};
use common::{
    queue::{Claim, ClaimId, Malformed, WorkerId},
    store::{Outcome, Plan, Recorded, StoreError, TopicDelta},
};
use sqlx::{PgConnection, PgPool, query, query_as, query_scalar};
use uuid::Uuid;

use super::{
    classify::{commit_failure, failure},
    horizon,
};

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

const REGISTER: &str = "INSERT INTO worker_claims (worker_id) VALUES ($1) ON CONFLICT DO NOTHING";

/// Never inserts: a worker whose row was removed must stay out.
const ADVANCE: &str = "
    UPDATE worker_claims SET last_claim = $2, updated_at = now()
    WHERE worker_id = $1 AND last_claim < $2";

const KNOWN: &str = "SELECT EXISTS (SELECT FROM worker_claims WHERE worker_id = $1)";

const INSERT_EVENTS: &str = "
    INSERT INTO processed_events
        (topic, event_id, source, payload, event_timestamp, received_at, receipt_id)
    SELECT topic, event_id, source, payload::jsonb, event_timestamp, received_at, receipt_id
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[],
                $6::timestamptz[], $7::uuid[])
        AS batch (topic, event_id, source, payload, event_timestamp, received_at, receipt_id)
    ON CONFLICT (topic, event_id) DO NOTHING
    RETURNING topic, event_id";

const COUNT_TOPICS: &str = "
    INSERT INTO topic_stats AS t (topic, unique_processed, duplicate_dropped, last_processed_at)
    SELECT topic, unique_processed, duplicate_dropped, now()
    FROM unnest($1::text[], $2::bigint[], $3::bigint[])
        AS batch (topic, unique_processed, duplicate_dropped)
    ON CONFLICT (topic) DO UPDATE SET
        unique_processed = t.unique_processed + excluded.unique_processed,
        duplicate_dropped = t.duplicate_dropped + excluded.duplicate_dropped,
        last_processed_at = excluded.last_processed_at";

const INSERT_DEAD_LETTERS: &str = "
    INSERT INTO dead_letters (raw, reason)
    SELECT raw, reason FROM unnest($1::bytea[], $2::text[]) AS batch (raw, reason)";

const COUNT: &str = "
    UPDATE agg_stats SET
        received = received + $1 + $2 + $3,
        unique_processed = unique_processed + $1,
        duplicate_dropped = duplicate_dropped + $2,
        dead_lettered = dead_lettered + $3
    WHERE id = 1";

pub(super) async fn register(pool: &PgPool, worker: WorkerId) -> Result<(), StoreError> {
    let register = query(REGISTER).bind(worker.0).execute(pool);
    register.await.map_err(failure)?;
    Ok(())
}

pub(super) async fn record(pool: &PgPool, claim: &Claim) -> Result<Recorded, StoreError> {
    let mut transaction = pool.begin_with(BEGIN).await.map_err(failure)?;
    if !advance(&mut transaction, claim.id).await.map_err(failure)? {
        return unrecorded(&mut transaction, claim.id)
            .await
            .map_err(failure);
    }
    let plan = Plan::new(&claim.events);
    let outcome = apply(&mut transaction, &plan, &claim.malformed)
        .await
        .map_err(failure)?;
    transaction.commit().await.map_err(commit_failure)?;
    Ok(Recorded::Committed(outcome.verdicts))
}

/// `false`: this claim may not be recorded (any more).
async fn advance(transaction: &mut PgConnection, id: ClaimId) -> sqlx::Result<bool> {
    let advanced = query(ADVANCE)
        .bind(id.worker.0)
        .bind(id.number)
        .execute(transaction)
        .await?;
    Ok(advanced.rows_affected() == 1)
}

async fn unrecorded(transaction: &mut PgConnection, id: ClaimId) -> sqlx::Result<Recorded> {
    let known = query_scalar(KNOWN).bind(id.worker.0).fetch_one(transaction);
    Ok(if known.await? {
        Recorded::AlreadyCommitted
    } else {
        Recorded::UnknownWorker
    })
}

async fn apply<'a>(
    transaction: &mut PgConnection,
    plan: &Plan<'a>,
    malformed: &[Malformed],
) -> sqlx::Result<Outcome<'a>> {
    horizon::enter(transaction).await?;
    let inserted = insert_events(transaction, plan).await?;
    let outcome = plan.outcome(&inserted);
    count_topics(transaction, &outcome.topics).await?;
    insert_dead_letters(transaction, malformed).await?;
    query(COUNT)
        .bind(outcome.unique())
        .bind(outcome.duplicate())
        .bind(i64::try_from(malformed.len()).unwrap_or(i64::MAX))
        .execute(transaction)
        .await?;
    Ok(outcome)
}

async fn insert_events(
    transaction: &mut PgConnection,
    plan: &Plan<'_>,
) -> sqlx::Result<Vec<(String, String)>> {
    let rows = plan.rows();
    if rows.len() == 0 {
        return Ok(Vec::new());
    }
    let topics: Vec<&str> = rows.clone().map(|row| row.topic.as_str()).collect();
    let ids: Vec<&str> = rows.clone().map(|row| row.event_id.as_str()).collect();
    let sources: Vec<&str> = rows.clone().map(|row| row.source.as_str()).collect();
    let payloads: Vec<&str> = rows.clone().map(|row| row.payload.as_str()).collect();
    let timestamps: Vec<DateTime<Utc>> = rows
        .clone()
        .map(|row| row.timestamp.as_datetime())
        .collect();
    let received: Vec<DateTime<Utc>> = rows
        .clone()
        .map(|row| row.receipt_id.received_at())
        .collect();
    let receipts: Vec<Uuid> = rows.map(|row| row.receipt_id.0).collect();
    query_as(INSERT_EVENTS)
        .bind(topics)
        .bind(ids)
        .bind(sources)
        .bind(payloads)
        .bind(timestamps)
        .bind(received)
        .bind(receipts)
        .fetch_all(transaction)
        .await
}

async fn count_topics(
    transaction: &mut PgConnection,
    topics: &[TopicDelta<'_>],
) -> sqlx::Result<()> {
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

async fn insert_dead_letters(
    transaction: &mut PgConnection,
    malformed: &[Malformed],
) -> sqlx::Result<()> {
    if malformed.is_empty() {
        return Ok(());
    }
    let raw: Vec<&[u8]> = malformed.iter().map(|letter| &letter.raw[..]).collect();
    // A reason may quote what was in the queue, and PostgreSQL's text holds no U+0000.
    let reasons: Vec<String> = malformed
        .iter()
        .map(|letter| letter.reason.replace('\0', "\u{fffd}"))
        .collect();
    query(INSERT_DEAD_LETTERS)
        .bind(raw)
        .bind(reasons)
        .execute(transaction)
        .await?;
    Ok(())
}
