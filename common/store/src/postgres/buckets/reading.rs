//! Reading bucket by bucket: all ids of a bucket are above those of the bucket before.

use sqlx::{PgConnection, query_as};

use crate::{Order, scan::Ids};

/// Those that may have ids between two others.
const BETWEEN: &str = "
    SELECT bucket, min_id, coalesce(max_id, 9223372036854775806) AS max_id
    FROM ledger_buckets
    WHERE dropped_at IS NULL AND min_id < $2 AND coalesce(max_id, 9223372036854775806) > $1
    ORDER BY bucket";

/// A bucket that is kept.
#[derive(Debug, Clone, Copy)]
pub(in crate::postgres) struct Bucket {
    pub(in crate::postgres) number: i32,
    min_id: i64,
    max_id: i64,
}

impl Bucket {
    /// The part of these ids that it may have.
    pub(in crate::postgres) fn part_of(&self, ids: Ids) -> Ids {
        Ids {
            above: ids.above.max(self.min_id - 1),
            below: ids.below.min(self.max_id + 1),
        }
    }
}

/// Those that may have any of these ids, in this order.
pub(in crate::postgres) async fn buckets(
    connection: &mut PgConnection,
    ids: Ids,
    order: Order,
) -> sqlx::Result<Vec<Bucket>> {
    let rows: Vec<(i32, i64, i64)> = query_as(BETWEEN)
        .bind(ids.above)
        .bind(ids.below)
        .fetch_all(connection)
        .await?;
    let bucket = |(number, min_id, max_id)| Bucket {
        number,
        min_id,
        max_id,
    };
    let mut buckets: Vec<Bucket> = rows.into_iter().map(bucket).collect();
    if order == Order::Newest {
        buckets.reverse();
    }
    Ok(buckets)
}
