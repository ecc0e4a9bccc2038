//! The error answers of the servers.

use std::fmt;

use serde::Deserialize;

/// The part of [`Problem::kind`] that all problems have in common.
const URN: &str = "urn:event-aggregator:problem:";

/// An error answer ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
#[derive(Debug, Clone, Deserialize)]
pub struct Problem {
    /// The status code.
    pub status: u16,
    /// A URN that names the kind of problem; empty if a proxy answered.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// What is wrong, and what would be right.
    #[serde(default)]
    pub detail: String,
    /// The events of a batch that are not valid; at most 100 of them.
    #[serde(default)]
    pub errors: Vec<BatchItem>,
}

/// What is wrong with one event of a batch.
#[derive(Debug, Clone, Deserialize)]
pub struct BatchItem {
    /// The place of the event in the batch, from 0.
    pub index: usize,
    /// What is wrong.
    pub detail: String,
}

impl Problem {
    /// The last part of the URN, as in `invalid-event`; `None` if a proxy answered.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.kind.strip_prefix(URN)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.detail)
    }
}
