//! Dead letters: reading them, storing them after all, throwing them away.

use std::collections::HashMap;

use chrono::DateTime;
use common::{
    envelope,
    event::{Event, EventTime},
    queue::Verdict,
    store::{Cursor, DeadLetter, Limit, Page, Plan, Replayed, Selection, StoreError},
};
use sqlx::{SqliteConnection, SqlitePool, query, query_as};
use uuid::Uuid;

use super::{
    classify::{commit_failure, failure},
    insert,
    record::{self, BEGIN},
};

const PAGE: &str = "
    SELECT id, raw, reason, receipt_id, failed_at FROM dead_letters
    WHERE discarded_at IS NULL AND id > ?
    ORDER BY id LIMIT ?";

const AFTER: &str = "
    SELECT id, raw FROM dead_letters
    WHERE discarded_at IS NULL AND id > ? ORDER BY id LIMIT ?";

const ONE: &str = "SELECT id, raw FROM dead_letters WHERE discarded_at IS NULL AND id = ?";

const REMOVE: &str = "DELETE FROM dead_letters WHERE id = ?";

const DISCARD: &str = "
    UPDATE dead_letters SET raw = x'', discarded_at = ?2
    WHERE id = ?1 AND discarded_at IS NULL";

type Row = (i64, Vec<u8>, String, Option<Uuid>, i64);

pub(super) async fn page(
    pool: &SqlitePool,
    after: Option<Cursor>,
    limit: Limit,
) -> Result<Page<DeadLetter>, StoreError> {
    let rows: Vec<Row> = query_as(PAGE)
        .bind(after.map_or(0, |cursor| cursor.id))
        // One more than asked for tells whether there is a next page.
        .bind(i64::from(limit.get()) + 1)
        .fetch_all(pool)
        .await
        .map_err(failure)?;
    let letter = |(id, raw, reason, receipt_id, failed_at)| DeadLetter {
        id,
        raw,
        reason,
        receipt_id,
        failed_at: EventTime::from(DateTime::from_timestamp_micros(failed_at).unwrap_or_default()),
    };
    Ok(Page::from_rows(
        rows.into_iter().map(letter).collect(),
        limit,
    ))
}

pub(super) async fn replay(
    pool: &SqlitePool,
    which: &Selection,
    dry_run: bool,
    now: i64,
) -> Result<Replayed, StoreError> {
    let mut transaction = pool.begin_with(BEGIN).await.map_err(failure)?;
    let replayed = apply(&mut transaction, which, now).await.map_err(failure)?;
    if dry_run {
        transaction.rollback().await.map_err(failure)?;
    } else {
        transaction.commit().await.map_err(commit_failure)?;
    }
    Ok(replayed)
}

pub(super) async fn discard(pool: &SqlitePool, id: i64, now: i64) -> Result<bool, StoreError> {
    let discarded = query(DISCARD).bind(id).bind(now).execute(pool).await;
    Ok(discarded.map_err(failure)?.rows_affected() == 1)
}

async fn apply(
    transaction: &mut SqliteConnection,
    which: &Selection,
    now: i64,
) -> sqlx::Result<Replayed> {
    let letters = take(transaction, which).await?;
    let mut replayed = Replayed::default();
    if matches!(which, Selection::After(_)) && letters.len() == usize::from(Limit::MAX) {
        replayed.next = letters.last().map(|&(id, _)| Cursor { id });
    }
    let (mut ids, mut events): (Vec<i64>, Vec<Event>) = (Vec::new(), Vec::new());
    for (id, raw) in letters {
        match envelope::decode(&raw) {
            Ok(event) => {
                ids.push(id);
                events.push(event);
            }
            Err(malformed) => replayed.refused.push((id, malformed.reason)),
        }
    }
    let plan = Plan::new(&events);
    let outcome = insert::around_refused(transaction, &plan, now).await?;
    let reasons: HashMap<_, _> = outcome
        .letters
        .iter()
        .map(|letter| (letter.receipt_id, letter.reason.clone()))
        .collect();
    for ((id, event), verdict) in ids.into_iter().zip(&events).zip(&outcome.verdicts) {
        if *verdict == Verdict::DeadLettered {
            let reason = reasons.get(&Some(event.receipt_id.0)).cloned();
            replayed.refused.push((id, reason.unwrap_or_default()));
        } else {
            query(REMOVE).bind(id).execute(&mut *transaction).await?;
        }
    }
    replayed.refused.sort_unstable();
    (replayed.accepted, replayed.duplicates) = (outcome.unique(), outcome.duplicate());
    record::count_topics(transaction, &outcome.topics, now).await?;
    // What is stored now was counted as dead: it moves, and `received` stays.
    let moved = -(outcome.unique() + outcome.duplicate());
    record::count(transaction, &outcome, moved).await?;
    Ok(replayed)
}

async fn take(
    transaction: &mut SqliteConnection,
    which: &Selection,
) -> sqlx::Result<Vec<(i64, Vec<u8>)>> {
    match which {
        Selection::After(cursor) => {
            query_as(AFTER)
                .bind(cursor.map_or(0, |cursor| cursor.id))
                .bind(i64::from(Limit::MAX))
                .fetch_all(transaction)
                .await
        }
        Selection::Ids(ids) => {
            let mut letters = Vec::new();
            for id in ids.iter().take(Limit::MAX.into()) {
                let letter = query_as(ONE).bind(id).fetch_optional(&mut *transaction);
                letters.extend(letter.await?);
            }
            letters.sort_unstable();
            letters.dedup();
            Ok(letters)
        }
    }
}
