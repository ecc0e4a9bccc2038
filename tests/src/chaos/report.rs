//! What came out of one run, and of many.

use std::{fmt, fs, path::PathBuf, time::Duration};

use super::{
    oracle::{Buckets, Verdict},
    schedule::{Blow, Schedule, Target},
};

/// Shown of a long list.
const SHOWN: usize = 10;

/// What came out of one run. Its `Display` is one line, with what went wrong and how to replay it below.
#[derive(Debug, Clone)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What was broken.
    pub schedule: Schedule,
    /// Different events that were acknowledged.
    pub acknowledged: usize,
    /// Deliveries that reached the queue.
    pub deliveries: u64,
    /// Claims that were adopted.
    pub adopted: usize,
    /// Batches that clients sent again.
    pub retries: u64,
    /// Dead letters that were stored after all, as far as is known.
    pub replays: i64,
    /// Dead letters that stayed, for they are no events.
    pub strangers: usize,
    /// Rows of `processed_events`.
    pub stored: usize,
    /// Buckets of the ledger, with those that were dropped.
    pub buckets: Buckets,
    /// How often `verify` found everything in agreement while things broke.
    pub verified: usize,
    /// What the oracle says.
    pub verdict: Verdict,
    /// What else went wrong: not drained, a program that ended by itself, an answer nobody expects.
    pub problems: Vec<String>,
    /// From when the last thing was mended, the last lease of an adopted claim had run out and the last event
    /// was acknowledged, until the queue was drained.
    pub recovering: Duration,
    /// The whole run.
    pub took: Duration,
    /// Where the output of the programs is, if something went wrong.
    pub kept: Option<PathBuf>,
}

/// How often each kind was killed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Kills {
    /// Publishers.
    pub publishers: usize,
    /// Aggregators.
    pub aggregators: usize,
    /// Redis.
    pub redis: usize,
    /// PostgreSQL.
    pub postgres: usize,
}

impl Kills {
    /// All together.
    #[must_use]
    pub fn total(&self) -> usize {
        self.publishers + self.aggregators + self.redis + self.postgres
    }
}

impl fmt::Display for Kills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills ({} publishers, {} aggregators, {} Redis, {} PostgreSQL)",
            self.total(),
            self.publishers,
            self.aggregators,
            self.redis,
            self.postgres
        )
    }
}

impl Report {
    /// Whether the promise was kept.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.verdict == Verdict::default() && self.problems.is_empty()
    }

    /// How often each kind was killed.
    #[must_use]
    pub fn kills(&self) -> Kills {
        let killed = |is: fn(Target) -> bool| {
            self.schedule
                .count(|fault| fault.blow == Blow::Kill && is(fault.target))
        };
        Kills {
            publishers: killed(|target| matches!(target, Target::Publisher(_))),
            aggregators: killed(|target| matches!(target, Target::Aggregator(_))),
            redis: killed(|target| target == Target::Redis),
            postgres: killed(|target| target == Target::Postgres),
        }
    }

    /// Writes down what the programs said.
    pub(super) fn keep<'a>(
        &mut self,
        outputs: impl Iterator<Item = (&'a str, String)>,
    ) -> std::io::Result<()> {
        let prefix = format!("chaos-seed-{}-", self.seed);
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir()?.keep();
        for (name, output) in outputs {
            fs::write(folder.join(name.replace(' ', "-")), output)?;
        }
        self.kept = Some(folder);
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { lost, twice, drift } = &self.verdict;
        write!(
            f,
            "seed {}: {} of {} faults; {} acknowledged, {} deliveries, {} batches sent again, {} claims adopted; \
             {} dead letters replayed, {} left; {} buckets closed, {} dropped; {} stored, {} lost, {} twice, {} drift, \
             verified {} times; recovered in {} ms, took {:.1} s",
            self.seed,
            self.kills(),
            self.schedule.count(|_| true),
            self.acknowledged,
            self.deliveries,
            self.retries,
            self.adopted,
            self.replays,
            self.strangers,
            self.buckets.opened - 1,
            self.buckets.dropped,
            self.stored,
            lost.len(),
            twice.len(),
            drift.len(),
            self.verified,
            self.recovering.as_millis(),
            self.took.as_secs_f64(),
        )?;
        if self.is_clean() {
            return Ok(());
        }
        writeln!(f, "\nTHE PROMISE WAS BROKEN")?;
        for problem in self.problems.iter().chain(drift).take(SHOWN) {
            writeln!(f, "  {problem}")?;
        }
        for (what, events) in [("lost", lost), ("stored twice", twice)] {
            for event in events.iter().take(SHOWN) {
                writeln!(f, "  {what}: {event:?}")?;
            }
        }
        write!(f, "schedule:\n{}", self.schedule)?;
        if let Some(kept) = &self.kept {
            writeln!(f, "output of the programs: {}", kept.display())?;
        }
        write!(
            f,
            "replay: cargo run -p tests --bin chaos -- --seed {}",
            self.seed
        )
    }
}

/// What came out of many runs.
#[derive(Debug, Default)]
pub struct Summary {
    /// How many runs.
    pub seeds: usize,
    /// How many of them broke the promise.
    pub broken: usize,
    /// Kills in all.
    pub kills: Kills,
    adopted: usize,
    replays: i64,
    strangers: usize,
    acknowledged: usize,
    lost: usize,
    twice: usize,
    drift: usize,
    closed: i64,
    dropped: i64,
    verified: usize,
    recovering: Vec<Duration>,
    took: Duration,
}

impl Summary {
    /// Counts a run in.
    pub fn add(&mut self, report: &Report) {
        let kills = report.kills();
        self.seeds += 1;
        self.broken += usize::from(!report.is_clean());
        self.kills.publishers += kills.publishers;
        self.kills.aggregators += kills.aggregators;
        self.kills.redis += kills.redis;
        self.kills.postgres += kills.postgres;
        self.adopted += report.adopted;
        self.replays += report.replays;
        self.strangers += report.strangers;
        self.acknowledged += report.acknowledged;
        self.lost += report.verdict.lost.len();
        self.twice += report.verdict.twice.len();
        self.drift += report.verdict.drift.len();
        self.closed += report.buckets.opened - 1;
        self.dropped += report.buckets.dropped;
        self.verified += report.verified;
        self.recovering.push(report.recovering);
        self.took += report.took;
    }

    /// Of all recovery times, the one that this share of them does not exceed.
    fn recovered_within(&self, percent: usize) -> u128 {
        let mut times = self.recovering.clone();
        times.sort_unstable();
        let rank = (times.len() * percent).div_ceil(100).max(1);
        times.get(rank - 1).map_or(0, Duration::as_millis)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} seeds in {:.0} s, {} of them broke the promise; {}",
            self.seeds,
            self.took.as_secs_f64(),
            self.broken,
            self.kills
        )?;
        writeln!(
            f,
            "{} acknowledged, {} lost, {} stored twice, {} drift; {} claims adopted, {} dead letters replayed, {} left",
            self.acknowledged,
            self.lost,
            self.twice,
            self.drift,
            self.adopted,
            self.replays,
            self.strangers
        )?;
        writeln!(
            f,
            "{} buckets closed, {} dropped; verified {} times meanwhile",
            self.closed, self.dropped, self.verified
        )?;
        let [min, p50, p90, p99, max] =
            [0, 50, 90, 99, 100].map(|percent| self.recovered_within(percent));
        write!(
            f,
            "recovered in: min {min} ms, p50 {p50} ms, p90 {p90} ms, p99 {p99} ms, max {max} ms"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_is_by_nearest_rank() {
        let summary = Summary {
            recovering: (1..=200).rev().map(Duration::from_millis).collect(),
            ..Summary::default()
        };
        let shown = [0, 50, 90, 99, 100].map(|percent| summary.recovered_within(percent));
        assert_eq!(shown, [1, 100, 180, 198, 200]);
        assert_eq!(Summary::default().recovered_within(50), 0);
    }
}
