//! What a run tells at its end.

use std::{io, path::Path};

use console::style;
use serde::Serialize;

use super::{batches::Refused, deliver::Delivered};
use crate::{
    format::{count, plain, rate},
    output,
    table::{Left, Right, table},
};

/// How many refused events are shown; the file of `--refused` has them all.
const MAX_SHOWN: usize = 20;

/// What became of the input so far.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) accepted: u64,
    /// Of those, how many are new, and how many were stored before; only with `--ingest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) new: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) duplicates: Option<u64>,
    pub(super) refused: u64,
    pub(super) retried: u64,
    pub(super) lost_answers: u64,
    pub(super) seconds: f64,
    /// The first of the refused events.
    refusals: Vec<Refusal>,
}

/// A refused event, as it is shown and as it is written to the file of `--refused`.
#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    line: u64,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl Refusal {
    pub(super) fn with_text(refused: &Refused) -> Self {
        let text = String::from_utf8_lossy(&refused.item.text).into_owned();
        Self {
            text: Some(text),
            ..Self::without_text(refused)
        }
    }

    fn without_text(refused: &Refused) -> Self {
        Self {
            line: refused.item.line,
            reason: refused.reason.clone(),
            text: None,
        }
    }
}

impl Report {
    /// One that also tells duplicates, or not.
    pub(super) fn telling_duplicates(told: bool) -> Self {
        Self {
            new: told.then_some(0),
            duplicates: told.then_some(0),
            ..Self::default()
        }
    }

    /// Whether no event was accepted or refused.
    pub(super) const fn is_empty(&self) -> bool {
        self.accepted + self.refused == 0
    }

    /// Adds a batch.
    pub(super) fn add(&mut self, delivered: &Delivered) {
        self.accepted += delivered.accepted;
        if let (Some(new), Some(duplicates)) = (&mut self.new, &mut self.duplicates) {
            *new += delivered.accepted - delivered.duplicates;
            *duplicates += delivered.duplicates;
        }
        self.refused += delivered.refused.len() as u64;
        let room = MAX_SHOWN - self.refusals.len();
        let shown = delivered.refused.iter().take(room);
        self.refusals.extend(shown.map(Refusal::without_text));
    }

    /// Tells which events were refused.
    pub(super) fn tell_refusals(&self, file: Option<&Path>) {
        for refusal in &self.refusals {
            let line = style(format!("line {}:", refusal.line)).for_stderr().red();
            output::tell(format!("{line} {}", plain(&refusal.reason)));
        }
        let hidden = self.refused - self.refusals.len() as u64;
        if hidden > 0 {
            output::tell(format!("and {} more", count(hidden)));
        }
        match file {
            _ if self.refused == 0 => (),
            Some(path) => output::tell(format!("the refused events are in {}", path.display())),
            None => output::tell(
                "with --refused FILE, all refused events are written to a file, so that you can correct them and send them again",
            ),
        }
    }

    /// Prints the numbers.
    pub(super) fn print(&self, accepted_per_second: f64) -> io::Result<()> {
        let rows = [
            ("accepted", Some(self.accepted)),
            ("  new", self.new),
            ("  duplicates", self.duplicates),
            ("refused", Some(self.refused)),
            ("retried", Some(self.retried)),
        ];
        let rows = rows.into_iter();
        let rows = rows.filter_map(|(name, value)| Some([name.to_owned(), count(value?)]));
        output::lines(&table([Left, Right], rows))?;
        let rate = rate(accepted_per_second);
        output::line(format!("{:.1} s, {rate}", self.seconds))
    }
}
