//! `worker_claims`: each row says up to which claim a worker has committed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use event::WorkerId;
use sqlx::{PgPool, query, query_as, query_scalar};
use uuid::Uuid;

use crate::IdleWorker;

/// Workers looked at in one go.
const IDLE_AT_A_TIME: i64 = 1000;

/// Those who register at the same time take turns, so that each sees the slots of the others. They wait for nobody who records, and
/// nobody who records for them ([lock modes](https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES)).
const TAKE_TURNS: &str = "LOCK TABLE worker_claims IN SHARE UPDATE EXCLUSIVE MODE";

/// A worker gets the slot that the fewest others have: those that have committed something lately. `$2` is the number of slots.
const REGISTER: &str = "
    INSERT INTO worker_claims (worker_id, slot)
    SELECT $1, slots.slot
    FROM generate_series(1, $2) AS slots (slot)
    LEFT JOIN worker_claims AS others
        ON others.slot = slots.slot AND others.updated_at > now() - interval '1 hour'
    GROUP BY slots.slot ORDER BY count(others.slot), slots.slot LIMIT 1
    ON CONFLICT DO NOTHING
    RETURNING slot";

/// A slot's row of counters is made for its first worker.
const MAKE_SLOT: &str = "INSERT INTO agg_stats (slot) VALUES ($1) ON CONFLICT DO NOTHING";

const IDLE: &str = "
    SELECT worker_id, updated_at FROM worker_claims
    WHERE updated_at < now() - $1 * interval '1 second'
    ORDER BY updated_at LIMIT $2";

/// Only if the row is as it was read: a worker that has committed since then stays.
const FORGET: &str = "
    DELETE FROM worker_claims USING unnest($1::uuid[], $2::timestamptz[]) AS idle (id, updated_at)
    WHERE worker_id = idle.id AND worker_claims.updated_at = idle.updated_at";

pub(super) async fn register(pool: &PgPool, worker: WorkerId, slots: u16) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    query(TAKE_TURNS).execute(&mut *transaction).await?;
    let slot: Option<i16> = query_scalar(REGISTER)
        .bind(worker.0)
        .bind(i32::from(slots))
        .fetch_optional(&mut *transaction)
        .await?;
    if let Some(slot) = slot {
        query(MAKE_SLOT)
            .bind(slot)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
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
