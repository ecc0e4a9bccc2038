//! Recording a small claim with one statement that is a transaction by itself, for `POST /ingest`, whose callers wait: each
//! statement of a transaction takes a way to the server and back, and these ways take as long as the work.
//!
//! It does what [`record`](crate::record) does, in the same order, because each step needs what the step before it gives: the
//! worker's row, the advisory lock of the [`horizon`], the events by key, the topics by name, and the row of
//! counters last ([data-modifying WITH](https://www.postgresql.org/docs/current/queries-with.html#QUERIES-WITH-MODIFYING)). An
//! aggregate in `FROM` is there before that row is locked, which a scalar subquery need not be.
//!
//! It does nothing at all unless everything is as it expects: the server, the table and the buckets are those that the cache of
//! stored events knows, the filters of the closed buckets say that none of them has an event of the claim, no trigger is in the
//! way, the transaction is READ COMMITTED, the lock is free, and nothing is malformed. Then the statements of a transaction do it,
//! and so they do if the database refuses an event.
//!
//! It needs no lock before it (`ground.rs`): at READ COMMITTED, a statement takes the snapshot that it runs with after it has locked the
//! tables that it names. So it waits for a bucket that is being closed, and then sees that it is closed.

use std::collections::HashSet;

use event::Claim;
use sqlx::{Arguments, AssertSqlSafe, PgConnection, error::DatabaseError, query_as_with};
use uuid::Uuid;

use super::{
    buckets::{Memory, table},
    ground::{Ground, buckets},
    horizon,
    transaction::{columns, with_receipts},
};
use crate::{
    Recorded, Tally,
    failure::Failure,
    plan::{Inserted, Plan},
};

/// `$1` to `$7` are the columns of the rows. Whether all topics and the row of counters were written is asked for by a division,
/// because an error takes back everything.
fn record_in(bucket: i32) -> String {
    let (table, buckets, entering) = (table(bucket), buckets!(), horizon::entering!("$12"));
    format!(
        "
    WITH advanced AS (
        UPDATE worker_claims SET last_claim = $9, updated_at = now()
        FROM {buckets}
        WHERE worker_id = $8 AND last_claim < $9
          AND pg_postmaster_start_time() = $10
          AND 'processed_events'::regclass::oid = $11
          AND buckets.oldest = $16 AND buckets.open = {bucket}
          AND NOT (SELECT relhastriggers FROM pg_class WHERE oid = '{table}'::regclass)
          AND current_setting('transaction_isolation') = 'read committed'
          AND (SELECT entered FROM ({entering}) AS horizon)
        RETURNING slot
    ), inserted AS (
        INSERT INTO {table}
            (topic, event_id, source, payload, event_timestamp, received_at, receipt_id)
        SELECT topic, event_id, source, payload::jsonb, event_timestamp, received_at, receipt_id
        FROM advanced, unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[],
                              $6::timestamptz[], $7::uuid[])
            AS batch (topic, event_id, source, payload, event_timestamp, received_at, receipt_id)
        ON CONFLICT (topic, event_id) DO NOTHING
        RETURNING topic, receipt_id
    ), topics AS (
        INSERT INTO topic_stats AS t (topic, slot, unique_processed, duplicate_dropped, last_processed_at)
        SELECT topic, slot, coalesce(stored, 0), deliveries - coalesce(stored, 0), now()
        FROM advanced
        CROSS JOIN unnest($13::text[], $14::bigint[]) AS given (topic, deliveries)
        LEFT JOIN (SELECT topic, count(*) AS stored FROM inserted GROUP BY topic) AS new USING (topic)
        ORDER BY topic
        ON CONFLICT (topic, slot) DO UPDATE SET
            unique_processed = t.unique_processed + excluded.unique_processed,
            duplicate_dropped = t.duplicate_dropped + excluded.duplicate_dropped,
            last_processed_at = excluded.last_processed_at
        RETURNING 1
    ), counted AS (
        UPDATE agg_stats SET
            received = received + $15,
            unique_processed = unique_processed + stored,
            duplicate_dropped = duplicate_dropped + $15 - stored
        FROM (SELECT count(*) AS stored FROM inserted) AS new,
             (SELECT count(*) AS topics FROM topics) AS written,
             advanced
        WHERE agg_stats.slot = advanced.slot
        RETURNING topics
    )
    SELECT ARRAY(SELECT receipt_id FROM inserted),
           1 / (coalesce((SELECT topics FROM counted), -1) = cardinality($13))::int
    FROM advanced"
    )
}

/// Records a claim. `None`: nothing was done, and a transaction must do it.
///
/// # Errors
/// As of a commit: unless the server itself says that it refuses, it may have happened.
pub(super) async fn record(
    connection: &mut PgConnection,
    memory: &Memory,
    claim: &Claim,
) -> Result<Option<Recorded>, Failure> {
    let Some(ground) = memory.cache.ground() else {
        return Ok(None);
    };
    let receipts: HashSet<Uuid> = claim
        .events
        .iter()
        .map(|event| event.receipt_id.0)
        .collect();
    // What was inserted is told by its receipts.
    let differ = receipts.len() == claim.events.len();
    if !claim.malformed.is_empty() || claim.events.is_empty() || !differ {
        return Ok(None);
    }
    let glance = memory.cache.glance(&ground, &claim.events);
    if !memory
        .filters
        .rule_out(&ground, &claim.events, &glance.known)
    {
        return Ok(None);
    }
    let plan = Plan::new(&claim.events, &glance.known);
    let rows = plan.rows();
    let deliveries = plan.outcome_of_rows(&Inserted::All).topics;
    let names: Vec<&str> = deliveries.iter().map(|delta| delta.topic).collect();
    let counts: Vec<i64> = deliveries
        .iter()
        .map(|delta| delta.unique + delta.duplicate)
        .collect();
    let Ground { home, open, .. } = ground;
    let mut arguments = columns(&rows)?;
    let add = || {
        arguments.add(claim.id.worker.0)?;
        arguments.add(claim.id.number)?;
        arguments.add(home.place.started)?;
        arguments.add(home.place.events)?;
        arguments.add(horizon::BASE)?;
        arguments.add(names)?;
        let all: i64 = counts.iter().sum();
        arguments.add(counts)?;
        arguments.add(all)?;
        arguments.add(home.oldest)
    };
    add().map_err(sqlx::Error::Encode)?;
    let recorded = query_as_with(AssertSqlSafe(record_in(open)), arguments)
        .fetch_optional(connection)
        .await;
    let (receipts, _): (Vec<Uuid>, i32) = match recorded {
        Ok(Some(recorded)) => recorded,
        Ok(None) => return Ok(None),
        Err(error) if is_about_the_bucket(&error) => return Ok(None),
        Err(error) => return Err(Failure::Commit(error)),
    };
    memory.cache.learn(glance, &[]);
    let stored = receipts.len() as u64;
    let inserted = with_receipts(receipts, &rows, stored);
    let outcome = plan.outcome_of_rows(&inserted.unwrap_or(Inserted::All));
    Ok(Some(Recorded::Committed(Tally {
        unique: outcome.unique().unsigned_abs(),
        duplicate: outcome.duplicate().unsigned_abs(),
        dead_lettered: 0,
        verdicts: plan.verdicts(&outcome),
    })))
}

/// The bucket is sealed (55000), or was dropped (42P01): others are open by now.
fn is_about_the_bucket(error: &sqlx::Error) -> bool {
    let database = error.as_database_error();
    let code = database.and_then(DatabaseError::code);
    matches!(code.as_deref(), Some("55000" | "42P01"))
}
