//! Do the counters agree with the rows? All of it in one snapshot, beside the running system.

use sqlx::{PgConnection, PgPool, query, query_as};

use super::classify::failure;
use crate::{
    Audit, StoreError,
    audit::{TopicRow, TotalsRow},
};

/// One snapshot for all statements, however long they take
/// ([SET TRANSACTION](https://www.postgresql.org/docs/current/sql-set-transaction.html)).
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Counting takes as long as it takes.
const NO_TIMEOUT: &str = "SET LOCAL statement_timeout = 0";

const TOTALS: &str = "
    SELECT received, unique_processed, duplicate_dropped, dead_lettered,
        (SELECT count(*) FROM processed_events),
        (SELECT count(*) FROM dead_letters),
        (SELECT coalesce(sum(duplicate_dropped), 0)::bigint FROM topic_stats)
    FROM agg_stats WHERE id = 1";

const TOPICS: &str = "
    SELECT coalesce(s.topic, e.topic), coalesce(s.unique_processed, 0), coalesce(e.count, 0)
    FROM topic_stats AS s
    FULL JOIN (SELECT topic, count(*) FROM processed_events GROUP BY topic) AS e USING (topic)";

pub(super) async fn audit(pool: &PgPool) -> Result<Audit, StoreError> {
    let mut snapshot = pool.begin_with(BEGIN).await.map_err(failure)?;
    read(&mut snapshot).await.map_err(failure)
}

async fn read(snapshot: &mut PgConnection) -> sqlx::Result<Audit> {
    query(NO_TIMEOUT).execute(&mut *snapshot).await?;
    let totals: TotalsRow = query_as(TOTALS).fetch_one(&mut *snapshot).await?;
    let topics: Vec<TopicRow> = query_as(TOPICS).fetch_all(snapshot).await?;
    Ok(Audit::new(totals.into(), topics))
}
