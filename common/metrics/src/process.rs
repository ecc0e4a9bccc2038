//! What the system tells of this process, by the names that
//! [Prometheus's own libraries](https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics) use. It is read
//! from [proc(5)](https://man7.org/linux/man-pages/man5/proc.5.html); where there is no such file system, nothing is told.

use std::{fmt, fs};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use rustix::param::{clock_ticks_per_second, page_size};

use crate::writer::{Writer, number};

#[derive(Debug)]
pub(crate) struct Process;

/// What `/proc` says.
struct Seen {
    cpu_seconds: f64,
    virtual_bytes: f64,
    resident_bytes: f64,
    threads: f64,
    started_at: Option<f64>,
    open_files: f64,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some(seen) = look() else { return Ok(()) };
        let mut writer = Writer::to(&mut encoder);
        let help = "Processor time of the user and of the system, in seconds";
        writer.counter("process_cpu_seconds", help, seen.cpu_seconds)?;
        for (name, help, value) in [
            ("process_open_fds", "Open file descriptors", seen.open_files),
            (
                "process_resident_memory_bytes",
                "Memory in use, in bytes",
                seen.resident_bytes,
            ),
            (
                "process_virtual_memory_bytes",
                "Address space, in bytes",
                seen.virtual_bytes,
            ),
            ("process_threads", "Threads", seen.threads),
        ] {
            writer.gauge(name, help, value)?;
        }
        let Some(started_at) = seen.started_at else {
            return Ok(());
        };
        let help = "When the process began, in seconds since 1970";
        writer.gauge("process_start_time_seconds", help, started_at)
    }
}

fn look() -> Option<Seen> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program is in parentheses, and may contain anything.
    let (_, after_name) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = after_name.split(' ').collect();
    // Fields are counted from 1, and two are before these.
    let field = |at: usize| -> Option<f64> { fields.get(at - 3)?.parse().ok().map(number) };
    let ticks = number(clock_ticks_per_second());
    let booted = fs::read_to_string("/proc/stat").ok().and_then(|stat| {
        let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
        line.trim().parse().ok().map(number)
    });
    let started = field(22)? / ticks;
    Some(Seen {
        cpu_seconds: (field(14)? + field(15)?) / ticks,
        threads: field(20)?,
        virtual_bytes: field(23)?,
        resident_bytes: field(24)? * number(page_size() as u64),
        started_at: booted.map(|booted| booted + started),
        open_files: number(fs::read_dir("/proc/self/fd").ok()?.count() as u64),
    })
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn the_system_tells_of_a_process() {
        let Some(seen) = look() else {
            let os = std::env::consts::OS;
            assert_ne!(os, "linux", "Linux has /proc");
            return;
        };
        assert!(seen.resident_bytes > 0.0 && seen.virtual_bytes >= seen.resident_bytes);
        assert!(seen.threads >= 1.0 && seen.open_files >= 3.0);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        let started = seen.started_at.unwrap();
        assert!(
            started <= now + 1.0 && started > now - 86_400.0,
            "{started} {now}"
        );
    }
}
