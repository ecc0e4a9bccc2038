//! What a closed bucket has need not be inserted.

use event::Event;
use sqlx::{AssertSqlSafe, PgConnection, query_scalar};

use super::filters::{Filters, Suspects};
use crate::postgres::ground::Ground;

/// Which of these a bucket has, by position from 1. Each is looked up in the index, however many they are. A bucket that was
/// dropped meanwhile has none. The number of the bucket is written out, because only then it is the only one that the planner
/// looks at.
fn look_in(bucket: i32) -> String {
    format!(
        "
    SELECT position
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (topic, event_id, position)
    CROSS JOIN LATERAL (
        SELECT FROM processed_events AS stored
        WHERE bucket = {bucket} AND stored.topic = asked.topic AND stored.event_id = asked.event_id
        LIMIT 1
    ) AS found"
    )
}

/// Notes which of the events that are not known yet are in a closed bucket.
pub(in crate::postgres) async fn look_up(
    transaction: &mut PgConnection,
    filters: &Filters,
    ground: &Ground,
    events: &[Event],
    known: &mut [bool],
) -> sqlx::Result<()> {
    for Suspects {
        bucket,
        events: mut suspects,
    } in filters.suspects(ground, events, known)
    {
        suspects.retain(|&at| !known[at]);
        if suspects.is_empty() {
            continue;
        }
        let keys = suspects.iter().map(|&at| events[at].key());
        let (topics, ids): (Vec<&str>, Vec<&str>) = keys.unzip();
        let found: Vec<i64> = query_scalar(AssertSqlSafe(look_in(bucket)))
            .bind(topics)
            .bind(ids)
            .fetch_all(&mut *transaction)
            .await?;
        filters.asked(suspects.len(), found.len());
        let found = found.into_iter().filter_map(|position| {
            let at = usize::try_from(position).ok()?.checked_sub(1)?;
            suspects.get(at)
        });
        for &at in found {
            known[at] = true;
        }
    }
    Ok(())
}
