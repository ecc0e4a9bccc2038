//! What a replay of dead letters does, but for the SQL.

use event::{Event, Verdict, envelope};

use super::{Cursor, Limit, Outcome, Replayed, query::FULL_PAGE_BYTES};

/// A replay takes no more letters into one transaction once they hold so many bytes, because it has them in memory.
pub const FULL_REPLAY_BYTES: usize = FULL_PAGE_BYTES;

/// Dead letters that are being replayed in one transaction.
#[derive(Debug)]
pub struct Replay {
    /// Of the letters in which `events` were found.
    ids: Vec<i64>,
    events: Vec<Event>,
    replayed: Replayed,
}

impl Replay {
    /// Reads the letters (id and bytes, by id) that were selected. Those without an event in them
    /// stay dead letters.
    ///
    /// The letters are the first ones of the selection: as many as [`Limit::MAX`] and [`FULL_REPLAY_BYTES`] allow, and one
    /// at least.
    #[must_use]
    pub fn open(letters: Vec<(i64, Vec<u8>)>) -> Self {
        let mut replay = Self {
            ids: Vec::with_capacity(letters.len()),
            events: Vec::with_capacity(letters.len()),
            replayed: Replayed::default(),
        };
        let bytes: usize = letters.iter().map(|(_, raw)| raw.len()).sum();
        if letters.len() == usize::from(Limit::MAX) || bytes >= FULL_REPLAY_BYTES {
            replay.replayed.next = letters.last().map(|&(id, _)| Cursor { id });
        }
        for (id, raw) in letters {
            match envelope::decode(&raw) {
                Ok(event) => {
                    replay.ids.push(id);
                    replay.events.push(event);
                }
                Err(malformed) => replay.replayed.refused.push((id, malformed.reason)),
            }
        }
        replay
    }

    /// The events to be stored.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// What came of it, and which letters are none any more.
    #[must_use]
    pub fn close(&self, outcome: &Outcome<'_>) -> (Replayed, Vec<i64>) {
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
    fn a_replay_goes_on_after_a_page_that_is_full_of_letters_or_of_bytes() {
        let next = |count: i64, bytes: usize| {
            let letters = (1..=count).map(|id| (id, vec![b'x'; bytes])).collect();
            Replay::open(letters).replayed.next.map(|next| next.id)
        };
        assert_eq!(next(0, 1), None);
        assert_eq!(next(2, 1), None);
        assert_eq!(next(Limit::MAX.into(), 1), Some(Limit::MAX.into()));
        assert_eq!(next(2, FULL_REPLAY_BYTES / 2), Some(2));
        assert_eq!(next(1, FULL_REPLAY_BYTES), Some(1));
    }
}
