//! What is broken when, made from a seed.
//!
//! The same seed makes the same schedule (on machines of the same word size). What the programs are doing at
//! those moments is up to the machine, so a replay repeats the blows, not every interleaving.

use std::{fmt, time::Duration};

use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// Faults begin within this time.
pub const WINDOW: Duration = Duration::from_secs(3);
/// A frozen aggregator sleeps through a lease of a second.
const FROZEN_MS: std::ops::Range<u64> = 1200..2000;
/// How many faults are dealt to one seed.
const FAULTS: std::ops::RangeInclusive<usize> = 18..=24;

/// Who is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// A publisher, by its index.
    Publisher(usize),
    /// An aggregator, by its index.
    Aggregator(usize),
    /// The Redis server.
    Redis,
    /// The PostgreSQL server.
    Postgres,
    /// The connections of publishers to Redis.
    Pushes,
    /// The connections of aggregators to Redis.
    Claims,
    /// The connections of aggregators to PostgreSQL.
    Commits,
}

impl Target {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::Publisher(0),
        Self::Publisher(1),
        Self::Aggregator(0),
        Self::Aggregator(1),
        Self::Redis,
        Self::Postgres,
        Self::Pushes,
        Self::Claims,
        Self::Commits,
    ];
    const CONNECTIONS: [Self; 3] = [Self::Pushes, Self::Claims, Self::Commits];
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blow {
    /// `SIGKILL` (PostgreSQL: an immediate shutdown), and a new start.
    Kill,
    /// `SIGSTOP`, and `SIGCONT` later.
    Freeze,
    /// All connections are reset.
    Cut,
    /// Nothing passes for a while; then all of it.
    Stall,
    /// Requests pass, answers do not; at the end all connections are reset.
    LoseAnswers,
    /// All connections are reset, and no new ones are made for a while.
    Refuse,
}

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// When, from the start of the schedule. Later, if its target still suffers from an earlier fault.
    pub at: Duration,
    /// Who.
    pub target: Target,
    /// What.
    pub blow: Blow,
    /// How long until it is mended; a killed program is started again then.
    pub lasts: Duration,
}

/// All that goes wrong in one run, in order of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(Vec<Fault>);

impl Schedule {
    /// The schedule of a seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let count = rng.random_range(FAULTS);
        let mut faults: Vec<Fault> = (0..count).map(|_| fault(&mut rng)).collect();
        faults.sort_by_key(|fault| fault.at);
        Self(faults)
    }

    /// The faults of one target, in order of time.
    #[must_use]
    pub fn of_target(&self, target: Target) -> Vec<Fault> {
        let faults = self.0.iter().filter(|fault| fault.target == target);
        faults.copied().collect()
    }

    /// How many faults there are of this kind.
    #[must_use]
    pub fn count(&self, is: impl Fn(&Fault) -> bool) -> usize {
        self.0.iter().filter(|fault| is(fault)).count()
    }
}

fn fault(rng: &mut SmallRng) -> Fault {
    let program = rng.random_range(0..2);
    let (target, blow) = match rng.random_range(0..100) {
        0..25 => (Target::Publisher(program), Blow::Kill),
        25..57 => (Target::Aggregator(program), Blow::Kill),
        57..65 => (Target::Aggregator(program), Blow::Freeze),
        65..71 => (Target::Redis, Blow::Kill),
        71..76 => (Target::Postgres, Blow::Kill),
        other => {
            let target = Target::CONNECTIONS[rng.random_range(0..Target::CONNECTIONS.len())];
            let blow = match other {
                76..86 => Blow::Cut,
                86..91 => Blow::Stall,
                91..97 => Blow::LoseAnswers,
                _ => Blow::Refuse,
            };
            (target, blow)
        }
    };
    let lasts = match blow {
        Blow::Cut => 0,
        Blow::Freeze => rng.random_range(FROZEN_MS),
        Blow::Kill if rng.random_ratio(1, 2) => 0,
        Blow::Kill => rng.random_range(0..400),
        Blow::Stall | Blow::LoseAnswers | Blow::Refuse => rng.random_range(50..900),
    };
    Fault {
        at: WINDOW.mul_f64(rng.random()),
        target,
        blow,
        lasts: Duration::from_millis(lasts),
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|fault| writeln!(f, "  {fault}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, lasts) = (self.at.as_millis(), self.lasts.as_millis());
        write!(f, "{at:>5} ms  {}: {}", self.target, self.blow)?;
        match self.blow {
            Blow::Cut => Ok(()),
            Blow::Kill => write!(f, ", started again after {lasts} ms"),
            _ => write!(f, " for {lasts} ms"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publisher(index) => write!(f, "publisher {index}"),
            Self::Aggregator(index) => write!(f, "aggregator {index}"),
            Self::Redis => f.write_str("Redis"),
            Self::Postgres => f.write_str("PostgreSQL"),
            Self::Pushes => f.write_str("publishers to Redis"),
            Self::Claims => f.write_str("aggregators to Redis"),
            Self::Commits => f.write_str("aggregators to PostgreSQL"),
        }
    }
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "killed",
            Self::Freeze => "frozen",
            Self::Cut => "connections cut",
            Self::Stall => "connections stalled",
            Self::LoseAnswers => "answers lost",
            Self::Refuse => "connections refused",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_makes_the_same_schedule() {
        assert_eq!(Schedule::of_seed(7), Schedule::of_seed(7));
        assert_ne!(Schedule::of_seed(7), Schedule::of_seed(8));
    }

    #[test]
    fn a_hundred_seeds_hit_everything_and_kill_a_thousand_times() {
        let schedules: Vec<Schedule> = (1..=100).map(Schedule::of_seed).collect();
        let sum = |is: &dyn Fn(&Fault) -> bool| -> usize {
            schedules.iter().map(|schedule| schedule.count(is)).sum()
        };
        assert!(sum(&|fault| fault.blow == Blow::Kill) >= 1000);
        for target in Target::ALL {
            assert!(sum(&|fault| fault.target == target) > 0, "{target}");
        }
    }

    #[test]
    fn a_fault_is_one_line() {
        let fault = Fault {
            at: Duration::from_millis(120),
            target: Target::Aggregator(1),
            blow: Blow::Kill,
            lasts: Duration::from_millis(30),
        };
        assert_eq!(
            fault.to_string(),
            "  120 ms  aggregator 1: killed, started again after 30 ms"
        );
    }
}
