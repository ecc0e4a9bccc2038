//! Inserting events: all at once, or around those that the database refuses.

use event::Event;
use sqlx::{Connection, QueryBuilder, Sqlite, SqliteConnection, query, query_as, query_scalar};

use super::classify::Failure;
use crate::{ErrorClass, Outcome, Plan, Unsound};

/// Rows in one INSERT. A few fixed sizes keep the prepared statements few; the largest stays below
/// SQLite's [32766 variables](https://www.sqlite.org/limits.html#max_variable_number).
const CHUNKS: [usize; 6] = [1000, 256, 64, 16, 4, 1];

const INSERT: &str = "
    INSERT INTO processed_events
        (topic, event_id, source, payload, event_timestamp, received_at, processed_at, receipt_id) ";

/// See [UPSERT](https://www.sqlite.org/lang_upsert.html).
const UNLESS_THERE: &str = " ON CONFLICT (topic, event_id) DO NOTHING";

/// Ids only grow: rows are never removed, and nobody else writes meanwhile
/// ([ROWIDs](https://www.sqlite.org/autoinc.html)).
const GROUND: &str = "
    SELECT coalesce(max(id), 0) AS last_id,
           EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'processed_events')
               AS has_triggers
    FROM processed_events";
const SINCE: &str = "SELECT topic, event_id FROM processed_events WHERE id > ?";
const IS_STORED: &str =
    "SELECT EXISTS (SELECT 1 FROM processed_events WHERE topic = ? AND event_id = ?)";

/// It runs no trigger, but does not compile either if one of them cannot.
const INSERT_NOTHING: &str = "
    INSERT INTO processed_events SELECT * FROM processed_events WHERE FALSE";

/// On what a transaction works.
#[derive(Clone, Copy)]
struct Ground {
    /// Of the rows that were there before.
    last_id: i64,
    /// Of `processed_events`: they may have a say in what is stored.
    has_triggers: bool,
}

/// An error is one for all.
pub(super) async fn all<'a>(
    transaction: &mut SqliteConnection,
    plan: &Plan<'a>,
    now: i64,
) -> Result<Outcome<'a>, Failure> {
    let (rows, ground) = (plan.rows(&[]), ground(transaction).await?);
    let inserted = insert(transaction, &rows, now).await?;
    if ground.has_triggers {
        check_past_triggers(transaction, &rows).await?;
    } else if inserted == rows.len() as u64 {
        let keys: Vec<(&str, &str)> = rows.iter().map(|row| row.key()).collect();
        return Ok(plan.outcome(&keys, Vec::new()));
    }
    let keys = inserted_since(transaction, ground.last_id).await?;
    Ok(plan.outcome(&keys, Vec::new()))
}

/// Halves what is refused until what is refused stands alone, each piece under a savepoint.
///
/// An event is refused only if the same statement without events goes through, and then only for an error that does not
/// pass by itself. An error about the tables may be one of a trigger's: it is the event's if others of the batch meet none.
pub(super) async fn around_refused<'a>(
    transaction: &mut SqliteConnection,
    plan: &Plan<'a>,
    now: i64,
) -> Result<Outcome<'a>, Failure> {
    query(INSERT_NOTHING).execute(&mut *transaction).await?;
    let deliveries = plan.deliveries();
    let ground = ground(transaction).await?;
    let (mut refused, mut about_tables) = (Vec::new(), None);
    let mut pieces = vec![&deliveries[..]];
    while let Some(piece) = pieces.pop() {
        if piece.is_empty() {
            continue;
        }
        let rows: Vec<&Event> = piece.iter().map(|&(_, event)| event).collect();
        let mut savepoint = transaction.begin().await?;
        let failure = match piecemeal(&mut savepoint, &rows, ground, now).await {
            Ok(()) => {
                savepoint.commit().await?;
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
    if let Some(failure) = about_tables
        && refused.len() == deliveries.len()
    {
        return Err(failure);
    }
    let keys = inserted_since(transaction, ground.last_id).await?;
    Ok(plan.outcome(&keys, refused))
}

async fn piecemeal(
    transaction: &mut SqliteConnection,
    rows: &[&Event],
    ground: Ground,
    now: i64,
) -> Result<(), Failure> {
    insert(transaction, rows, now).await?;
    if ground.has_triggers {
        check_past_triggers(transaction, rows).await?;
    }
    Ok(())
}

/// A trigger may drop rows without an error.
async fn check_past_triggers(
    transaction: &mut SqliteConnection,
    rows: &[&Event],
) -> Result<(), Failure> {
    for row in rows {
        let stored = query_scalar(IS_STORED)
            .bind(row.topic.as_str())
            .bind(row.event_id.as_str());
        if !stored.fetch_one(&mut *transaction).await? {
            return Err(Unsound::Events.into());
        }
    }
    Ok(())
}

async fn ground(transaction: &mut SqliteConnection) -> sqlx::Result<Ground> {
    let (last_id, has_triggers) = query_as(GROUND).fetch_one(transaction).await?;
    Ok(Ground {
        last_id,
        has_triggers,
    })
}

/// Which rows this transaction has inserted. Asked for only if not all were: each row takes a way from thread to thread.
async fn inserted_since(
    transaction: &mut SqliteConnection,
    last_id: i64,
) -> sqlx::Result<Vec<(String, String)>> {
    query_as(SINCE).bind(last_id).fetch_all(transaction).await
}

/// How many of the rows were not there before.
async fn insert(
    transaction: &mut SqliteConnection,
    rows: &[&Event],
    now: i64,
) -> sqlx::Result<u64> {
    let mut inserted = 0;
    for chunk in chunks(rows) {
        let mut insert = QueryBuilder::<Sqlite>::new(INSERT);
        insert.push_values(chunk, |mut row, event| {
            row.push_bind(event.topic.as_str())
                .push_bind(event.event_id.as_str())
                .push_bind(event.source.as_str())
                .push_bind(event.payload.as_str())
                .push_bind(event.timestamp.as_datetime().timestamp_micros())
                .push_bind(event.receipt_id.received_at().timestamp_micros())
                .push_bind(now)
                .push_bind(event.receipt_id.0);
        });
        insert.push(UNLESS_THERE);
        let done = insert.build().execute(&mut *transaction).await?;
        inserted += done.rows_affected();
    }
    Ok(inserted)
}

/// Cuts rows into pieces of [`CHUNKS`], largest first.
pub(super) fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = CHUNKS.into_iter().find(|&size| size <= rows.len())?;
        let (chunk, rest) = rows.split_at(size);
        rows = rest;
        Some(chunk)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_into_pieces_of_few_sizes_without_losing_any() {
        for count in [0, 1, 3, 5, 255, 256, 1000, 1023, 9999] {
            let rows: Vec<usize> = (0..count).collect();
            let pieces: Vec<&[usize]> = chunks(&rows).collect();
            assert_eq!(pieces.concat(), rows);
            assert!(pieces.iter().all(|piece| CHUNKS.contains(&piece.len())));
        }
    }
}
