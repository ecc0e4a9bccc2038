//! Closing, filtering and dropping buckets, one step at a time.
//!
//! What only the owner of the tables may do is done by functions of the database (`migrations/0008_ledger.sql`), and each checks
//! itself whether it is still due, because several aggregators look after the same ledger.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use runtime::faults::{Point, crash_at};
use sqlx::{Connection, PgConnection, PgPool, query, query_as, query_scalar};
use tokio::task::spawn_blocking;

use super::{
    copied::Copied,
    filter::{Filter, Of, hash},
    filters::Filters,
    state::State,
};
use crate::{
    BoxError, Outdated, Rules, Step, StoreError,
    postgres::{classify::failure, ground::Place},
};

/// How long closing a bucket may keep those waiting who record: it waits for all of their transactions. Then it is tried again
/// at the next step.
const CLOSED_WITHIN: &str = "SET LOCAL lock_timeout = '1s'";
/// How long those who read may be kept waiting at a time while a bucket is dropped, and how often that is tried in one step.
const DROPPED_WITHIN: Duration = Duration::from_millis(50);
const DROP_ATTEMPTS: i32 = 20;

/// Each statement of the functions must see what was committed while it waited for a lock.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

const CLOSE: &str = "SELECT open_next_bucket($1)";
/// Whether the bucket is this transaction's to make the filter of.
const SEAL: &str = "SELECT seal_bucket($1)";
const DROP: &str = "SELECT dropped, dropped_events
    FROM drop_oldest_bucket($1 * interval '1 second', $2 * interval '1 second', $3)";

/// Between reading a bucket and keeping its filter the transaction waits for the filter to be made.
const NO_TIMEOUT: &str = "SET LOCAL idle_in_transaction_session_timeout = 0";

/// The filter of a closed bucket, if there is one, and the highest id in it.
const FILTER_OF: &str = "
    SELECT max_id, filter FROM ledger_buckets LEFT JOIN bucket_filters USING (bucket)
    WHERE bucket = $1 AND closed_at IS NOT NULL AND dropped_at IS NULL";

/// Not if the bucket was dropped meanwhile.
const KEEP_FILTER: &str = "
    INSERT INTO bucket_filters (bucket, filter)
    SELECT bucket, $2 FROM ledger_buckets WHERE bucket = $1 AND dropped_at IS NULL
    ON CONFLICT (bucket) DO UPDATE SET filter = excluded.filter, made_at = now()";

const OUTDATED: &str = "
    SELECT bucket, closed_at, events, pg_total_relation_size(to_regclass('processed_events_' || bucket))
    FROM ledger_buckets
    WHERE dropped_at IS NULL AND closed_at <= now() - $1 * interval '1 second'
    ORDER BY bucket";

/// Does what is due: first a bucket that is full is closed, then one that is old enough is dropped, then those that are closed get
/// their filters.
pub(in crate::postgres) async fn step(
    pool: &PgPool,
    filters: &Filters,
    rules: &Rules,
) -> Result<Option<Step>, StoreError> {
    let mut connection = pool.acquire().await.map_err(failure)?;
    let state = look(&mut connection).await.map_err(failure)?;
    if state.is_full(rules)
        && let Some(events) = close(&mut connection, state.open).await.map_err(failure)?
    {
        let bucket = state.open;
        return Ok(Some(Step::Closed { bucket, events }));
    }
    if let Some(retention) = state.due_to_drop(rules) {
        let dropped = drop_oldest(&mut connection, retention).await;
        if let Some(step) = dropped.map_err(failure)? {
            return Ok(Some(step));
        }
    }
    load_filters(&mut connection, filters, &state).await
}

/// Which buckets there are. A standby refuses a transaction that may write: so nobody goes on with one, and loads its filters, when
/// those who record are with the new primary.
async fn look(connection: &mut PgConnection) -> sqlx::Result<State> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    let state = State::read(&mut transaction).await?;
    transaction.commit().await?;
    Ok(state)
}

/// How many events were in the bucket. `None`: somebody else has closed it.
async fn close(connection: &mut PgConnection, bucket: i32) -> sqlx::Result<Option<i64>> {
    crash_at(Point::BeforeClose);
    let mut transaction = connection.begin_with(BEGIN).await?;
    query(CLOSED_WITHIN).execute(&mut *transaction).await?;
    let closed = query_scalar(CLOSE).bind(bucket);
    let events: Option<i64> = closed.fetch_one(&mut *transaction).await?;
    crash_at(Point::BeforeCloseCommit);
    transaction.commit().await?;
    crash_at(Point::AfterClose);
    Ok(events)
}

/// Brings the filters of closed buckets into memory, the latest first, until there is no more room. The first one that is missing
/// in the database, or is damaged there, is made.
async fn load_filters(
    connection: &mut PgConnection,
    filters: &Filters,
    state: &State,
) -> Result<Option<Step>, StoreError> {
    for bucket in filters.missing(state.place, state.oldest..state.open) {
        let kept: Option<(i64, Option<Vec<u8>>)> = query_as(FILTER_OF)
            .bind(bucket)
            .fetch_optional(&mut *connection)
            .await
            .map_err(failure)?;
        let Some((max_id, kept)) = kept else {
            continue;
        };
        let of = Of { bucket, max_id };
        let read = kept.map(|bytes| Filter::decode(&bytes, of));
        if let Some(Err(error)) = &read {
            tracing::warn!(bucket, %error, "a filter is not used");
        }
        if let Some(Ok(filter)) = read {
            if !filters.add(state.place, bucket, filter) {
                break;
            }
        } else {
            return make_filter(connection, filters, state.place, of).await;
        }
    }
    Ok(None)
}

/// Makes the filter of a closed bucket, unless another process makes one now. If it is given up, nothing of it remains.
async fn make_filter(
    connection: &mut PgConnection,
    filters: &Filters,
    place: Place,
    of: Of,
) -> Result<Option<Step>, StoreError> {
    let mut transaction = connection.begin_with(BEGIN).await.map_err(failure)?;
    // A filter is made only of what nobody can add to any more.
    let sealing = query_scalar(SEAL)
        .bind(of.bucket)
        .fetch_one(&mut *transaction);
    if !sealing.await.map_err(failure)? {
        return Ok(None);
    }
    let waiting = query(NO_TIMEOUT).execute(&mut *transaction);
    waiting.await.map_err(failure)?;
    let hashes = hashes(&mut transaction, of.bucket).await;
    let hashes = hashes.map_err(failure)?;
    let identities = hashes.len();
    let making = spawn_blocking(move || {
        let filter = Filter::make(hashes, of)?;
        let encoded = filter.encode(of);
        Ok::<_, BoxError>((filter, encoded))
    });
    let made = making
        .await
        .map_err(|panicked| StoreError::Unavailable(panicked.into()))?;
    let (filter, encoded) = made.map_err(StoreError::Unavailable)?;
    let keeping = query(KEEP_FILTER).bind(of.bucket).bind(encoded);
    keeping.execute(&mut *transaction).await.map_err(failure)?;
    crash_at(Point::BeforeFilter);
    transaction.commit().await.map_err(failure)?;
    crash_at(Point::AfterFilter);
    let bytes = filter.bytes();
    filters.add(place, of.bucket, filter);
    Ok(Some(Step::Filtered {
        bucket: of.bucket,
        identities,
        bytes,
    }))
}

/// Of each identity in a bucket.
async fn hashes(connection: &mut PgConnection, bucket: i32) -> sqlx::Result<Vec<u64>> {
    let copy = format!(
        "COPY (SELECT topic, event_id FROM processed_events WHERE bucket = {bucket}) TO STDOUT (FORMAT binary)"
    );
    let mut rows = connection.copy_out_raw(&copy).await?;
    let (mut copied, mut hashes) = (Copied::default(), Vec::new());
    while let Some(bytes) = rows.try_next().await? {
        copied.take(&bytes, |topic, id| hashes.push(hash(topic, id)))?;
    }
    copied.end()?;
    Ok(hashes)
}

/// `None`: it is not due any more, or somebody else does it.
async fn drop_oldest(
    connection: &mut PgConnection,
    retention: Duration,
) -> sqlx::Result<Option<Step>> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    let dropped: Option<(i32, i64)> = query_as(DROP)
        .bind(retention.as_secs_f64())
        .bind(DROPPED_WITHIN.as_secs_f64())
        .bind(DROP_ATTEMPTS)
        .fetch_optional(&mut *transaction)
        .await?;
    crash_at(Point::BeforeDropCommit);
    transaction.commit().await?;
    crash_at(Point::AfterDrop);
    Ok(dropped.map(|(bucket, events)| Step::Dropped { bucket, events }))
}

/// What would be dropped.
pub(in crate::postgres) async fn outdated(
    pool: &PgPool,
    retention: Duration,
) -> sqlx::Result<Vec<Outdated>> {
    let rows: Vec<(i32, DateTime<Utc>, i64, Option<i64>)> = query_as(OUTDATED)
        .bind(retention.as_secs_f64())
        .fetch_all(pool)
        .await?;
    let outdated = |(bucket, until, events, bytes)| Outdated {
        bucket: Some(bucket),
        until,
        events,
        bytes,
    };
    Ok(rows.into_iter().map(outdated).collect())
}
