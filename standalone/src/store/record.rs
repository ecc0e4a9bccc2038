//! Recording a claim: one transaction that holds SQLite's write lock from its beginning
//! ([BEGIN IMMEDIATE](https://www.sqlite.org/lang_transaction.html)).

use common::{
    event::Event,
    queue::{Claim, ClaimId, Malformed, WorkerId},
    store::{Outcome, Plan, Recorded, StoreError, TopicDelta},
};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection, SqlitePool, query, query_scalar};

use super::classify::{commit_failure, failure};

/// Rows in one INSERT. A few fixed sizes keep the prepared statements few; the largest stays below
/// SQLite's [32766 variables](https://www.sqlite.org/limits.html#max_variable_number).
const CHUNKS: [usize; 5] = [256, 64, 16, 4, 1];

/// Takes the write lock at once: a transaction that takes it later may find that it came too late.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";

const REGISTER: &str =
    "INSERT INTO worker_claims (worker_id, updated_at) VALUES (?, ?) ON CONFLICT DO NOTHING";

/// Never inserts: a worker whose row was removed must stay out.
const ADVANCE: &str = "
    UPDATE worker_claims SET last_claim = ?2, updated_at = ?3
    WHERE worker_id = ?1 AND last_claim < ?2";

const KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM worker_claims WHERE worker_id = ?)";

const INSERT_EVENTS: &str = "
    INSERT INTO processed_events
        (topic, event_id, source, payload, event_timestamp, received_at, processed_at, receipt_id) ";

const COUNT_TOPICS: &str = "
    INSERT INTO topic_stats (topic, unique_processed, duplicate_dropped, last_processed_at) ";

const ADD_TO_TOPICS: &str = "
    ON CONFLICT (topic) DO UPDATE SET
        unique_processed = unique_processed + excluded.unique_processed,
        duplicate_dropped = duplicate_dropped + excluded.duplicate_dropped,
        last_processed_at = excluded.last_processed_at";

const INSERT_DEAD_LETTERS: &str = "INSERT INTO dead_letters (raw, reason, failed_at) ";

const COUNT: &str = "
    UPDATE agg_stats SET
        received = received + ?1 + ?2 + ?3,
        unique_processed = unique_processed + ?1,
        duplicate_dropped = duplicate_dropped + ?2,
        dead_lettered = dead_lettered + ?3
    WHERE id = 1";

pub(super) async fn register(
    pool: &SqlitePool,
    worker: WorkerId,
    now: i64,
) -> Result<(), StoreError> {
    let register = query(REGISTER).bind(worker.0).bind(now).execute(pool);
    register.await.map_err(failure)?;
    Ok(())
}

pub(super) async fn record(
    pool: &SqlitePool,
    claim: &Claim,
    now: i64,
) -> Result<Recorded, StoreError> {
    let mut transaction = pool.begin_with(BEGIN).await.map_err(failure)?;
    if !advance(&mut transaction, claim.id, now)
        .await
        .map_err(failure)?
    {
        return unrecorded(&mut transaction, claim.id)
            .await
            .map_err(failure);
    }
    let plan = Plan::new(&claim.events);
    let outcome = apply(&mut transaction, &plan, &claim.malformed, now)
        .await
        .map_err(failure)?;
    transaction.commit().await.map_err(commit_failure)?;
    Ok(Recorded::Committed(outcome.verdicts))
}

/// `false`: this claim may not be recorded (any more).
async fn advance(transaction: &mut SqliteConnection, id: ClaimId, now: i64) -> sqlx::Result<bool> {
    let advanced = query(ADVANCE)
        .bind(id.worker.0)
        .bind(id.number)
        .bind(now)
        .execute(transaction)
        .await?;
    Ok(advanced.rows_affected() == 1)
}

async fn unrecorded(transaction: &mut SqliteConnection, id: ClaimId) -> sqlx::Result<Recorded> {
    let known = query_scalar(KNOWN).bind(id.worker.0).fetch_one(transaction);
    Ok(if known.await? {
        Recorded::AlreadyCommitted
    } else {
        Recorded::UnknownWorker
    })
}

async fn apply<'a>(
    transaction: &mut SqliteConnection,
    plan: &Plan<'a>,
    malformed: &[Malformed],
    now: i64,
) -> sqlx::Result<Outcome<'a>> {
    let inserted = insert_events(transaction, plan, now).await?;
    let outcome = plan.outcome(&inserted);
    count_topics(transaction, &outcome.topics, now).await?;
    insert_dead_letters(transaction, malformed, now).await?;
    query(COUNT)
        .bind(outcome.unique())
        .bind(outcome.duplicate())
        .bind(i64::try_from(malformed.len()).unwrap_or(i64::MAX))
        .execute(transaction)
        .await?;
    Ok(outcome)
}

async fn insert_events(
    transaction: &mut SqliteConnection,
    plan: &Plan<'_>,
    now: i64,
) -> sqlx::Result<Vec<(String, String)>> {
    let rows: Vec<&Event> = plan.rows().collect();
    let mut inserted = Vec::with_capacity(rows.len());
    for chunk in chunks(&rows) {
        let mut insert = QueryBuilder::<Sqlite>::new(INSERT_EVENTS);
        insert.push_values(chunk, |mut row, event| {
            row.push_bind(event.topic.as_str())
                .push_bind(event.event_id.as_str())
                .push_bind(event.source.as_str())
                .push_bind(event.payload.as_str())
                .push_bind(event.timestamp.as_datetime().timestamp_micros())
                .push_bind(event.receipt_id.received_at().timestamp_micros())
                .push_bind(now)
                .push_bind(event.receipt_id.0);
        });
        insert.push(" ON CONFLICT (topic, event_id) DO NOTHING RETURNING topic, event_id");
        inserted.extend(
            insert
                .build_query_as::<(String, String)>()
                .fetch_all(&mut *transaction)
                .await?,
        );
    }
    Ok(inserted)
}

async fn count_topics(
    transaction: &mut SqliteConnection,
    topics: &[TopicDelta<'_>],
    now: i64,
) -> sqlx::Result<()> {
    for chunk in chunks(topics) {
        let mut count = QueryBuilder::<Sqlite>::new(COUNT_TOPICS);
        count.push_values(chunk, |mut row, delta| {
            row.push_bind(delta.topic)
                .push_bind(delta.unique)
                .push_bind(delta.duplicate)
                .push_bind(now);
        });
        count.push(ADD_TO_TOPICS);
        count.build().execute(&mut *transaction).await?;
    }
    Ok(())
}

async fn insert_dead_letters(
    transaction: &mut SqliteConnection,
    malformed: &[Malformed],
    now: i64,
) -> sqlx::Result<()> {
    for chunk in chunks(malformed) {
        let mut insert = QueryBuilder::<Sqlite>::new(INSERT_DEAD_LETTERS);
        insert.push_values(chunk, |mut row, letter| {
            row.push_bind(&letter.raw[..])
                .push_bind(&letter.reason[..])
                .push_bind(now);
        });
        insert.build().execute(&mut *transaction).await?;
    }
    Ok(())
}

/// Cuts rows into pieces of [`CHUNKS`], largest first.
fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = CHUNKS.into_iter().find(|&size| size <= rows.len())?;
        let (chunk, rest) = rows.split_at(size);
        rows = rest;
        Some(chunk)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_into_pieces_of_few_sizes_without_losing_any() {
        for count in [0, 1, 3, 5, 255, 256, 1000, 1023] {
            let rows: Vec<usize> = (0..count).collect();
            let pieces: Vec<&[usize]> = chunks(&rows).collect();
            assert_eq!(pieces.concat(), rows);
            assert!(pieces.iter().all(|piece| CHUNKS.contains(&piece.len())));
        }
    }
}
