//! The processor time and the memory that processes use, from `/proc` ([proc(5)](https://man7.org/linux/man-pages/man5/proc.5.html)).

use std::{fs, process, thread, time::Instant};

use anyhow::{Context, Result};
use serde::Serialize;

/// How many ticks of the times in `/proc/PID/stat` a second has: `USER_HZ`, which is 100 on every machine for which this is
/// built.
const TICKS_PER_SECOND: f64 = 100.0;
/// How many KiB a MiB has.
const MIB: f64 = 1024.0;

/// Processes that are counted together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProcessGroup {
    pub(crate) name: &'static str,
    id: u32,
    /// Whether its children count, too, also those that have ended.
    with_children: bool,
}

/// How much of all processors a group used.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Share {
    pub(crate) name: &'static str,
    /// 1 means all processors, all the time.
    pub(crate) share: f64,
}

/// Measures shares, from its start on.
pub(crate) struct Meter {
    groups: Vec<(ProcessGroup, f64)>,
    started: Instant,
}

/// The memory of a process, in MiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// What is resident now.
    pub(crate) resident: f64,
    /// The largest amount so far.
    pub(crate) peak: f64,
}

impl ProcessGroup {
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

    /// The processor time so far, in seconds.
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
    pub(crate) fn start(groups: &[ProcessGroup]) -> Result<Self> {
        let groups = groups.iter().map(|group| Ok((*group, group.seconds()?)));
        Ok(Self {
            groups: groups.collect::<Result<_>>()?,
            started: Instant::now(),
        })
    }

    /// The shares since the start. All groups must still run.
    pub(crate) fn shares(&self) -> Result<Vec<Share>> {
        let available = self.started.elapsed().as_secs_f64() * processors();
        let shares = self.groups.iter().map(|(group, before)| {
            Ok(Share {
                name: group.name,
                share: (group.seconds()? - before) / available,
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

/// How many processors this process may use.
pub(crate) fn processors() -> f64 {
    let count = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    crate::stats::float(count as u64)
}

/// What `/proc/PID/stat` says.
struct Stat {
    parent: u32,
    ticks: f64,
    ticks_of_ended_children: f64,
}

impl Stat {
    fn of(id: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
    }

    /// The name is in parentheses and may have any characters; the numbers follow the last parenthesis.
    fn parse(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // The manual numbers the fields from 1, and the first one here is the third one there.
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
    // A process that has ended meanwhile has no such file.
    ids.filter_map(Stat::of)
}

fn mebibytes(status: &str, name: &str) -> Result<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kibibytes.with_context(|| format!("/proc/PID/status does not have {name}"))? / MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_even_if_the_name_has_a_parenthesis() {
        let text = "42 (a) R b) S 7 1 1 0 -1 4 0 0 0 0 150 50 30 20 20 0 1 0 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat.parent, 7);
        assert_eq!(
            format!("{} {}", stat.ticks, stat.ticks_of_ended_children),
            "200 50"
        );
    }

    #[test]
    fn this_process_has_used_memory_and_processor_time() {
        let memory = Memory::of(process::id()).unwrap();
        assert!(memory.resident > 0.0 && memory.peak >= memory.resident);
        assert!(ProcessGroup::generator().seconds().is_ok());
    }
}
