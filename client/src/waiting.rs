//! Telling somebody that a call waits for a server.

use std::{fmt, sync::Arc, time::Duration};

/// A call waits for a server that is away or busy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The address of the server.
    pub url: String,
    /// Why the call waits.
    pub reason: String,
    /// For how long it has waited.
    pub waited: Duration,
    /// For how long it waits at most.
    pub patience: Duration,
}

/// Is told while calls wait, at the latest after [`Observer::TOLD_WITHIN`], and again after each failed attempt.
#[derive(Clone, Default)]
pub struct Observer(Option<Arc<Told>>);

/// Is told that a call waits.
type Told = dyn Fn(&Waiting) + Send + Sync;

impl Observer {
    /// How long an attempt may go without an answer before the observer is told.
    pub const TOLD_WITHIN: Duration = Duration::from_millis(800);

    /// Tells this function.
    pub fn new(told: impl Fn(&Waiting) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    pub(crate) fn tell(&self, waiting: &Waiting) {
        if let Some(told) = &self.0 {
            told(waiting);
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.0.is_some() { "told" } else { "nobody" };
        f.debug_tuple("Observer").field(&state).finish()
    }
}
