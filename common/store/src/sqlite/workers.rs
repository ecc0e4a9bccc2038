//! `worker_claims`: each row says up to which claim a worker has committed.

use std::time::Duration;

use chrono::DateTime;
use event::WorkerId;
use sqlx::{SqlitePool, query, query_as};
use uuid::Uuid;

use super::{
    begin::BEGIN,
    classify::{commit_failure, failure},
};
use crate::{IdleWorker, StoreError};

/// Workers looked at in one go.
const IDLE_AT_A_TIME: i64 = 1000;

const REGISTER: &str =
    "INSERT INTO worker_claims (worker_id, updated_at) VALUES (?, ?) ON CONFLICT DO NOTHING";

const IDLE: &str = "
    SELECT worker_id, updated_at FROM worker_claims
    WHERE updated_at < ? ORDER BY updated_at LIMIT ?";

/// Only if the row is as it was read: a worker that has committed since then stays.
const FORGET: &str = "DELETE FROM worker_claims WHERE worker_id = ? AND updated_at = ?";

pub(super) async fn register(pool: &SqlitePool, worker: WorkerId, now: i64) -> sqlx::Result<()> {
    query(REGISTER)
        .bind(worker.0)
        .bind(now)
        .execute(pool)
        .await?;
    Ok(())
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
