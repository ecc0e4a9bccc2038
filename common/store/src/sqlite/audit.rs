//! Do the counters agree with the rows? All of it in one snapshot, beside the running system.

use sqlx::{SqliteConnection, SqlitePool, query_as};

use super::classify::failure;
use crate::{
    Audit, StoreError,
    audit::{TopicRow, TotalsRow},
};

const TOTALS: &str = "
    SELECT received, unique_processed, duplicate_dropped, dead_lettered,
        (SELECT count(*) FROM processed_events),
        (SELECT coalesce(sum(events), 0) FROM retired_events),
        (SELECT count(*) FROM dead_letters),
        (SELECT coalesce(sum(duplicate_dropped), 0) FROM topic_stats)
    FROM agg_stats WHERE id = 1";

const TOPICS: &str = "
    SELECT coalesce(s.topic, e.topic), coalesce(s.unique_processed, 0), coalesce(e.rows, 0)
    FROM topic_stats AS s
    FULL JOIN (
        SELECT topic, sum(events) AS rows
        FROM (
            SELECT topic, count(*) AS events FROM processed_events GROUP BY topic
            UNION ALL
            SELECT topic, events FROM retired_events
        )
        GROUP BY topic
    ) AS e ON s.topic = e.topic";

/// In a write-ahead log a transaction that only reads sees one snapshot
/// ([isolation](https://www.sqlite.org/isolation.html)).
pub(super) async fn audit(pool: &SqlitePool) -> Result<Audit, StoreError> {
    let mut snapshot = pool.begin().await.map_err(failure)?;
    read(&mut snapshot).await.map_err(failure)
}

async fn read(snapshot: &mut SqliteConnection) -> sqlx::Result<Audit> {
    let totals: TotalsRow = query_as(TOTALS).fetch_one(&mut *snapshot).await?;
    let topics: Vec<TopicRow> = query_as(TOPICS).fetch_all(snapshot).await?;
    Ok(Audit::new(totals.into(), topics, Vec::new()))
}
