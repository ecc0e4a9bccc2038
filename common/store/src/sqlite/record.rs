//! Recording a claim: one transaction that holds SQLite's write lock from its beginning
//! ([BEGIN IMMEDIATE](https://www.sqlite.org/lang_transaction.html)).

use event::Claim;
use runtime::faults::{Point, crash_at};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection, SqlitePool, query};

use super::{
    classify::Failure,
    insert::{self, chunks},
    transaction::BEGIN,
    workers,
};
use crate::{ErrorClass, Letter, Outcome, Plan, Recorded, StoreError, TopicDelta, Unsound};

const COUNT_TOPICS: &str = "
    INSERT INTO topic_stats (topic, unique_processed, duplicate_dropped, last_processed_at) ";

const ADD_TO_TOPICS: &str = "
    ON CONFLICT (topic) DO UPDATE SET
        unique_processed = unique_processed + excluded.unique_processed,
        duplicate_dropped = duplicate_dropped + excluded.duplicate_dropped,
        last_processed_at = excluded.last_processed_at";

const INSERT_LETTERS: &str = "INSERT INTO dead_letters (raw, reason, receipt_id, failed_at) ";

const COUNT: &str = "
    UPDATE agg_stats SET
        received = received + ?1 + ?2 + ?3,
        unique_processed = unique_processed + ?1,
        duplicate_dropped = duplicate_dropped + ?2,
        dead_lettered = dead_lettered + ?3
    WHERE id = 1";

/// Whether the database is expected to take every event.
#[derive(Clone, Copy)]
enum Insert {
    All,
    AroundRefused,
}

/// The second attempt finds out which events the database refuses.
pub(super) async fn record(
    pool: &SqlitePool,
    claim: &Claim,
    now: i64,
) -> Result<Recorded, StoreError> {
    let recorded = match attempt(pool, claim, Insert::All, now).await {
        Err(failed) if failed.class() != ErrorClass::Unavailable => {
            attempt(pool, claim, Insert::AroundRefused, now).await
        }
        done => done,
    };
    Ok(recorded?)
}

async fn attempt(
    pool: &SqlitePool,
    claim: &Claim,
    how: Insert,
    now: i64,
) -> Result<Recorded, Failure> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    crash_at(Point::AfterBegin);
    let recorded = apply(&mut transaction, claim, how, now).await?;
    if let Recorded::Committed(_) = recorded {
        crash_at(Point::BeforeCommit);
        transaction.commit().await.map_err(Failure::Commit)?;
    }
    Ok(recorded)
}

async fn apply(
    transaction: &mut SqliteConnection,
    claim: &Claim,
    how: Insert,
    now: i64,
) -> Result<Recorded, Failure> {
    if let Some(nothing_to_record) = workers::advance(transaction, claim.id, now).await? {
        return Ok(nothing_to_record);
    }
    crash_at(Point::AfterAdvance);
    let plan = Plan::new(&claim.events);
    let outcome = match how {
        Insert::All => insert::all(transaction, &plan, now).await?,
        Insert::AroundRefused => insert::around_refused(transaction, &plan, now).await?,
    };
    let mut letters = plan.letters(&outcome);
    letters.extend(claim.malformed.iter().map(Letter::from));
    crash_at(Point::AfterInsert);
    count_topics(transaction, &outcome.topics, now).await?;
    crash_at(Point::AfterTopics);
    insert_letters(transaction, &letters, now).await?;
    let dead_lettered = i64::try_from(letters.len()).unwrap_or(i64::MAX);
    count(transaction, &outcome, dead_lettered).await?;
    Ok(Recorded::Committed(outcome.verdicts))
}

/// Adds a batch to the row of counters.
pub(super) async fn count(
    transaction: &mut SqliteConnection,
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
    transaction: &mut SqliteConnection,
    topics: &[TopicDelta<'_>],
    now: i64,
) -> Result<(), Failure> {
    for chunk in chunks(topics) {
        let mut count = QueryBuilder::<Sqlite>::new(COUNT_TOPICS);
        count.push_values(chunk, |mut row, delta| {
            row.push_bind(delta.topic)
                .push_bind(delta.unique)
                .push_bind(delta.duplicate)
                .push_bind(now);
        });
        count.push(ADD_TO_TOPICS);
        let counted = count.build().execute(&mut *transaction).await?;
        Unsound::unless_written("topic_stats", counted.rows_affected(), chunk.len())?;
    }
    Ok(())
}

async fn insert_letters(
    transaction: &mut SqliteConnection,
    letters: &[Letter],
    now: i64,
) -> Result<(), Failure> {
    for chunk in chunks(letters) {
        let mut insert = QueryBuilder::<Sqlite>::new(INSERT_LETTERS);
        insert.push_values(chunk, |mut row, letter| {
            row.push_bind(&letter.raw[..])
                .push_bind(&letter.reason[..])
                .push_bind(letter.receipt_id)
                .push_bind(now);
        });
        let inserted = insert.build().execute(&mut *transaction).await?;
        Unsound::unless_written("dead_letters", inserted.rows_affected(), chunk.len())?;
    }
    Ok(())
}
