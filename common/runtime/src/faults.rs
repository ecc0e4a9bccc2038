//! Faults on purpose, for the tests of what the program promises. Compiled in only with the feature
//! `faults`, and even then only done when the environment asks for it; else nothing is left of it.
//!
//! - `CRASH_AT=NAME[:N]`: the process ends, as if killed, when it comes to that [`Point`] for the
//!   `N`th time (1 if absent).
//! - `MUTANT=NAME`: the process does one thing wrong, to show that the tests would notice.

macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type { $($(#[$variant_doc])* $variant,)* }

        impl $type {
            /// Every one there is.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As the environment calls it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

names! {
    /// The boundaries of the protocol's steps.
    Point {
        /// A batch is about to be pushed.
        BeforePush = "before-push",
        /// A batch is pushed, its client does not know yet.
        AfterPush = "after-push",
        /// A worker has been woken: an element is parked in the handoff list.
        AfterWait = "after-wait",
        /// A claim is about to be made.
        BeforeClaim = "before-claim",
        /// A claim is made.
        AfterClaim = "after-claim",
        /// The transaction has begun.
        AfterBegin = "after-begin",
        /// The claim's number is advanced.
        AfterAdvance = "after-advance",
        /// The events are inserted.
        AfterInsert = "after-insert",
        /// The topics are counted.
        AfterTopics = "after-topics",
        /// All is counted, nothing is committed.
        BeforeCommit = "before-commit",
        /// Committed, not settled.
        AfterCommit = "after-commit",
        /// Settled.
        AfterSettle = "after-settle",
        /// A lease is about to be renewed.
        BeforeRenew = "before-renew",
        /// A lease is renewed.
        AfterRenew = "after-renew",
        /// A claim is adopted, not recorded.
        AfterAdopt = "after-adopt",
        /// An adopted claim is committed, not settled.
        AfterAdoptedCommit = "after-adopted-commit",
        /// A claim is about to be handed back.
        BeforeRelease = "before-release",
        /// A claim is handed back.
        AfterRelease = "after-release",
    }
}

names! {
    /// Ways to break the protocol.
    Mutant {
        /// Settle a claim before it is committed.
        SettleFirst = "settle-first",
        /// Take events off the queue without keeping them anywhere: plain `RPOP`.
        PlainRpop = "plain-rpop",
        /// Record a claim whatever `worker_claims` says.
        IgnoreWorkerClaims = "ignore-worker-claims",
        /// Record an adopted claim under the adopter's own identity.
        AdoptAsNew = "adopt-as-new",
    }
}

/// Ends the process if it was told to end here.
#[cfg(feature = "faults")]
pub fn crash_at(point: Point) {
    use std::sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    };
    static TOLD: LazyLock<Option<(String, usize)>> = LazyLock::new(|| {
        let told = std::env::var("CRASH_AT").ok()?;
        let (name, count) = told.split_once(':').unwrap_or((&told, "1"));
        Some((name.to_owned(), count.parse().ok()?))
    });
    static REACHED: AtomicUsize = AtomicUsize::new(0);
    if let Some((name, count)) = &*TOLD
        && name == point.name()
        && REACHED.fetch_add(1, Ordering::Relaxed) + 1 == *count
    {
        // No destructor, no flush: as near to `kill -9` as a process can do to itself.
        std::process::abort();
    }
}

/// Nothing.
#[cfg(not(feature = "faults"))]
pub const fn crash_at(_: Point) {}

/// Whether to do this wrong.
#[cfg(feature = "faults")]
#[must_use]
pub fn is_mutant(mutant: Mutant) -> bool {
    static TOLD: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var("MUTANT").ok());
    TOLD.as_deref() == Some(mutant.name())
}

/// No.
#[cfg(not(feature = "faults"))]
#[must_use]
pub const fn is_mutant(_: Mutant) -> bool {
    false
}
