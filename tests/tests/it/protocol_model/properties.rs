//! What always holds, and what must happen somewhere.

use super::{
    protocol::Protocol,
    state::{Remark, State},
};

pub(super) type Condition = fn(&Protocol, &State) -> bool;

pub(super) const NOT_LOST: &str =
    "an accepted event is in the queue, in a claim with a lease, or counted";
pub(super) const ONE_PLACE: &str = "an event is in one list of Redis at most";
pub(super) const COUNTED_ONCE: &str = "a delivery is counted at most once";
pub(super) const STAYS_COUNTED: &str = "what goes back to the queue was not counted";
pub(super) const ADDS_UP: &str =
    "the counters agree with each other, the events and the deliveries";
pub(super) const LEASED: &str = "what is claimed or adopted has a lease";
pub(super) const RESTS: &str = "at rest each delivery is counted once and Redis is empty";

pub(super) const ALWAYS: [(&str, Condition); 7] = [
    (NOT_LOST, |_, state| {
        let leased = |at| {
            let mut claims = state.claims.iter();
            claims.any(|(id, list)| state.leases.contains_key(id) && list.iter().any(|of| of == at))
        };
        let queued = |at| state.queue.iter().any(|of| of == at);
        (0..state.pushed).all(|at| queued(at) || leased(at) || state.is_counted(at))
    }),
    (ONE_PLACE, |_, state| {
        (0..state.pushed).all(|at| state.places(at) <= 1)
    }),
    (COUNTED_ONCE, |_, state| {
        state.counted.iter().all(|&times| times <= 1)
    }),
    (STAYS_COUNTED, |_, state| {
        !state.queue.iter().any(|at| state.is_counted(at))
    }),
    (ADDS_UP, |_, state| {
        state.received == state.unique + state.duplicate
            && usize::from(state.unique) == state.stored.len()
            && state.received == state.counted.iter().sum::<u8>()
    }),
    (LEASED, |_, state| {
        let mut ids = state.claims.keys().chain(&state.adopted);
        ids.all(|id| state.leases.contains_key(id))
    }),
    (RESTS, |protocol, state| {
        !protocol.is_at_rest(state)
            || (state.counted.iter().all(|&times| times == 1)
                && state.queue.is_empty()
                && state.claims.is_empty()
                && state.leases.is_empty()
                && state.adopted.is_empty())
    }),
];

pub(super) const SOMETIMES: [(&str, Condition); 17] = {
    use Remark as R;
    [
        ("the owner commits a claim that was adopted", |_, state| {
            state.remark == Some(R::OwnerCommitsAfterAdoption)
        }),
        ("an adopter commits", |_, state| {
            state.remark == Some(R::AdopterCommits)
        }),
        ("an adopter finds the claim committed", |_, state| {
            state.remark == Some(R::AdopterFindsItCommitted)
        }),
        (
            "an owner finds its claim committed by an adopter",
            |_, state| state.remark == Some(R::OwnerFindsItCommittedByAdopter),
        ),
        (
            "a commit whose answer was lost is found by the retry",
            |_, state| state.remark == Some(R::RetryFindsItCommitted),
        ),
        (
            "a claim arrives after its worker has gone on",
            |_, state| state.remark == Some(R::ClaimArrivesLate),
        ),
        (
            "a commit arrives after its sender has given up on it",
            |_, state| state.remark == Some(R::CommitArrivesLate),
        ),
        ("a commit arrives too late and does nothing", |_, state| {
            state.remark == Some(R::LateCommitIsRefused)
        }),
        ("a zombie settles after the adopter", |_, state| {
            state.remark == Some(R::ZombieSettlesAfterAdopter)
        }),
        ("a zombie settles while the adopter works", |_, state| {
            state.remark == Some(R::ZombieSettlesBeforeAdopter)
        }),
        ("a release is refused", |_, state| {
            state.remark == Some(R::ReleaseRefused)
        }),
        ("a release comes after another", |_, state| {
            state.remark == Some(R::ReleaseRepeated)
        }),
        (
            "a forgotten worker that lives hands its claim back",
            |_, state| state.remark == Some(R::ForgottenWorkerHandsBack),
        ),
        (
            "an adopter hands back a forgotten worker's claim",
            |_, state| state.remark == Some(R::AdopterHandsBackForgotten),
        ),
        (
            "a worker that has committed meanwhile is not forgotten",
            |_, state| state.remark == Some(R::ForgetRefused),
        ),
        ("a worker that has a claim is not forgotten", |_, state| {
            state.remark == Some(R::ForgetAbandoned)
        }),
        ("a claim is adopted from its adopter", |_, state| {
            state.remark == Some(R::AdoptedFromAdopter)
        }),
    ]
};
