//! How the steps that events take at the server have ended, for `/ready` and the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runtime::readiness::{Dependency, Trouble};

use super::{failure::Failure, refusal::Refusal, unfit::Unfit};

/// The steps that events take at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Push,
    Wait,
    Claim,
    Renew,
    Settle,
    Release,
    Adopt,
}

/// How the steps that events take at the server have ended.
pub(super) struct Health {
    dependency: Arc<Dependency>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The step that failed last and has not succeeded since. The success of another step does not clear it.
    failing: Option<Step>,
    /// Why it must not be given events, although it would accept them.
    unfit: Option<Unfit>,
}

impl Health {
    pub(super) fn new(dependency: Dependency) -> Self {
        Self {
            dependency: Arc::new(dependency),
            state: Mutex::default(),
        }
    }

    pub(super) fn dependency(&self) -> Arc<Dependency> {
        self.dependency.clone()
    }

    /// Notes how a step ended. `moved` says whether its success shows that the server does what events need. A step that
    /// found nothing to do does not show it.
    pub(super) fn note<T>(
        &self,
        step: Step,
        result: &Result<T, Failure>,
        moved: impl FnOnce(&T) -> bool,
    ) {
        match result {
            Ok(done) => self.succeeded(step, moved(done)),
            Err(error) => self.failed(step, error),
        }
    }

    /// Notes what the server's settings say.
    pub(super) fn set_unfit(&self, unfit: Option<Unfit>) {
        self.lock().unfit = unfit;
    }

    /// See [`Self::set_unfit`].
    pub(super) fn unfit(&self) -> Option<Unfit> {
        self.lock().unfit.clone()
    }

    /// Notes that everything that events need was tried, and worked.
    pub(super) fn rehearsed(&self) {
        self.lock().failing = None;
    }

    fn succeeded(&self, step: Step, moved: bool) {
        let well = {
            let mut state = self.lock();
            if state.failing == Some(step) {
                state.failing = None;
            }
            moved && state.failing.is_none() && state.unfit.is_none()
        };
        if well {
            self.dependency.works();
        }
    }

    fn failed(&self, step: Step, error: &Failure) {
        self.lock().failing = Some(step);
        let refusal = Refusal::of(error);
        // The rehearsal finds out which key or which command it is. What it has found is not overwritten.
        if refusal.is_vague() && self.dependency.check().is_err() {
            return;
        }
        self.dependency.fails(Trouble::new(refusal.shown(), error));
    }

    /// No step under the lock can panic half-way through a change.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> Health {
        Health::new(Dependency::new("redis", "localhost:6379"))
    }

    fn failure() -> Result<bool, Failure> {
        Err(Failure::Foreign("made up for a test".to_owned()))
    }

    #[test]
    fn a_step_that_fails_is_not_made_well_by_another_one() {
        let health = health();
        let moved = |moved: &bool| *moved;
        health.note(Step::Push, &Ok(true), moved);
        assert_eq!(health.dependency.check(), Ok(()));
        health.note(Step::Adopt, &failure(), moved);
        health.note(Step::Push, &Ok(true), moved);
        assert!(health.dependency.check().is_err());
        health.note(Step::Adopt, &Ok(true), moved);
        assert_eq!(health.dependency.check(), Ok(()));
    }

    #[test]
    fn finding_nothing_to_do_shows_nothing() {
        let health = health();
        health.note(Step::Claim, &Ok(false), |moved| *moved);
        assert!(health.dependency.check().is_err());
    }

    #[test]
    fn a_server_that_must_not_be_given_events_is_not_well_because_it_takes_them() {
        let health = health();
        health.set_unfit(Some(Unfit::Evicts("allkeys-lru".to_owned())));
        health.note(Step::Push, &Ok(true), |moved| *moved);
        assert!(health.dependency.check().is_err());
    }
}
