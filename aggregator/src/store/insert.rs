//! Inserting events: all at once, or around those that the database refuses.

use chrono::{DateTime, Utc};
use common::{
    event::Event,
    store::{Outcome, Plan},
};
use sqlx::{
    Arguments, Connection, PgConnection, postgres::PgArguments, query_as, query_as_with, query_with,
};
use uuid::Uuid;

use super::classify;

/// See [INSERT … ON CONFLICT](https://www.postgresql.org/docs/current/sql-insert.html#SQL-ON-CONFLICT).
macro_rules! insert {
    ($returning:literal) => {
        concat!(
            "
    INSERT INTO processed_events
        (topic, event_id, source, payload, event_timestamp, received_at, receipt_id)
    SELECT topic, event_id, source, payload::jsonb, event_timestamp, received_at, receipt_id
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[],
                $6::timestamptz[], $7::uuid[])
        AS batch (topic, event_id, source, payload, event_timestamp, received_at, receipt_id)
    ON CONFLICT (topic, event_id) DO NOTHING",
            $returning
        )
    };
}

const INSERT: &str = insert!("");
const INSERT_RETURNING: &str = insert!(" RETURNING topic, event_id");

/// What this transaction has inserted, outside of savepoints: of the rows since it began, those that it has made
/// ([xmin](https://www.postgresql.org/docs/current/ddl-system-columns.html)). Without the upper bound, the last id that it
/// has drawn, the planner would expect a third of the table.
const INSERTED: &str = "
    SELECT topic, event_id FROM processed_events
    WHERE id > $1 AND id <= (SELECT currval('processed_events_id_seq'))
      AND xmin = pg_current_xact_id()::xid";

type Keys = Vec<(String, String)>;

/// One statement for all but those that are known to be stored. An error is one for all, too.
///
/// Which ones were inserted is asked only if not all were: to be told each time would cost more. None of them has an id
/// up to `since`.
pub(super) async fn all<'a>(
    transaction: &mut PgConnection,
    plan: &Plan<'a>,
    known: &[bool],
    since: i64,
) -> sqlx::Result<Outcome<'a>> {
    let rows = plan.rows(known);
    if rows.is_empty() {
        return Ok(plan.outcome::<&str>(&[], Vec::new()));
    }
    let done = query_with(INSERT, bound(&rows)?)
        .execute(&mut *transaction)
        .await?;
    if done.rows_affected() == rows.len() as u64 {
        let keys: Vec<(&str, &str)> = rows.iter().map(|row| row.key()).collect();
        return Ok(plan.outcome(&keys, Vec::new()));
    }
    let keys: Keys = query_as(INSERTED)
        .bind(since)
        .fetch_all(transaction)
        .await?;
    Ok(plan.outcome(&keys, Vec::new()))
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
        let inserting = query_as_with(INSERT_RETURNING, bound(&rows)?).fetch_all(&mut *savepoint);
        match inserting.await {
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

/// One array a column.
fn bound(rows: &[&Event]) -> sqlx::Result<PgArguments> {
    let mut arguments = PgArguments::default();
    let mut add = || {
        let texts = |of: fn(&Event) -> &str| rows.iter().map(|row| of(row)).collect::<Vec<_>>();
        arguments.add(texts(|row| row.topic.as_str()))?;
        arguments.add(texts(|row| row.event_id.as_str()))?;
        arguments.add(texts(|row| row.source.as_str()))?;
        arguments.add(texts(|row| row.payload.as_str()))?;
        let times =
            |of: fn(&Event) -> DateTime<Utc>| rows.iter().map(|row| of(row)).collect::<Vec<_>>();
        arguments.add(times(|row| row.timestamp.as_datetime()))?;
        arguments.add(times(|row| row.receipt_id.received_at()))?;
        arguments.add(
            rows.iter()
                .map(|row| row.receipt_id.0)
                .collect::<Vec<Uuid>>(),
        )
    };
    add().map_err(sqlx::Error::Encode)?;
    Ok(arguments)
}
