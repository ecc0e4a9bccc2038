//! A day's worth of log lines of eight systems: generated, or from a file.

use std::{
    collections::{BTreeMap, HashSet},
    env, fs,
    path::Path,
};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::index};
use serde_json::{Value, json};

/// The variable that may name a file of events, one a line, to be used instead of generated ones.
const EVENTS_FILE: &str = "EVENTS_FILE";
/// How many events a day has.
const DAY: usize = 16_000;
/// How many of them a system has.
const DAY_OF_A_SYSTEM: usize = DAY / SYSTEMS.len();
/// When the first line was logged.
const START: &str = "2026-03-01T04:47:44.123Z";
/// The most milliseconds between two lines.
const PAUSE_MS: i64 = 3000;
/// One line in so many was logged earlier than the line before it.
const LATE: u32 = 16;

/// A system whose lines are in the logs. It writes some lines twice in the same instant: those are the same event.
struct System {
    name: &'static str,
    /// How many of a day's lines were there before.
    repeated: usize,
    /// How many lines may be between a line and its repetition.
    apart: usize,
}

const fn system(name: &'static str, repeated: usize, apart: usize) -> System {
    System {
        name,
        repeated,
        apart,
    }
}

/// Their numbers are those of real logs: some never repeat a line, one repeats more than a quarter of them.
const SYSTEMS: [System; 8] = [
    system("batch", 15, 3),
    system("health", 0, 0),
    system("kernel", 0, 0),
    system("login", 0, 0),
    system("proxy", 296, 7),
    system("quorum", 1, 1),
    system("stream", 138, 240),
    system("web", 539, 8),
];

/// Log lines as events, and what must come of them.
pub struct Logs {
    /// Each is the body of one event.
    pub events: Vec<Value>,
    /// Different events by topic.
    pub unique: BTreeMap<String, i64>,
}

impl Logs {
    /// The events in the file that `EVENTS_FILE` names; without it, a generated day. Standard error says which.
    ///
    /// # Panics
    /// If the file is not there, or holds something else than an event in a line.
    #[must_use]
    pub fn of_a_day(seed: u64) -> Self {
        if let Some(path) = env::var_os(EVENTS_FILE).filter(|path| !path.is_empty()) {
            let path = Path::new(&path);
            let logs = Self::read(path);
            let (count, path) = (logs.events.len(), path.display());
            eprintln!("tests: {count} events from {EVENTS_FILE}={path}");
            return logs;
        }
        eprintln!("tests: {DAY} generated events");
        Self::generated(DAY, seed)
    }

    /// How many different events there are.
    #[must_use]
    pub fn unique_total(&self) -> i64 {
        self.unique.values().sum()
    }

    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path);
        let text = text.unwrap_or_else(|e| panic!("{EVENTS_FILE}={}: {e}", path.display()));
        let events = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("each line is an event"))
            .collect();
        let unique = different(&events);
        Self { events, unique }
    }

    /// So many lines of the eight systems, one system after another, and of each the same share of repeated lines as a
    /// day has.
    ///
    /// # Panics
    /// Never, because the time of the first line is a constant.
    #[must_use]
    pub fn generated(count: usize, seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut events = Vec::with_capacity(count);
        let mut unique = BTreeMap::new();
        for (at, system) in SYSTEMS.iter().enumerate() {
            let lines = count * (at + 1) / SYSTEMS.len() - count * at / SYSTEMS.len();
            let repeated = system.repeated * lines / DAY_OF_A_SYSTEM;
            let topic = format!("logs/{}", system.name);
            let new = i64::try_from(lines - repeated).expect("not that many");
            events.extend(system.lines(&topic, lines, repeated, &mut rng));
            unique.insert(topic, new);
        }
        Self { events, unique }
    }
}

impl System {
    /// So many lines, of which so many repeat another.
    fn lines(&self, topic: &str, count: usize, repeated: usize, rng: &mut SmallRng) -> Vec<Value> {
        // The first line repeats none.
        let repeated = index::sample(rng, count.saturating_sub(1), repeated);
        let repeated: HashSet<usize> = repeated.iter().map(|at| at + 1).collect();
        let mut time: DateTime<Utc> = START.parse().expect("a time");
        let mut lines: Vec<Value> = Vec::with_capacity(count);
        for at in 0..count {
            if repeated.contains(&at) {
                let apart = rng.random_range(1..=self.apart.min(at));
                lines.push(lines[at - apart].clone());
                continue;
            }
            time += TimeDelta::milliseconds(rng.random_range(0..PAUSE_MS));
            let late = rng.random_ratio(1, LATE);
            let logged = time - TimeDelta::minutes(i64::from(late));
            lines.push(json!({
                "topic": topic,
                "event_id": format!("{:032x}", rng.random::<u128>()),
                "timestamp": logged.to_rfc3339_opts(SecondsFormat::Millis, true),
                "source": self.name,
                "payload": {"line": self.line(logged, rng)},
            }));
        }
        lines
    }

    /// What a person would read: of different lengths, and with characters that must be escaped or take several bytes.
    fn line(&self, logged: DateTime<Utc>, rng: &mut SmallRng) -> String {
        const WORDS: [&str; 16] = [
            "session opened",
            "for user \"root\"",
            "from 10.0.0.7",
            "C:\\temp\\job.log",
            "took 12 ms",
            "retry",
            "(uid=0)",
            "received block blk_-1608999687919862906",
            "connection reset by peer",
            "Größe 3 kB",
            "ready 🦀",
            "state=LOOKING",
            "50%",
            "\tat Main.run(Main.java:42)",
            "<notice>",
            "closed",
        ];
        let time = logged.format("%b %d %H:%M:%S");
        let process = rng.random_range(100..32_000);
        let mut line = format!("{time} {}[{process}]:", self.name);
        for _ in 0..rng.random_range(2..12) {
            line.push(' ');
            line.push_str(WORDS[rng.random_range(0..WORDS.len())]);
        }
        line
    }
}

/// How many different events of each topic these are.
fn different(events: &Vec<Value>) -> BTreeMap<String, i64> {
    let mut unique = BTreeMap::new();
    let mut seen = HashSet::new();
    for event in events {
        let topic = event["topic"].as_str().expect("a topic");
        let id = event["event_id"].as_str().expect("an id");
        if seen.insert((topic, id)) {
            *unique.entry(topic.to_owned()).or_default() += 1;
        }
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_as_many_lines_and_repetitions_as_real_logs() {
        let logs = Logs::generated(DAY, 1);
        assert_eq!((logs.events.len(), logs.unique_total()), (16_000, 15_011));
        assert_eq!(different(&logs.events), logs.unique);
        assert_eq!(logs.unique["logs/web"], 1461);
        assert_eq!(logs.unique["logs/login"], 2000);
    }

    #[test]
    fn any_number_of_lines_says_how_many_of_them_are_different() {
        for count in [0, 1, 7, 8, 100, 3001] {
            let logs = Logs::generated(count, 2);
            assert_eq!(logs.events.len(), count);
            let mut unique = logs.unique.clone();
            unique.retain(|_, count| *count > 0);
            assert_eq!(different(&logs.events), unique);
        }
    }

    #[test]
    fn a_seed_always_makes_the_same_lines() {
        assert_eq!(
            Logs::generated(500, 3).events,
            Logs::generated(500, 3).events
        );
        assert_ne!(
            Logs::generated(500, 3).events,
            Logs::generated(500, 4).events
        );
    }
}
