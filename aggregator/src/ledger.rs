//! How the ledger is kept: settings, and the command that forgets now.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use runtime::{output::print, settings};
use store::{
    Outdated, Rules, Step, Store,
    postgres::{self, Postgres},
};

/// The shortest time that a bucket is open, or that an event is kept.
const SHORTEST: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_hours(24 * 365);
/// Without another age, buckets are closed so often in the time of a retention: at most this part of it is kept too long.
const BUCKETS_IN_RETENTION: u32 = 8;

/// How the ledger is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct LedgerArgs {
    /// Events after which a bucket of the ledger is closed and the next one opened; PostgreSQL only
    #[arg(long, env, default_value_t = Self::BUCKET_EVENTS, value_name = "EVENTS",
          value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub bucket_events: u64,

    /// How long a bucket of the ledger is open, unless it is full before; PostgreSQL only [default: an eighth of the
    /// retention, or until it is full]
    #[arg(long, env, value_name = "HOURS", value_parser = settings::hours(SHORTEST..=YEAR))]
    pub bucket_hours: Option<Duration>,

    /// How long an event is kept at least after it was processed; then it may be forgotten, stays counted, and a repetition of it is
    /// new [default: for ever]
    #[arg(long, env, value_name = "DAYS", value_parser = settings::days(SHORTEST..=100 * YEAR))]
    pub retention_days: Option<Duration>,

    /// Memory for the filters of closed buckets, about 18 bits an event; buckets beyond it are looked up in their index;
    /// PostgreSQL only
    #[arg(long, env, default_value = "256MiB", value_name = "BYTES", value_parser = settings::bytes(0..=u32::MAX))]
    pub filter_memory: u32,

    /// In how many rows the counters are kept; workers that count in different ones do not wait for each other; PostgreSQL only
    #[arg(long, env, default_value_t = postgres::STATS_SLOTS, value_name = "ROWS",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub stats_slots: u16,
}

impl LedgerArgs {
    const BUCKET_EVENTS: u64 = 5_000_000;

    /// For a store.
    #[must_use]
    pub fn rules(&self) -> Rules {
        let of_retention = self
            .retention_days
            .map(|retention| retention / BUCKETS_IN_RETENTION);
        Rules {
            bucket_events: self.bucket_events,
            bucket_age: self.bucket_hours.or(of_retention),
            retention: self.retention_days,
        }
    }

    /// A store in PostgreSQL that is kept so.
    #[must_use]
    pub fn apply(&self, store: Postgres) -> Postgres {
        // It fits on every machine that has so much memory.
        let memory = usize::try_from(self.filter_memory).unwrap_or(usize::MAX);
        store.stats_slots(self.stats_slots).filter_memory(memory)
    }

    /// Forgets what is old enough, or says what that would be, and prints it.
    ///
    /// # Errors
    /// If the database cannot be used, or no retention is set.
    pub async fn forget(&self, store: &dyn Store, dry_run: bool) -> anyhow::Result<ExitCode> {
        let retention = self.retention_days.context(
            "RETENTION_DAYS is not set, so everything is kept; set it, or give --retention-days before the command",
        )?;
        let outdated = store.outdated(retention).await?;
        if outdated.is_empty() {
            print("Nothing is older than RETENTION_DAYS.")?;
            return Ok(ExitCode::SUCCESS);
        }
        for part in &outdated {
            print(line(part))?;
        }
        let events: i64 = outdated.iter().map(|part| part.events).sum();
        if dry_run {
            print(format!(
                "{events} events would be forgotten, and stay counted."
            ))?;
            return Ok(ExitCode::SUCCESS);
        }
        let rules = Rules {
            retention: Some(retention),
            ..Rules::NOTHING_DUE
        };
        let mut forgotten: i64 = 0;
        while forgotten < events {
            match store.keep(&rules).await? {
                Some(Step::Dropped { events, .. }) => forgotten += events,
                Some(Step::Removed { events }) => {
                    forgotten += i64::try_from(events).unwrap_or(i64::MAX);
                }
                Some(Step::Filtered { .. } | Step::Closed { .. }) => {}
                None => break,
            }
        }
        print(format!(
            "{forgotten} events were forgotten, and stay counted."
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Default for LedgerArgs {
    fn default() -> Self {
        Self {
            bucket_events: Self::BUCKET_EVENTS,
            bucket_hours: None,
            retention_days: None,
            filter_memory: 256 * 1024 * 1024,
            stats_slots: postgres::STATS_SLOTS,
        }
    }
}

fn line(part: &Outdated) -> String {
    let until: DateTime<Utc> = part.until;
    let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
    let of = part
        .bucket
        .map(|bucket| format!("bucket {bucket}: "))
        .unwrap_or_default();
    let bytes = part
        .bytes
        .map(|bytes| format!(", {bytes} bytes on disk"))
        .unwrap_or_default();
    format!("{of}{} events, processed until {until}{bytes}", part.events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_a_retention_buckets_are_closed_in_its_course() {
        let days = |days: u64| Some(Duration::from_hours(24 * days));
        let rules = |bucket_hours, retention_days| {
            let ledger = LedgerArgs {
                bucket_hours,
                retention_days,
                ..LedgerArgs::default()
            };
            (ledger.rules().bucket_age, ledger.rules().retention)
        };
        assert_eq!(rules(None, None), (None, None));
        assert_eq!(rules(None, days(8)), (days(1), days(8)));
        assert_eq!(rules(days(2), days(8)), (days(2), days(8)));
        assert_eq!(rules(days(2), None), (days(2), None));
    }
}
