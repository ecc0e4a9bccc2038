//! What came out.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::Blow;

/// What came out of a run.
#[derive(Debug)]
pub struct Report {
    /// Over what, and how it was set up.
    pub title: String,
    /// How often each blow was struck, by its name.
    pub blows: BTreeMap<String, usize>,
    /// How often a replica took over.
    pub failovers: usize,
    /// Events that were acknowledged.
    pub acknowledged: usize,
    /// Events that were sent and not acknowledged.
    pub unacknowledged: usize,
    /// Events that are stored.
    pub stored: usize,
    /// Events that were acknowledged and are not stored.
    pub lost: usize,
    /// Events that were counted twice.
    pub twice: i64,
    /// What else is wrong: counters that do not agree, answers that no client should get.
    pub problems: Vec<String>,
    /// How often `verify` found everything in agreement meanwhile.
    pub verified: usize,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// Whether nothing is lost, nothing counted twice, and everything agrees.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.twice == 0 && self.problems.is_empty()
    }

    pub(super) fn struck(&mut self, blow: Blow) {
        *self.blows.entry(blow.to_string()).or_default() += 1;
        self.failovers += usize::from(blow.is_failover());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} failovers in {} s: {} acknowledged, {} not, {} stored; lost {}, twice {}, problems {}; verify exact {} times",
            self.title,
            self.failovers,
            self.took.as_secs(),
            self.acknowledged,
            self.unacknowledged,
            self.stored,
            self.lost,
            self.twice,
            self.problems.len(),
            self.verified,
        )?;
        for (blow, times) in &self.blows {
            writeln!(f, "  {times} × {blow}")?;
        }
        let mut problems = self.problems.iter();
        problems.try_for_each(|problem| writeln!(f, "  PROBLEM: {problem}"))
    }
}
