//! `worker_claims`: each row says up to which claim a worker has committed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use event::WorkerId;
use sqlx::{PgPool, query, query_as};
use uuid::Uuid;

use crate::IdleWorker;

/// Workers looked at in one go.
const IDLE_AT_A_TIME: i64 = 1000;

const REGISTER: &str = "INSERT INTO worker_claims (worker_id) VALUES ($1) ON CONFLICT DO NOTHING";

const IDLE: &str = "
    SELECT worker_id, updated_at FROM worker_claims
    WHERE updated_at < now() - $1 * interval '1 second'
    ORDER BY updated_at LIMIT $2";

/// Only if the row is as it was read: a worker that has committed since then stays.
const FORGET: &str = "
    DELETE FROM worker_claims USING unnest($1::uuid[], $2::timestamptz[]) AS idle (id, updated_at)
    WHERE worker_id = idle.id AND worker_claims.updated_at = idle.updated_at";

pub(super) async fn register(pool: &PgPool, worker: WorkerId) -> sqlx::Result<()> {
    query(REGISTER).bind(worker.0).execute(pool).await?;
    Ok(())
}

pub(super) async fn idle(pool: &PgPool, idle_for: Duration) -> sqlx::Result<Vec<IdleWorker>> {
    let rows: Vec<(Uuid, DateTime<Utc>)> = query_as(IDLE)
        .bind(idle_for.as_secs_f64())
        .bind(IDLE_AT_A_TIME)
        .fetch_all(pool)
        .await?;
    let worker = |(id, updated_at)| IdleWorker {
        id: WorkerId(id),
        updated_at,
    };
    Ok(rows.into_iter().map(worker).collect())
}

pub(super) async fn forget(pool: &PgPool, workers: &[IdleWorker]) -> sqlx::Result<u64> {
    let ids: Vec<Uuid> = workers.iter().map(|worker| worker.id.0).collect();
    let seen: Vec<DateTime<Utc>> = workers.iter().map(|worker| worker.updated_at).collect();
    let forgotten = query(FORGET).bind(ids).bind(seen).execute(pool).await?;
    Ok(forgotten.rows_affected())
}
