//! Dead letters: deliveries that could not be stored.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

use crate::verbatim::Verbatim;

/// A delivery that could not be stored.
#[derive(Debug, Clone, Deserialize)]
pub struct DeadLetter {
    /// Its number. Numbers grow, and they may have gaps.
    pub id: i64,
    /// Why it could not be stored.
    pub reason: String,
    /// The receipt of the delivery, if it had one.
    pub receipt_id: Option<String>,
    /// When it became a dead letter, as in `2026-01-01T12:00:00Z`.
    pub failed_at: String,
    /// What was in the queue, if that is text.
    pub raw: Option<String>,
    /// What was in the queue, in hexadecimal, if it is not text.
    pub raw_hex: Option<String>,
}

/// A page of dead letters.
#[derive(Debug, Clone, Deserialize)]
pub struct DeadLetterPage {
    /// The dead letters, oldest first.
    pub dead_letters: Vec<Verbatim<DeadLetter>>,
    /// Where the next page begins; `None` at the end.
    pub next_cursor: Option<String>,
}

/// Which dead letters to replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Those with these numbers; at most 1000.
    Ids(Vec<i64>),
    /// The first thousand of all.
    All,
    /// The next thousand, from a [`Replayed::next_cursor`] on.
    AllFrom(String),
}

impl Serialize for Selection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Ids(ids) => json!({ "ids": ids }),
            Self::All => json!({ "all": true }),
            Self::AllFrom(cursor) => json!({ "all": true, "cursor": cursor }),
        }
        .serialize(serializer)
    }
}

/// What became of dead letters that were replayed.
#[derive(Debug, Clone, Deserialize)]
pub struct Replayed {
    /// Whether the call only told what would happen.
    pub dry_run: bool,
    /// How many are stored now.
    pub accepted: u64,
    /// How many repeat a stored event.
    pub duplicates: u64,
    /// Those that still cannot be stored.
    pub refused: Vec<Refused>,
    /// Where the next call for all begins; `None` at the end.
    pub next_cursor: Option<String>,
}

/// A dead letter that still cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its number.
    pub id: i64,
    /// Why it cannot be stored.
    pub reason: String,
}
