//! Do the counters agree with the rows? All of it in one snapshot, beside the running system.

use sqlx::{PgConnection, PgPool, query, query_as};

use super::classify::failure;
use crate::{
    Audit, StoreError,
    audit::{BucketRow, TopicRow, TotalsRow},
};

/// One snapshot for all statements, however long they take
/// ([SET TRANSACTION](https://www.postgresql.org/docs/current/sql-set-transaction.html)). The lock comes before it, so that no
/// bucket is dropped in between: its rows would be gone, and the snapshot would not have what they were counted as
/// ([LOCK](https://www.postgresql.org/docs/current/sql-lock.html)).
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE processed_events IN ACCESS SHARE MODE";

/// Counting takes as long as it takes.
const NO_TIMEOUT: &str = "SET LOCAL statement_timeout = 0";

const TOTALS: &str = "
    SELECT received, unique_processed, duplicate_dropped, dead_lettered,
        (SELECT count(*) FROM processed_events),
        (SELECT coalesce(sum(events), 0)::bigint FROM retired_events),
        (SELECT count(*) FROM dead_letters),
        (SELECT coalesce(sum(duplicate_dropped), 0)::bigint FROM topic_stats)
    FROM agg_stats_total";

const TOPICS: &str = "
    SELECT coalesce(s.topic, e.topic), coalesce(s.unique_processed, 0), coalesce(e.events, 0)
    FROM topic_stats_total AS s
    FULL JOIN (
        SELECT topic, sum(events)::bigint AS events
        FROM (
            SELECT topic, count(*) AS events FROM processed_events GROUP BY topic
            UNION ALL
            SELECT topic, events FROM retired_events
        ) AS kept_and_retired
        GROUP BY topic
    ) AS e USING (topic)";

/// Of each closed bucket: how many events it should have, and how many there are or were. It is read last, because whoever closes
/// a bucket waits for this lock.
const BUCKETS: &str = "
    SELECT bucket, ledger_buckets.events, coalesce(kept.events, 0) + coalesce(retired.events, 0)
    FROM ledger_buckets
    LEFT JOIN (SELECT bucket, count(*) AS events FROM processed_events GROUP BY bucket) AS kept USING (bucket)
    LEFT JOIN (SELECT bucket, sum(events)::bigint AS events FROM retired_events GROUP BY bucket) AS retired USING (bucket)
    WHERE closed_at IS NOT NULL
    ORDER BY bucket";

pub(super) async fn audit(pool: &PgPool) -> Result<Audit, StoreError> {
    let mut snapshot = pool.begin_with(BEGIN).await.map_err(failure)?;
    read(&mut snapshot).await.map_err(failure)
}

async fn read(snapshot: &mut PgConnection) -> sqlx::Result<Audit> {
    query(NO_TIMEOUT).execute(&mut *snapshot).await?;
    let totals: TotalsRow = query_as(TOTALS).fetch_one(&mut *snapshot).await?;
    let topics: Vec<TopicRow> = query_as(TOPICS).fetch_all(&mut *snapshot).await?;
    let buckets: Vec<BucketRow> = query_as(BUCKETS).fetch_all(snapshot).await?;
    Ok(Audit::new(totals.into(), topics, buckets))
}
