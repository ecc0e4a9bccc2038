//! Replaying dead letters: one transaction that stores the events in them as [`record`] stores those of a claim.

use event::{Event, Verdict, envelope};

use crate::{
    Cursor, Limit, Replayed,
    failure::Failure,
    plan::{Outcome, Plan},
    query::FULL_PAGE_BYTES,
    record::{self, Transaction},
};

/// A replay takes no more letters into one transaction once they hold so many bytes, because it has them in memory.
pub(crate) const FULL_REPLAY_BYTES: usize = FULL_PAGE_BYTES;

/// Replays the first dead letters of a selection in this transaction, which has just begun. A dry run takes everything back.
pub(crate) async fn replay<T: Transaction>(
    mut transaction: T,
    ids: Option<&[i64]>,
    after: Option<Cursor>,
    dry_run: bool,
) -> Result<Replayed, Failure> {
    let letters = Letters::open(transaction.take_letters(ids, after).await?);
    transaction.prepare().await?;
    let plan = Plan::new(&letters.events);
    let outcome = record::around_refused(&mut transaction, &plan).await?;
    let (replayed, stored) = letters.close(&outcome);
    transaction.remove_letters(&stored).await?;
    record::count_topics(&mut transaction, &outcome).await?;
    // What is stored now was counted as dead: it moves, and `received` stays.
    let moved = -(outcome.unique() + outcome.duplicate());
    record::count(&mut transaction, &outcome, moved).await?;
    if dry_run {
        transaction.roll_back().await?;
    } else {
        transaction.commit(&[]).await.map_err(Failure::Commit)?;
    }
    Ok(replayed)
}

/// Dead letters that are being replayed in one transaction.
struct Letters {
    /// Of the letters in which `events` were found.
    ids: Vec<i64>,
    events: Vec<Event>,
    replayed: Replayed,
}

impl Letters {
    /// Reads the letters (id and bytes, by id) that were selected. Those without an event in them
    /// stay dead letters.
    ///
    /// The letters are the first ones of the selection: as many as [`Limit::MAX`] and [`FULL_REPLAY_BYTES`] allow, and one
    /// at least.
    fn open(letters: Vec<(i64, Vec<u8>)>) -> Self {
        let mut opened = Self {
            ids: Vec::with_capacity(letters.len()),
            events: Vec::with_capacity(letters.len()),
            replayed: Replayed::default(),
        };
        let bytes: usize = letters.iter().map(|(_, raw)| raw.len()).sum();
        if letters.len() == usize::from(Limit::MAX) || bytes >= FULL_REPLAY_BYTES {
            opened.replayed.next = letters.last().map(|&(id, _)| Cursor { id });
        }
        for (id, raw) in letters {
            match envelope::decode(&raw) {
                Ok(event) => {
                    opened.ids.push(id);
                    opened.events.push(event);
                }
                Err(malformed) => opened.replayed.refused.push((id, malformed.reason)),
            }
        }
        opened
    }

    /// What came of it, and which letters are stored now.
    fn close(&self, outcome: &Outcome<'_>) -> (Replayed, Vec<i64>) {
        let mut replayed = self.replayed.clone();
        let refused = outcome.refused.iter();
        let refused = refused.map(|(at, reason)| (self.ids[*at], reason.clone()));
        replayed.refused.extend(refused);
        replayed.refused.sort_unstable();
        (replayed.accepted, replayed.duplicates) = (outcome.unique(), outcome.duplicate());
        let judged = self.ids.iter().zip(&outcome.verdicts);
        let stored = judged.filter(|(_, verdict)| **verdict != Verdict::DeadLettered);
        (replayed, stored.map(|(id, _)| *id).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_goes_on_after_a_page_that_is_full_of_openedor_of_bytes() {
        let next = |count: i64, bytes: usize| {
            let letters = (1..=count).map(|id| (id, vec![b'x'; bytes])).collect();
            Letters::open(letters).replayed.next.map(|next| next.id)
        };
        assert_eq!(next(0, 1), None);
        assert_eq!(next(2, 1), None);
        assert_eq!(next(Limit::MAX.into(), 1), Some(Limit::MAX.into()));
        assert_eq!(next(2, FULL_REPLAY_BYTES / 2), Some(2));
        assert_eq!(next(1, FULL_REPLAY_BYTES), Some(1));
    }
}
