//! Recording a claim: one READ COMMITTED transaction, one statement a table.
//!
//! Locks are taken in one order by everyone: the claim's worker, events by key, topics by name, and
//! last, for as short as can be, the one row of counters. See
//! [READ COMMITTED](https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED).

use event::{Claim, Verdict};
use runtime::faults::{Point, crash_at};
use sqlx::{Connection, PgConnection, query};
use uuid::Uuid;

use super::{
    classify::{Failure, failure},
    connections::Connections,
    ground::Ground,
    horizon, insert,
    known::Known,
    workers::{self, Advanced},
};
use crate::{ErrorClass, Letter, Outcome, Plan, Recorded, StoreError, TopicDelta, Unsound};

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
///
/// Unless the error is plainly about data, the connection's own state may be at fault, such as a plan from before a table
/// was changed: then that connection is closed, and the second attempt has a fresh one.
pub(super) async fn record(
    connections: &Connections,
    known: &Known,
    claim: &Claim,
) -> Result<Recorded, StoreError> {
    let mut connection = connections.writers.acquire().await.map_err(failure)?;
    let failed = match attempt(&mut connection, known, claim, Insert::All).await {
        Ok(recorded) => return Ok(recorded),
        Err(failed) => failed,
    };
    let again = match failed.class() {
        ErrorClass::Unavailable => Err(failed),
        ErrorClass::Refused => attempt(&mut connection, known, claim, Insert::AroundRefused).await,
        ErrorClass::Schema | ErrorClass::Unexplained => {
            tracing::warn!(
                claim.id = %claim.id, error = %failed,
                "a claim is tried again in pieces, over a fresh connection"
            );
            connection.close_on_drop();
            drop(connection);
            let mut connection = connections.connect().await.map_err(failure)?;
            attempt(&mut connection, known, claim, Insert::AroundRefused).await
        }
    };
    Ok(again?)
}

async fn attempt(
    connection: &mut PgConnection,
    known: &Known,
    claim: &Claim,
    how: Insert,
) -> Result<Recorded, Failure> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    crash_at(Point::AfterBegin);
    let ground = match workers::advance(&mut transaction, claim.id).await? {
        Advanced::To(ground) => ground,
        Advanced::Not(recorded) => return Ok(recorded),
    };
    crash_at(Point::AfterAdvance);
    let glance = known.glance(ground.home, &claim.events);
    let verdicts = apply(&mut transaction, claim, how, ground, &glance.known).await?;
    crash_at(Point::BeforeCommit);
    transaction.commit().await.map_err(Failure::Commit)?;
    known.learn(glance, &verdicts);
    Ok(Recorded::Committed(verdicts))
}

async fn apply(
    transaction: &mut PgConnection,
    claim: &Claim,
    how: Insert,
    ground: Ground,
    known: &[bool],
) -> Result<Vec<Verdict>, Failure> {
    let since = horizon::enter(transaction).await?;
    let plan = Plan::new(&claim.events);
    let outcome = match how {
        Insert::All => insert::all(transaction, &plan, known, since, ground).await?,
        Insert::AroundRefused => insert::around_refused(transaction, &plan, ground).await?,
    };
    let mut letters = plan.letters(&outcome);
    letters.extend(claim.malformed.iter().map(Letter::from));
    crash_at(Point::AfterInsert);
    count_topics(transaction, &outcome.topics).await?;
    crash_at(Point::AfterTopics);
    insert_letters(transaction, &letters).await?;
    let dead_lettered = i64::try_from(letters.len()).unwrap_or(i64::MAX);
    count(transaction, &outcome, dead_lettered).await?;
    Ok(outcome.verdicts)
}

/// Adds a batch to the row of counters; the very last statement of a transaction.
pub(super) async fn count(
    transaction: &mut PgConnection,
    outcome: &Outcome<'_>,
    dead_lettered: i64,
) -> Result<(), Failure> {
    let counted = query(COUNT)
        .bind(outcome.unique())
        .bind(outcome.duplicate())
        .bind(dead_lettered)
        .execute(transaction)
        .await?;
    Ok(Unsound::unless_written(
        "agg_stats",
        counted.rows_affected(),
        1,
    )?)
}

pub(super) async fn count_topics(
    transaction: &mut PgConnection,
    topics: &[TopicDelta<'_>],
) -> Result<(), Failure> {
    if topics.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = topics.iter().map(|delta| delta.topic).collect();
    let unique: Vec<i64> = topics.iter().map(|delta| delta.unique).collect();
    let duplicate: Vec<i64> = topics.iter().map(|delta| delta.duplicate).collect();
    let counted = query(COUNT_TOPICS)
        .bind(names)
        .bind(unique)
        .bind(duplicate)
        .execute(transaction)
        .await?;
    Ok(Unsound::unless_written(
        "topic_stats",
        counted.rows_affected(),
        topics.len(),
    )?)
}

async fn insert_letters(transaction: &mut PgConnection, letters: &[Letter]) -> Result<(), Failure> {
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
    let inserted = query(INSERT_LETTERS)
        .bind(raw)
        .bind(reasons)
        .bind(receipts)
        .execute(transaction)
        .await?;
    Ok(Unsound::unless_written(
        "dead_letters",
        inserted.rows_affected(),
        letters.len(),
    )?)
}
