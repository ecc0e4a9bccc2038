//! Inserting events: all at once, or around those that the database refuses.

use chrono::{DateTime, Utc};
use common::{
    event::Event,
    store::{Outcome, Plan},
};
use sqlx::{Connection, PgConnection, query_as};
use uuid::Uuid;

use super::classify;

/// See [INSERT … ON CONFLICT](https://www.postgresql.org/docs/current/sql-insert.html#SQL-ON-CONFLICT).
const INSERT: &str = "
    INSERT INTO processed_events
        (topic, event_id, source, payload, event_timestamp, received_at, receipt_id)
    SELECT topic, event_id, source, payload::jsonb, event_timestamp, received_at, receipt_id
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[],
                $6::timestamptz[], $7::uuid[])
        AS batch (topic, event_id, source, payload, event_timestamp, received_at, receipt_id)
    ON CONFLICT (topic, event_id) DO NOTHING
    RETURNING topic, event_id";

type Keys = Vec<(String, String)>;

/// One statement for all but those that are known to be stored. An error is one for all, too.
pub(super) async fn all<'a>(
    transaction: &mut PgConnection,
    plan: &Plan<'a>,
    known: &[bool],
) -> sqlx::Result<Outcome<'a>> {
    let inserted = insert(transaction, &plan.rows(known)).await?;
    Ok(plan.outcome(&inserted, Vec::new()))
}

/// Halves what is refused until what is refused stands alone, each piece under a savepoint. For `n`
/// events, one of them bad, that takes about `2 log2 n` statements.
pub(super) async fn around_refused<'a>(
    transaction: &mut PgConnection,
    plan: &Plan<'a>,
) -> sqlx::Result<Outcome<'a>> {
    let deliveries = plan.deliveries();
    let (mut inserted, mut refused) = (Keys::new(), Vec::new());
    let mut pieces = vec![&deliveries[..]];
    while let Some(piece) = pieces.pop() {
        if piece.is_empty() {
            continue;
        }
        let rows: Vec<&Event> = piece.iter().map(|&(_, event)| event).collect();
        let mut savepoint = transaction.begin().await?;
        match insert(&mut savepoint, &rows).await {
            Ok(keys) => {
                savepoint.commit().await?;
                inserted.extend(keys);
            }
            Err(error) if classify::is_refusal(&error) => {
                savepoint.rollback().await?;
                if let [(at, _)] = piece {
                    refused.push((*at, classify::reason(&error)));
                } else {
                    let (left, right) = piece.split_at(piece.len() / 2);
                    pieces.extend([right, left]);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(plan.outcome(&inserted, refused))
}

async fn insert(transaction: &mut PgConnection, rows: &[&Event]) -> sqlx::Result<Keys> {
    if rows.is_empty() {
        return Ok(Keys::new());
    }
    let topics: Vec<&str> = rows.iter().map(|row| row.topic.as_str()).collect();
    let ids: Vec<&str> = rows.iter().map(|row| row.event_id.as_str()).collect();
    let sources: Vec<&str> = rows.iter().map(|row| row.source.as_str()).collect();
    let payloads: Vec<&str> = rows.iter().map(|row| row.payload.as_str()).collect();
    let timestamps: Vec<DateTime<Utc>> =
        rows.iter().map(|row| row.timestamp.as_datetime()).collect();
    let received: Vec<DateTime<Utc>> = rows
        .iter()
        .map(|row| row.receipt_id.received_at())
        .collect();
    let receipts: Vec<Uuid> = rows.iter().map(|row| row.receipt_id.0).collect();
    query_as(INSERT)
        .bind(topics)
        .bind(ids)
        .bind(sources)
        .bind(payloads)
        .bind(timestamps)
        .bind(received)
        .bind(receipts)
        .fetch_all(transaction)
        .await
}
