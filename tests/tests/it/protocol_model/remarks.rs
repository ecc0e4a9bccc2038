//! What has just happened, where it must be shown that it does happen.

use super::{
    ids::ClaimId,
    state::{Actor, Holder, Recorded, Remark, State, Work},
};

pub(super) fn remark_on_record(
    state: &State,
    actor: Actor,
    work: Work,
    recorded: Recorded,
) -> Option<Remark> {
    let adopted = state.adopted.contains(&work.id);
    match (actor, recorded) {
        (Actor::Worker(_), Recorded::Committed) => {
            adopted.then_some(Remark::OwnerCommitsAfterAdoption)
        }
        (Actor::Worker(_), Recorded::AlreadyCommitted) if work.certain => {
            Some(Remark::OwnerFindsItCommittedByAdopter)
        }
        (_, Recorded::AlreadyCommitted) if !work.certain => Some(Remark::RetryFindsItCommitted),
        (Actor::Adopter(_), Recorded::Committed) => Some(Remark::AdopterCommits),
        (Actor::Adopter(_), Recorded::AlreadyCommitted) => Some(Remark::AdopterFindsItCommitted),
        _ => None,
    }
}

pub(super) fn remark_on_settle(state: &State, actor: Actor, id: ClaimId) -> Option<Remark> {
    let Actor::Worker(_) = actor else {
        return None;
    };
    if !state.leases.contains_key(&id) {
        Some(Remark::ZombieSettlesAfterAdopter)
    } else if state.adopted.contains(&id) {
        Some(Remark::ZombieSettlesBeforeAdopter)
    } else {
        None
    }
}

pub(super) fn remark_on_release(
    state: &State,
    actor: Actor,
    id: ClaimId,
    holder: Holder,
) -> Option<Remark> {
    let gone = !state.leases.contains_key(&id);
    match (actor, holder) {
        (_, Holder::Anyone) if gone => Some(Remark::ReleaseRepeated),
        (Actor::Worker(_), Holder::Anyone) => Some(Remark::ForgottenWorkerHandsBack),
        (Actor::Adopter(_), Holder::Anyone) => Some(Remark::AdopterHandsBackForgotten),
        (_, Holder::Owner) => state
            .adopted
            .contains(&id)
            .then_some(Remark::ReleaseRefused),
    }
}
