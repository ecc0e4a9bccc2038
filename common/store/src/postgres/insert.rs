//! Inserting events: all at once, or around those that the database refuses.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use event::Event;
use sqlx::{
    Arguments, Connection, PgConnection, postgres::PgArguments, query, query_as, query_as_with,
    query_with,
};
use uuid::Uuid;

use super::{classify::Failure, ground::Ground};
use crate::{ErrorClass, Outcome, Plan, Unsound};

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

/// Which of these are stored.
const STORED: &str = "
    SELECT topic, event_id FROM processed_events
    WHERE (topic, event_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))";

/// What a deferred constraint or trigger has against a row comes with its statement, not with the commit
/// ([SET CONSTRAINTS](https://www.postgresql.org/docs/current/sql-set-constraints.html)).
const CHECK_AT_ONCE: &str = "SET CONSTRAINTS ALL IMMEDIATE";

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
    ground: Ground,
) -> Result<Outcome<'a>, Failure> {
    let rows = plan.rows(known);
    if rows.is_empty() {
        return Ok(plan.outcome::<&str>(&[], Vec::new()));
    }
    if ground.has_triggers {
        let keys = past_triggers(transaction, &rows).await?;
        return Ok(plan.outcome(&keys, Vec::new()));
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
///
/// An event is refused only if the same statement without events goes through, and then only for an error that does not
/// pass by itself. An error about the tables may be one of a trigger's: it is the event's if others of the batch meet none.
pub(super) async fn around_refused<'a>(
    transaction: &mut PgConnection,
    plan: &Plan<'a>,
    ground: Ground,
) -> Result<Outcome<'a>, Failure> {
    query(CHECK_AT_ONCE).execute(&mut *transaction).await?;
    query_with(INSERT, bound(&[])?)
        .execute(&mut *transaction)
        .await?;
    let deliveries = plan.deliveries();
    let (mut inserted, mut refused) = (Keys::new(), Vec::new());
    let mut about_tables = None;
    let mut pieces = vec![&deliveries[..]];
    while let Some(piece) = pieces.pop() {
        if piece.is_empty() {
            continue;
        }
        let rows: Vec<&Event> = piece.iter().map(|&(_, event)| event).collect();
        let mut savepoint = transaction.begin().await?;
        let failure = match piecemeal(&mut savepoint, &rows, ground).await {
            Ok(keys) => {
                savepoint.commit().await?;
                inserted.extend(keys);
                continue;
            }
            Err(failure) if failure.class() == ErrorClass::Unavailable => return Err(failure),
            Err(failure) => failure,
        };
        savepoint.rollback().await?;
        if let [(at, _)] = piece {
            refused.push((*at, failure.reason()));
            if failure.class() == ErrorClass::Schema {
                about_tables = Some(failure);
            }
        } else {
            let (left, right) = piece.split_at(piece.len() / 2);
            pieces.extend([right, left]);
        }
    }
    match about_tables {
        Some(failure) if refused.len() == deliveries.len() => Err(failure),
        _ => Ok(plan.outcome(&inserted, refused)),
    }
}

async fn piecemeal(
    transaction: &mut PgConnection,
    rows: &[&Event],
    ground: Ground,
) -> Result<Keys, Failure> {
    if ground.has_triggers {
        past_triggers(transaction, rows).await
    } else {
        Ok(returning(transaction, rows).await?)
    }
}

async fn returning(transaction: &mut PgConnection, rows: &[&Event]) -> sqlx::Result<Keys> {
    query_as_with(INSERT_RETURNING, bound(rows)?)
        .fetch_all(transaction)
        .await
}

/// Inserts where a trigger may drop rows or change them, and believes only what is there afterwards.
async fn past_triggers(transaction: &mut PgConnection, rows: &[&Event]) -> Result<Keys, Failure> {
    let inserted = returning(transaction, rows).await?;
    let (topics, ids): (Vec<&str>, Vec<&str>) = rows.iter().map(|row| row.key()).unzip();
    let stored: Keys = query_as(STORED)
        .bind(topics)
        .bind(ids)
        .fetch_all(transaction)
        .await?;
    let stored: HashSet<_> = stored.iter().map(|(topic, id)| (&**topic, &**id)).collect();
    let meant: HashSet<_> = rows.iter().map(|row| row.key()).collect();
    let is_meant = |(topic, id): &(String, String)| meant.contains(&(&**topic, &**id));
    if stored == meant && inserted.iter().all(is_meant) {
        Ok(inserted)
    } else {
        Err(Unsound::Events.into())
    }
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
