//! Replaying dead letters: one transaction that stores the events in them as [`record`] stores those of a claim.

use std::ops::Range;

use event::{Event, Malformed, element};

use crate::{
    Cursor, Limit, Replayed,
    failure::Failure,
    plan::{Letter, Outcome, Plan},
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
    let known = transaction.known(&letters.events).await?;
    let plan = Plan::new(&letters.events, &known);
    let outcome = record::around_refused(&mut transaction, &plan).await?;
    let closed = letters.close(&plan, &outcome);
    transaction.remove_letters(&closed.removed).await?;
    record::put_aside(&mut transaction, &closed.added).await?;
    // What is stored now was counted as dead: it moves, and `received` stays, unless a letter held several events.
    let moved = record::signed(closed.added.len()) - record::signed(closed.removed.len());
    record::count(&mut transaction, &outcome, moved).await?;
    if dry_run {
        transaction.roll_back().await?;
    } else {
        let refused = outcome.positions_of_refused();
        let committed = transaction.commit(&refused).await;
        committed.map_err(Failure::Commit)?;
    }
    Ok(closed.replayed)
}

/// Dead letters that are being replayed in one transaction.
struct Letters {
    opened: Vec<Opened>,
    /// The events in them, one letter after the other.
    events: Vec<Event>,
    /// Where to go on.
    next: Option<Cursor>,
}

/// A dead letter that is being replayed.
struct Opened {
    id: i64,
    /// Which of the events are its.
    events: Range<usize>,
    malformed: Vec<Malformed>,
}

/// What replaying comes to.
#[derive(Default)]
struct Closed {
    replayed: Replayed,
    /// Letters that are no more.
    removed: Vec<i64>,
    /// Letters that are new.
    added: Vec<Letter>,
}

impl Letters {
    /// Reads the letters (id and bytes, by id) that were selected.
    ///
    /// They are the first ones of the selection: as many as [`Limit::MAX`] and [`FULL_REPLAY_BYTES`] allow, and one at
    /// least. What is compressed counts as it is without.
    fn open(letters: Vec<(i64, Vec<u8>)>) -> Self {
        let mut read = Self {
            opened: Vec::with_capacity(letters.len()),
            events: Vec::with_capacity(letters.len()),
            next: None,
        };
        let count = letters.len();
        let mut bytes = 0;
        for (id, raw) in letters {
            let compressed = raw.len();
            let letter = element::open(raw);
            let plain: usize = letter.events.iter().map(Event::text_len).sum();
            bytes += plain.max(compressed);
            let first = read.events.len();
            read.events.extend(letter.events);
            read.opened.push(Opened {
                id,
                events: first..read.events.len(),
                malformed: letter.malformed,
            });
            if bytes >= FULL_REPLAY_BYTES || read.opened.len() == usize::from(Limit::MAX) {
                read.next = Some(Cursor { id });
                break;
            }
        }
        debug_assert!(read.opened.len() == count || read.next.is_some());
        read
    }

    /// What came of it. A letter that held one event which is still refused, or that cannot be read, stays. One that held
    /// several is taken apart: each of them that is still refused is a letter of its own.
    fn close(&self, plan: &Plan<'_>, outcome: &Outcome<'_>) -> Closed {
        let mut closed = Closed {
            replayed: Replayed {
                accepted: outcome.unique(),
                duplicates: outcome.duplicate(),
                next: self.next,
                ..Replayed::default()
            },
            ..Closed::default()
        };
        let mut refused = plan
            .letters(outcome)
            .into_iter()
            .zip(&outcome.refused)
            .peekable();
        for letter in &self.opened {
            let mut left: Vec<Letter> = letter.malformed.iter().map(Letter::from).collect();
            while let Some((put_aside, _)) =
                refused.next_if(|(_, (at, _))| letter.events.contains(at))
            {
                left.push(put_aside);
            }
            let reasons = left.iter().map(|left| (letter.id, left.reason.clone()));
            closed.replayed.refused.extend(reasons);
            let held = letter.events.len() + letter.malformed.len();
            if left.len() < held || held > 1 {
                closed.removed.push(letter.id);
                closed.added.append(&mut left);
            }
        }
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_goes_on_after_a_page_that_is_full_of_letters_or_of_bytes() {
        let next = |count: i64, bytes: usize| {
            let letters = (1..=count).map(|id| (id, vec![b'x'; bytes])).collect();
            Letters::open(letters).next.map(|next| next.id)
        };
        assert_eq!(next(0, 1), None);
        assert_eq!(next(2, 1), None);
        assert_eq!(next(Limit::MAX.into(), 1), Some(Limit::MAX.into()));
        assert_eq!(next(2, FULL_REPLAY_BYTES / 2), Some(2));
        assert_eq!(next(1, FULL_REPLAY_BYTES), Some(1));
    }
}
