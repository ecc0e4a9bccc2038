//! What a replay of dead letters does, but for the SQL.

use std::collections::HashMap;

use super::{Cursor, Limit, Outcome, Replayed, Selection};
use crate::{envelope, event::Event, queue::Verdict};

/// Dead letters that are being replayed.
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
    #[must_use]
    pub fn open(which: &Selection, letters: Vec<(i64, Vec<u8>)>) -> Self {
        let mut replay = Self {
            ids: Vec::new(),
            events: Vec::new(),
            replayed: Replayed::default(),
        };
        if matches!(which, Selection::After(_)) && letters.len() == usize::from(Limit::MAX) {
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
        let reasons: HashMap<_, _> = outcome
            .letters
            .iter()
            .map(|letter| (letter.receipt_id, letter.reason.as_str()))
            .collect();
        let (mut replayed, mut stored) = (self.replayed.clone(), Vec::new());
        let judged = self.ids.iter().zip(&self.events).zip(&outcome.verdicts);
        for ((id, event), verdict) in judged {
            if *verdict == Verdict::DeadLettered {
                let reason = reasons.get(&Some(event.receipt_id.0));
                let reason = reason.copied().unwrap_or_default().to_owned();
                replayed.refused.push((*id, reason));
            } else {
                stored.push(*id);
            }
        }
        replayed.refused.sort_unstable();
        (replayed.accepted, replayed.duplicates) = (outcome.unique(), outcome.duplicate());
        (replayed, stored)
    }
}
