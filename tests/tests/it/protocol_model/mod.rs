//! The claim protocol (ARCHITECTURE.md, DESIGN.md section 5) as a small state machine, explored
//! exhaustively with [stateright](https://docs.rs/stateright). Its steps are called as in the code.
//!
//! **What is in it.** Redis: the queue (`queue` and `handoff` as one, since every worker takes from
//! both), the claims' lists, `leases`, `adopted`; one script is one step. PostgreSQL: `worker_claims`,
//! the stored events, the counters; one transaction is one step, at the moment of its commit. Clients
//! that deliver an event twice, which is also what a client does whose push got no answer. Workers and
//! adopters, which between any two of their steps may stand still for as long as they like (that is
//! what a zombie is). Leases that may run out at any moment: time is not in the model, so nothing in
//! the proof depends on how long a lease is. And, in every order and at every step, up to a number of
//! faults:
//!
//! - a process crashes, and another takes its place;
//! - the answer to a command is lost ([`Fate::ReplyLost`]);
//! - a command whose sender has given up on it arrives at any later time ([`Fate::Late`]), or when
//!   there is nothing left to do for it, which is the same as never;
//! - the database is away until a worker has to stop ([`Action::GiveUp`]);
//! - the database fails on one claim, until its holder leaves it to its lease and goes on ([`Action::GiveWay`]);
//! - a lease that had run out is renewed (one that had not stays as it is);
//! - a worker is forgotten although it may be alive;
//! - in some explorations, a replica of Redis takes over, at any state that Redis has had since a replica confirmed the last
//!   one that was waited for ([`Action::Failover`]).
//!
//! **What it proves**, within the bounds of the [`Bounds`]: the properties in [`ALWAYS`], among
//! them that wherever the system comes to rest, each delivery is counted once and Redis is empty. That
//! every path does come to rest is another test: no state is ever seen again.
//!
//! **What it does not prove**: that the code does what the model does (the crash points and the chaos
//! test look at that), that Redis scripts and PostgreSQL transactions are atomic and durable, anything
//! about dead letters, or about larger bounds. Each [`Mutant`] breaks one rule of the protocol and
//! must be found out, so the model can fail.

mod actions;
mod bounds;
mod ids;
mod model;
mod mutant;
mod properties;
mod protocol;
mod remarks;
mod state;
mod steps;

use std::{collections::HashSet, time::Instant};

use stateright::{Checker, Model, Path};

use bounds::{
    Bounds, FAILOVERS, FAILOVERS_AND_PUSHES, FAILOVERS_OF_TWO_WORKERS, LATER_PUSHES, ONE_WORKER,
    TWO_ADOPTERS, TWO_WORKERS,
};
use mutant::Mutant;
use properties::{COUNTED_ONCE, NOT_LOST, RESTS};
use protocol::Protocol;
use state::State;

/// No mutant survives so many steps.
const LONGEST_REFUTATION: usize = 16;

/// Explores everything within the bounds and says how much that was.
fn prove(bounds: Bounds) {
    let mutant = None;
    let started = Instant::now();
    let checker = Protocol { bounds, mutant }
        .checker()
        .threads(2)
        .spawn_bfs()
        .join();
    println!(
        "{} states in {:.1?}",
        checker.unique_state_count(),
        started.elapsed()
    );
    assert!(checker.is_done());
    checker.assert_properties();
}

#[test]
fn one_worker_with_three_faults_neither_loses_nor_doubles() {
    prove(ONE_WORKER);
}

#[test]
fn two_workers_with_two_faults_neither_lose_nor_double() {
    prove(TWO_WORKERS);
}

#[test]
fn two_adopters_of_one_claim_with_three_faults_neither_lose_nor_double() {
    prove(TWO_ADOPTERS);
}

#[test]
fn pushes_that_go_on_during_two_faults_are_neither_lost_nor_doubled() {
    prove(LATER_PUSHES);
}

#[test]
fn failovers_under_one_worker_neither_lose_nor_double() {
    prove(FAILOVERS);
}

#[test]
fn failovers_under_two_workers_neither_lose_nor_double() {
    prove(FAILOVERS_OF_TWO_WORKERS);
}

#[test]
fn failovers_while_pushes_go_on_neither_lose_nor_double() {
    prove(FAILOVERS_AND_PUSHES);
}

#[test]
fn every_path_comes_to_rest() {
    fn visit(
        protocol: Protocol,
        state: State,
        path: &mut HashSet<State>,
        done: &mut HashSet<State>,
    ) {
        if done.contains(&state) {
            return;
        }
        assert!(path.insert(state.clone()), "a path comes back to {state:?}");
        for next in protocol.next_states(&state) {
            visit(protocol, next, path, done);
        }
        path.remove(&state);
        done.insert(state);
    }
    for bounds in [
        Bounds {
            faults: 1,
            ..TWO_WORKERS
        },
        Bounds {
            faults: 2,
            ..TWO_ADOPTERS
        },
    ] {
        let mutant = None;
        let protocol = Protocol { bounds, mutant };
        for state in protocol.init_states() {
            visit(protocol, state, &mut HashSet::new(), &mut HashSet::new());
        }
    }
}

/// Shows the shortest way in which a mutant, with the fewest faults, breaks a promise.
fn refute(mutant: Mutant, broken: &'static str) {
    refute_within(ONE_WORKER, mutant, broken);
}

fn refute_within(bounds: Bounds, mutant: Mutant, broken: &'static str) {
    let mut attempts = (0..=bounds.faults)
        .flat_map(|faults| (1..=LONGEST_REFUTATION).map(move |depth| (faults, depth)));
    let path = attempts.find_map(|(faults, depth)| {
        let protocol = Protocol {
            bounds: Bounds { faults, ..bounds },
            mutant: Some(mutant),
        };
        let checker = protocol.checker().target_max_depth(depth).spawn_bfs();
        checker.join().discovery(broken)
    });
    let path = path.map(Path::into_actions);
    println!("{mutant:?}: {path:?}");
    assert!(path.is_some(), "{mutant:?} is not found out");
}

#[test]
fn settling_before_the_commit_loses_events() {
    refute(Mutant::SettleBeforeCommit, RESTS);
}

#[test]
fn plain_rpop_loses_events() {
    refute(Mutant::PlainRpop, RESTS);
}

#[test]
fn recording_whatever_worker_claims_says_counts_twice() {
    refute(Mutant::WorkerClaimsIgnored, COUNTED_ONCE);
}

#[test]
fn an_adopter_with_an_identity_of_its_own_counts_twice() {
    refute(Mutant::AdopterTakesNewIdentity, COUNTED_ONCE);
}

#[test]
fn claiming_again_under_the_same_number_loses_events() {
    refute(Mutant::OwnerReusesNumberAfterLostClaim, NOT_LOST);
}

#[test]
fn releasing_an_adopted_claim_counts_twice() {
    refute(Mutant::ReleaseThoughAdopted, COUNTED_ONCE);
}

#[test]
fn releasing_what_may_be_committed_counts_twice() {
    refute(Mutant::ReleaseThoughUncertain, COUNTED_ONCE);
}

#[test]
fn forgetting_a_worker_that_has_a_claim_counts_twice() {
    refute(Mutant::ForgetWithoutCheck, COUNTED_ONCE);
}

#[test]
fn forgetting_a_worker_that_has_just_committed_counts_twice() {
    refute(Mutant::ForgetThoughUpdated, COUNTED_ONCE);
}

#[test]
fn going_on_with_the_next_number_loses_events() {
    refute(Mutant::GoesOnWithNextNumber, NOT_LOST);
}

#[test]
fn accepting_before_a_replica_has_it_loses_events() {
    refute_within(
        FAILOVERS_AND_PUSHES,
        Mutant::AcceptsBeforeReplicas,
        NOT_LOST,
    );
}

#[test]
fn recording_a_claim_before_a_replica_has_it_counts_twice() {
    refute_within(FAILOVERS, Mutant::ClaimsBeforeReplicas, COUNTED_ONCE);
}

#[test]
fn recording_an_adopted_claim_before_a_replica_has_it_counts_twice() {
    refute_within(FAILOVERS, Mutant::AdoptsBeforeReplicas, COUNTED_ONCE);
}

#[test]
fn handing_back_a_claim_that_gives_way_counts_twice() {
    refute(Mutant::GivesWayByRelease, COUNTED_ONCE);
}
