//! `worker_claims`: which claims are committed, of each worker all up to one. It is what makes a
//! claim count once, whoever brings it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use event::{ClaimId, WorkerId};
use sqlx::{PgConnection, PgPool, query, query_as, query_scalar};
use uuid::Uuid;

use super::ground::{Ground, ground};
use crate::{IdleWorker, Recorded};

/// Workers looked at in one go.
const IDLE_AT_A_TIME: i64 = 1000;

const REGISTER: &str = "INSERT INTO worker_claims (worker_id) VALUES ($1) ON CONFLICT DO NOTHING";

/// Never inserts: a worker whose row was removed must stay out. Whoever comes second waits for the
/// row's lock, and then sees what the first one has made of it.
const ADVANCE: &str = concat!(
    "
    UPDATE worker_claims SET last_claim = $2, updated_at = now()
    WHERE worker_id = $1 AND last_claim < $2
    RETURNING ",
    ground!()
);

const KNOWN: &str = "SELECT EXISTS (SELECT FROM worker_claims WHERE worker_id = $1)";

const IDLE: &str = "
    SELECT worker_id, updated_at FROM worker_claims
    WHERE updated_at < now() - $1 * interval '1 second'
    ORDER BY updated_at LIMIT $2";

/// Only while the row is as it was seen: who has committed since is left alone.
const FORGET: &str = "
    DELETE FROM worker_claims USING unnest($1::uuid[], $2::timestamptz[]) AS idle (id, updated_at)
    WHERE worker_id = idle.id AND worker_claims.updated_at = idle.updated_at";

pub(super) async fn register(pool: &PgPool, worker: WorkerId) -> sqlx::Result<()> {
    query(REGISTER).bind(worker.0).execute(pool).await?;
    Ok(())
}

/// What to do about a claim.
pub(super) enum Advanced {
    /// Record it.
    To(Ground),
    /// There is nothing (more) to record.
    Not(Recorded),
}

pub(super) async fn advance(transaction: &mut PgConnection, id: ClaimId) -> sqlx::Result<Advanced> {
    let advanced = query_as(ADVANCE)
        .bind(id.worker.0)
        .bind(id.number)
        .fetch_optional(&mut *transaction)
        .await?;
    if let Some(ground) = advanced {
        return Ok(Advanced::To(ground));
    }
    let known = query_scalar(KNOWN).bind(id.worker.0).fetch_one(transaction);
    Ok(Advanced::Not(if known.await? {
        Recorded::AlreadyCommitted
    } else {
        Recorded::UnknownWorker
    }))
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
