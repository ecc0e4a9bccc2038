//! What can happen next.

use super::{
    ids::{ClaimId, WorkerId},
    state::{Actor, Command},
};

/// What becomes of a command and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Answered,
    ReplyLost,
    Late,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Push,
    Register(usize),
    Claim(usize, Fate),
    Record(Actor, Fate),
    Settle(Actor, Fate),
    Release(Actor, Fate),
    Renew(Actor),
    Adopt(usize, ClaimId, Fate),
    GiveUp(Actor),
    GiveWay(Actor),
    Crash(Actor),
    Expire(ClaimId),
    /// A replica takes over, which is at this one of the states that a replica may be at.
    Failover(usize),
    /// What was late is there.
    Arrive(Command),
    IdleWorker(WorkerId),
    Holders,
    ForgetWorker,
}

pub(super) const fn is_fault(action: Action) -> bool {
    match action {
        Action::Claim(_, fate)
        | Action::Record(_, fate)
        | Action::Settle(_, fate)
        | Action::Release(_, fate)
        | Action::Adopt(_, _, fate) => !matches!(fate, Fate::Answered),
        Action::Renew(_)
        | Action::GiveUp(_)
        | Action::GiveWay(_)
        | Action::Crash(_)
        | Action::Failover(_)
        | Action::IdleWorker(_) => true,
        Action::Push
        | Action::Register(_)
        | Action::Expire(_)
        | Action::Arrive(_)
        | Action::Holders
        | Action::ForgetWorker => false,
    }
}
