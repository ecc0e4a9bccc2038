//! Whether events get stored, as the code that stores them finds out.
//!
//! A [`Dependency`] is something that events need on their way, such as Redis. Workers and pushes note how
//! they fare there with [`Dependency::works`] and [`Dependency::fails`]. While nobody uses it, its [`Probe`] tries what they
//! would do. `/ready` only reads what was noted: it costs the dependency nothing, however often it is asked.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use event::clock::{Clock, SystemClock};
use futures_util::future::join_all;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// What was noted longer ago than this is tried again by a probe.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// How often a watch looks whether a probe is due.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a probe may take before the dependency counts as not answering.
pub const PROBE_WITHIN: Duration = Duration::from_secs(2);
/// A failure that events have met outlives a probe that succeeds by this time: the probe may not try all that they need.
const REMEMBERED_FOR: Duration = Duration::from_secs(5);
/// A dependency that stays unwell is logged again after this time.
const SAY_AGAIN_AFTER: Duration = Duration::from_mins(1);
/// One trouble often shows in several ways. Each is logged once at once, up to so many.
const MAX_CAUSES: usize = 8;

/// Why a dependency does not do what it must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong and what to do about it, in words that anyone may read.
    pub shown: String,
    /// What the dependency itself said; only for the log.
    pub detail: String,
}

impl Trouble {
    /// A trouble; `detail` is what the dependency itself said.
    pub fn new(shown: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self {
            shown: shown.into(),
            detail: detail.to_string(),
        }
    }
}

/// Tries what events need of a dependency, over a connection of its own.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Tries it once. The caller bounds the time.
    ///
    /// # Errors
    /// [`Trouble`] says what failed.
    async fn probe(&self) -> Result<(), Trouble>;
}

/// What is known of something that events need, and what tries it while no events come.
pub type Watched = (Arc<Dependency>, Arc<dyn Probe>);

/// Something that events need on their way, and what is known of it.
///
/// Several with the same name stand for each other, such as the shards of a queue: events get on if one of them works.
pub struct Dependency {
    name: &'static str,
    part: Option<String>,
    address: String,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    standing: Standing,
    /// When the last outcome was noted.
    noted: Option<Instant>,
    /// When events last met a failure.
    met: Option<Instant>,
}

enum Standing {
    Unknown,
    Well,
    Unwell {
        since: DateTime<Utc>,
        began: Instant,
        said: Instant,
        trouble: Trouble,
        /// How often events have met it.
        met: u64,
        /// The causes that were logged.
        causes: Vec<String>,
    },
}

impl Dependency {
    /// Of which nothing is known yet. `name` is what `/ready` calls it; `address` is for the log and has no secrets in it.
    #[must_use]
    pub fn new(name: &'static str, address: impl Into<String>) -> Self {
        Self::with_clock(name, address, Arc::new(SystemClock))
    }

    /// A part of something, which the other parts of the same name stand for. `None`: there is only one.
    #[must_use]
    pub fn part(name: &'static str, part: Option<String>, address: impl Into<String>) -> Self {
        Self {
            part,
            ..Self::new(name, address)
        }
    }

    /// The same with a clock of the caller's.
    #[must_use]
    pub fn with_clock(
        name: &'static str,
        address: impl Into<String>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            name,
            part: None,
            address: address.into(),
            clock,
            state: Mutex::new(State {
                standing: Standing::Unknown,
                noted: None,
                met: None,
            }),
        }
    }

    /// What `/ready` calls it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its name, and which part it is, if there are several.
    #[must_use]
    pub fn full_name(&self) -> String {
        match &self.part {
            Some(part) => format!("{} {part}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// Whether it is known not to do what events need.
    pub fn is_unwell(&self) -> bool {
        matches!(self.lock().standing, Standing::Unwell { .. })
    }

    /// Notes that it has done what events need.
    pub fn works(&self) {
        let mut state = self.lock();
        state.met = None;
        self.recover(&mut state);
    }

    /// Notes that events have met a failure. The first one is logged, and the same trouble again once a minute.
    pub fn fails(&self, trouble: Trouble) {
        let mut state = self.lock();
        state.met = Some(Instant::now());
        self.suffer(&mut state, trouble);
        if let Standing::Unwell { met, .. } = &mut state.standing {
            *met += 1;
        }
    }

    /// Whether it does what events need, as far as is known.
    ///
    /// # Errors
    /// What is wrong, since when, in words that anyone may read.
    pub fn check(&self) -> Result<(), String> {
        match &self.lock().standing {
            Standing::Well => Ok(()),
            Standing::Unknown => Err(format!("{}: it has not answered yet", self.full_name())),
            Standing::Unwell { since, trouble, .. } => Err(format!(
                "{}: {} (since {})",
                self.full_name(),
                trouble.shown,
                since.to_rfc3339_opts(SecondsFormat::Secs, true)
            )),
        }
    }

    /// Probes whenever nothing was noted lately, until `stop`.
    pub async fn watch(&self, probe: &dyn Probe, stop: &CancellationToken) {
        loop {
            if !self.is_fresh() {
                let probed = tokio::select! {
                    probed = timeout(PROBE_WITHIN, probe.probe()) => probed,
                    () = stop.cancelled() => return,
                };
                match probed {
                    Ok(Ok(())) => self.passes(),
                    Ok(Err(trouble)) => self.suffer(&mut self.lock(), trouble),
                    Err(_) => {
                        let shown =
                            format!("it does not answer within {} s", PROBE_WITHIN.as_secs());
                        self.suffer(
                            &mut self.lock(),
                            Trouble::new(shown, "no answer to a probe"),
                        );
                    }
                }
            }
            if timeout(LOOK_EVERY, stop.cancelled()).await.is_ok() {
                return;
            }
        }
    }

    /// A probe succeeded.
    fn passes(&self) {
        let mut state = self.lock();
        let remembered = state.met.is_some_and(|met| met.elapsed() < REMEMBERED_FOR);
        if !remembered {
            self.recover(&mut state);
        }
    }

    fn is_fresh(&self) -> bool {
        let state = self.lock();
        let recent = state.noted.is_some_and(|noted| noted.elapsed() < FRESH_FOR);
        recent && matches!(state.standing, Standing::Well)
    }

    fn recover(&self, state: &mut State) {
        state.noted = Some(Instant::now());
        if let Standing::Unwell { began, met, .. } = &state.standing {
            tracing::info!(
                dependency.name = self.name,
                dependency.address = self.address,
                dependency.away_s = began.elapsed().as_secs(),
                dependency.failures = met,
                "{} works again",
                self.full_name()
            );
        }
        state.standing = Standing::Well;
    }

    fn suffer(&self, state: &mut State, trouble: Trouble) {
        let now = Instant::now();
        state.noted = Some(now);
        let (since, began, met, mut causes) = match &mut state.standing {
            Standing::Unwell {
                since,
                began,
                said,
                trouble: known,
                met,
                causes,
            } => {
                let is_known = causes.contains(&trouble.shown) || causes.len() >= MAX_CAUSES;
                if is_known && said.elapsed() < SAY_AGAIN_AFTER {
                    *known = trouble;
                    return;
                }
                (*since, *began, *met, std::mem::take(causes))
            }
            Standing::Unknown | Standing::Well => (self.clock.now(), now, 0, Vec::new()),
        };
        if !causes.contains(&trouble.shown) {
            causes.push(trouble.shown.clone());
        }
        tracing::error!(
            dependency.name = self.name,
            dependency.address = self.address,
            dependency.away_s = began.elapsed().as_secs(),
            dependency.failures = met,
            error = trouble.detail,
            "{}: {}",
            self.full_name(),
            trouble.shown
        );
        state.standing = Standing::Unwell {
            since,
            began,
            said: now,
            trouble,
            met,
            causes,
        };
    }

    /// No step under the lock can panic half-way through a change.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that events need, with what probes it.
#[derive(Clone, Default)]
pub struct Readiness(Vec<Watched>);

impl Readiness {
    /// Reported in this order.
    #[must_use]
    pub fn new(dependencies: Vec<Watched>) -> Self {
        Self(dependencies)
    }

    /// Probes them all, until `stop`.
    pub async fn watch(&self, stop: &CancellationToken) {
        let watching = self
            .0
            .iter()
            .map(|(dependency, probe)| dependency.watch(&**probe, stop));
        join_all(watching).await;
    }

    /// What is known of each.
    pub fn dependencies(&self) -> impl Iterator<Item = &Dependency> {
        self.0.iter().map(|(dependency, _)| &**dependency)
    }

    /// What keeps events from getting on: of each name under which nothing works, what is wrong.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let of_name = |name| self.dependencies().filter(move |other| other.name == name);
        let stuck = |dependency: &Dependency| {
            let trouble = dependency.check().err()?;
            let all = of_name(dependency.name).all(|other| other.check().is_err());
            all.then_some(trouble)
        };
        self.dependencies().filter_map(stuck).collect()
    }

    /// What `/ready` calls them, each name once.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for dependency in self.dependencies() {
            if !names.contains(&dependency.name) {
                names.push(dependency.name);
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Counted {
        probes: AtomicUsize,
        hangs: bool,
    }

    #[async_trait]
    impl Probe for Counted {
        async fn probe(&self) -> Result<(), Trouble> {
            self.probes.fetch_add(1, Ordering::Relaxed);
            if self.hangs {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    }

    /// Watches for so long.
    async fn watched(dependency: &Dependency, probe: &Counted, time: Duration) {
        let stop = CancellationToken::new();
        let watching = dependency.watch(probe, &stop);
        let _ = timeout(time, watching).await;
    }

    fn trouble() -> Trouble {
        Trouble::new("it takes no writes", "READONLY")
    }

    #[test]
    fn parts_of_one_name_stand_for_each_other() {
        let part = |name: &str| {
            Arc::new(Dependency::part(
                "redis",
                Some(name.to_owned()),
                "localhost",
            ))
        };
        let (one, other) = (part("1"), part("2"));
        let store = Arc::new(Dependency::new("postgres", "localhost"));
        let probed = |dependency: &Arc<Dependency>| -> Watched {
            (dependency.clone(), Arc::new(Counted::default()))
        };
        let readiness = Readiness::new(vec![probed(&one), probed(&other), probed(&store)]);
        assert_eq!(readiness.names(), ["redis", "postgres"]);
        assert_eq!(readiness.troubles().len(), 3, "nothing has answered yet");
        store.works();
        other.works();
        one.fails(trouble());
        assert!(one.is_unwell() && !other.is_unwell());
        assert_eq!(readiness.troubles(), Vec::<String>::new());
        other.fails(trouble());
        let troubles = readiness.troubles();
        assert!(
            troubles[0].starts_with("redis 1: it takes no writes"),
            "{troubles:?}"
        );
        assert_eq!(troubles.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_ready_before_it_has_answered() {
        let dependency = Dependency::new("redis", "localhost");
        assert!(dependency.check().unwrap_err().contains("not answered yet"));
        watched(&dependency, &Counted::default(), LOOK_EVERY).await;
        assert_eq!(dependency.check(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_use_is_not_probed() {
        let (dependency, probe) = (Dependency::new("redis", "localhost"), Counted::default());
        dependency.works();
        watched(&dependency, &probe, FRESH_FOR / 2).await;
        assert_eq!(probe.probes.load(Ordering::Relaxed), 0);
        watched(&dependency, &probe, FRESH_FOR).await;
        assert!(probe.probes.load(Ordering::Relaxed) > 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_events_met_is_not_forgotten_by_the_next_probe() {
        let (dependency, probe) = (Dependency::new("redis", "localhost"), Counted::default());
        dependency.fails(trouble());
        watched(&dependency, &probe, REMEMBERED_FOR / 2).await;
        let said = dependency.check().unwrap_err();
        assert!(
            said.starts_with("redis: it takes no writes (since "),
            "{said}"
        );
        assert!(!said.contains("READONLY"), "{said}");
        watched(&dependency, &probe, REMEMBERED_FOR).await;
        assert_eq!(dependency.check(), Ok(()));
        dependency.fails(trouble());
        dependency.works();
        assert_eq!(dependency.check(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_hangs_is_a_failure() {
        let dependency = Dependency::new("redis", "localhost");
        let probe = Counted {
            hangs: true,
            ..Counted::default()
        };
        watched(&dependency, &probe, PROBE_WITHIN + LOOK_EVERY).await;
        let said = dependency.check().unwrap_err();
        assert!(said.contains("does not answer within 2 s"), "{said}");
    }
}
