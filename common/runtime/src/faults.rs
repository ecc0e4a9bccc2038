//! The points at which tests let a process die. A shipped program passes them and does nothing, because only the tests'
//! own programs call [`crash_with`].

use std::sync::OnceLock;

use clap::ValueEnum;

type Crash = Box<dyn Fn(Point) + Send + Sync>;

static CRASH: OnceLock<Crash> = OnceLock::new();

/// The process has come to this point.
pub fn crash_at(point: Point) {
    if let Some(crash) = CRASH.get() {
        crash(point);
    }
}

/// From now on, `crash` is called at each point. Only the first call in a process counts.
pub fn crash_with(crash: impl Fn(Point) + Send + Sync + 'static) {
    CRASH.get_or_init(|| Box::new(crash));
}

/// The boundaries between the steps of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Point {
    /// A batch is about to be pushed.
    BeforePush,
    /// A batch is pushed, and its client does not know it yet.
    AfterPush,
    /// A worker has been woken: an element is parked in the handoff list.
    AfterWait,
    /// A claim is about to be made.
    BeforeClaim,
    /// A claim is made.
    AfterClaim,
    /// The transaction has begun.
    AfterBegin,
    /// The claim's number is advanced.
    AfterAdvance,
    /// The events are inserted.
    AfterInsert,
    /// Dead letters are put aside.
    AfterLetters,
    /// Everything is counted, and nothing is committed.
    BeforeCommit,
    /// A claim is committed, and not settled.
    AfterCommit,
    /// A claim is settled.
    AfterSettle,
    /// A lease is about to be renewed.
    BeforeRenew,
    /// A lease is renewed.
    AfterRenew,
    /// A claim is adopted, and not recorded.
    AfterAdopt,
    /// An adopted claim is committed, and not settled.
    AfterAdoptedCommit,
    /// A claim is about to be handed back.
    BeforeRelease,
    /// A claim is handed back.
    AfterRelease,
    /// A bucket is about to be closed.
    BeforeClose,
    /// A bucket is closed and the next one open, and nothing is committed.
    BeforeCloseCommit,
    /// That is committed.
    AfterClose,
    /// The filter of a closed bucket is made, and nothing is committed.
    BeforeFilter,
    /// That is committed.
    AfterFilter,
    /// A bucket is dropped, and nothing is committed.
    BeforeDropCommit,
    /// That is committed.
    AfterDrop,
}
