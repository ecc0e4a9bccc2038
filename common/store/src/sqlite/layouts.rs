//! In how many shards queues have been: what another number of them holds is served for as long as it is noted here.

use sqlx::{SqlitePool, query, query_scalar};

const ENTER: &str =
    "INSERT INTO queue_layouts (queue, shards) VALUES (?, ?) ON CONFLICT DO NOTHING";
const FORMER: &str =
    "SELECT shards FROM queue_layouts WHERE queue = ? AND shards <> ? ORDER BY shards";

/// See [`Store::enter_layout`](crate::Store::enter_layout).
pub(super) async fn enter(pool: &SqlitePool, queue: &str, shards: u16) -> sqlx::Result<Vec<u16>> {
    let shards = i64::from(shards);
    query(ENTER).bind(queue).bind(shards).execute(pool).await?;
    let former = query_scalar(FORMER).bind(queue).bind(shards);
    let former: Vec<i64> = former.fetch_all(pool).await?;
    // The table takes no numbers that do not fit.
    let former = former.into_iter();
    Ok(former.filter_map(|shards| shards.try_into().ok()).collect())
}
