//! What processes use, from `/proc` ([proc(5)](https://man7.org/linux/man-pages/man5/proc.5.html)).

use std::{fs, process, thread, time::Instant};

use anyhow::{Context, Result};
use serde::Serialize;

/// Ticks of the times in `/proc/PID/stat` in a second: `USER_HZ`, which is 100 on every machine we
/// build for.
const TICKS_PER_SECOND: f64 = 100.0;
const MIB: f64 = 1024.0;

/// Processes that count as one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Party {
    pub(crate) name: &'static str,
    id: u32,
    /// With its children, also those that have ended.
    with_children: bool,
}

/// How much of all processors a party used.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Share {
    pub(crate) name: &'static str,
    /// 1 is every processor, all the time.
    pub(crate) share: f64,
}

/// Measures shares from its start on.
pub(crate) struct Meter {
    parties: Vec<(Party, f64)>,
    started: Instant,
}

/// Memory of a process, in MiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Resident now.
    pub(crate) resident: f64,
    /// The most that ever was.
    pub(crate) peak: f64,
}

impl Party {
    pub(crate) const fn one(name: &'static str, id: u32) -> Self {
        Self {
            name,
            id,
            with_children: false,
        }
    }

    pub(crate) const fn with_children(name: &'static str, id: u32) -> Self {
        Self {
            name,
            id,
            with_children: true,
        }
    }

    /// This process.
    pub(crate) fn generator() -> Self {
        Self::one("generator", process::id())
    }

    /// Processor time so far, in seconds.
    fn seconds(self) -> Result<f64> {
        let own = Stat::of(self.id).with_context(|| format!("{} does not run", self.name))?;
        let mut ticks = own.ticks;
        if self.with_children {
            let alive = processes().filter(|stat| stat.parent == self.id);
            ticks += own.ticks_of_ended_children + alive.map(|stat| stat.ticks).sum::<f64>();
        }
        Ok(ticks / TICKS_PER_SECOND)
    }
}

impl Meter {
    pub(crate) fn start(parties: &[Party]) -> Result<Self> {
        let parties = parties.iter().map(|party| Ok((*party, party.seconds()?)));
        Ok(Self {
            parties: parties.collect::<Result<_>>()?,
            started: Instant::now(),
        })
    }

    /// Shares since the start; all parties must still run.
    pub(crate) fn shares(&self) -> Result<Vec<Share>> {
        let available = self.started.elapsed().as_secs_f64() * processors();
        let shares = self.parties.iter().map(|(party, before)| {
            Ok(Share {
                name: party.name,
                share: (party.seconds()? - before) / available,
            })
        });
        shares.collect()
    }
}

impl Memory {
    pub(crate) fn of(id: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        Ok(Self {
            resident: mebibytes(&status, "VmRSS:")?,
            peak: mebibytes(&status, "VmHWM:")?,
        })
    }
}

/// How many processors there are for this process.
pub(crate) fn processors() -> f64 {
    let count = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    crate::stats::float(count as u64)
}

struct Stat {
    parent: u32,
    ticks: f64,
    ticks_of_ended_children: f64,
}

impl Stat {
    fn of(id: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
    }

    /// The name stands in parentheses and may contain anything; numbers follow the last one.
    fn parse(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // Numbered from 1 in the manual, and the third is the first here.
        let number = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            ticks: number(14)? + number(15)?,
            ticks_of_ended_children: number(16)? + number(17)?,
        })
    }
}

fn processes() -> impl Iterator<Item = Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // One that has ended since then has none.
    ids.filter_map(Stat::of)
}

fn mebibytes(status: &str, name: &str) -> Result<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kibibytes.with_context(|| format!("/proc says nothing of {name}"))? / MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_also_if_the_name_has_a_parenthesis() {
        let text = "42 (a) R b) S 7 1 1 0 -1 4 0 0 0 0 150 50 30 20 20 0 1 0 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat.parent, 7);
        assert_eq!(
            format!("{} {}", stat.ticks, stat.ticks_of_ended_children),
            "200 50"
        );
    }

    #[test]
    fn this_process_has_used_memory_and_is_there() {
        let memory = Memory::of(process::id()).unwrap();
        assert!(memory.resident > 0.0 && memory.peak >= memory.resident);
        assert!(Party::generator().seconds().is_ok());
    }
}
