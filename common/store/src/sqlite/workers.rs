//! `worker_claims`: which claims are committed, of each worker all up to one. It is what makes a
//! claim count once, whoever brings it.

use std::time::Duration;

use chrono::DateTime;
use event::{ClaimId, WorkerId};
use sqlx::{SqliteConnection, SqlitePool, query, query_as, query_scalar};
use uuid::Uuid;

use super::{
    classify::{commit_failure, failure},
    transaction::BEGIN,
};
use crate::{IdleWorker, Recorded, StoreError};

/// Workers looked at in one go.
const IDLE_AT_A_TIME: i64 = 1000;

const REGISTER: &str =
    "INSERT INTO worker_claims (worker_id, updated_at) VALUES (?, ?) ON CONFLICT DO NOTHING";

/// Never inserts: a worker whose row was removed must stay out.
const ADVANCE: &str = "
    UPDATE worker_claims SET last_claim = ?2, updated_at = ?3
    WHERE worker_id = ?1 AND last_claim < ?2";

const KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM worker_claims WHERE worker_id = ?)";

const IDLE: &str = "
    SELECT worker_id, updated_at FROM worker_claims
    WHERE updated_at < ? ORDER BY updated_at LIMIT ?";

/// Only while the row is as it was seen: who has committed since is left alone.
const FORGET: &str = "DELETE FROM worker_claims WHERE worker_id = ? AND updated_at = ?";

pub(super) async fn register(pool: &SqlitePool, worker: WorkerId, now: i64) -> sqlx::Result<()> {
    query(REGISTER)
        .bind(worker.0)
        .bind(now)
        .execute(pool)
        .await?;
    Ok(())
}

/// `None`: go on and record it. Else there is nothing (more) to record.
pub(super) async fn advance(
    transaction: &mut SqliteConnection,
    id: ClaimId,
    now: i64,
) -> sqlx::Result<Option<Recorded>> {
    let advanced = query(ADVANCE)
        .bind(id.worker.0)
        .bind(id.number)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    if advanced.rows_affected() == 1 {
        return Ok(None);
    }
    let known = query_scalar(KNOWN).bind(id.worker.0).fetch_one(transaction);
    Ok(Some(if known.await? {
        Recorded::AlreadyCommitted
    } else {
        Recorded::UnknownWorker
    }))
}

pub(super) async fn idle(
    pool: &SqlitePool,
    idle_for: Duration,
    now: i64,
) -> sqlx::Result<Vec<IdleWorker>> {
    let idle_for = i64::try_from(idle_for.as_micros()).unwrap_or(i64::MAX);
    let rows: Vec<(Uuid, i64)> = query_as(IDLE)
        .bind(now.saturating_sub(idle_for))
        .bind(IDLE_AT_A_TIME)
        .fetch_all(pool)
        .await?;
    let worker = |(id, updated_at)| IdleWorker {
        id: WorkerId(id),
        updated_at: DateTime::from_timestamp_micros(updated_at).unwrap_or_default(),
    };
    Ok(rows.into_iter().map(worker).collect())
}

pub(super) async fn forget(pool: &SqlitePool, workers: &[IdleWorker]) -> Result<u64, StoreError> {
    let mut transaction = pool.begin_with(BEGIN).await.map_err(failure)?;
    let mut forgotten = 0;
    for worker in workers {
        forgotten += query(FORGET)
            .bind(worker.id.0)
            .bind(worker.updated_at.timestamp_micros())
            .execute(&mut *transaction)
            .await
            .map_err(failure)?
            .rows_affected();
    }
    transaction.commit().await.map_err(commit_failure)?;
    Ok(forgotten)
}
