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
//! - a worker is forgotten although it may be alive.
//!
//! **What it proves**, within the bounds of the four [`Bounds`]: the properties in [`ALWAYS`], among
//! them that wherever the system comes to rest, each delivery is counted once and Redis is empty. That
//! every path does come to rest is another test: no state is ever seen again.
//!
//! **What it does not prove**: that the code does what the model does (the crash points and the chaos
//! test look at that), that Redis scripts and PostgreSQL transactions are atomic and durable, anything
//! about dead letters, or about larger bounds. Each [`Mutant`] breaks one rule of the protocol and
//! must be found out, so the model can fail.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
    time::Instant,
};

use stateright::{Checker, Model, Path, Property};

/// The bounds of one exploration.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// The event that each delivery is one of, in the order of their pushes.
    deliveries: &'static [u8],
    /// So many of them are pushed when the exploration begins.
    pushed: usize,
    batch_size: usize,
    workers: usize,
    adopters: usize,
    faults: u8,
}

/// One worker with claim after claim, and the most faults.
const ONE_WORKER: Bounds = Bounds {
    deliveries: &[0, 0],
    pushed: 2,
    batch_size: 1,
    workers: 1,
    adopters: 1,
    faults: 3,
};

/// No mutant survives so many steps.
const LONGEST_REFUTATION: usize = 16;

/// Two workers, each of which takes a part.
const TWO_WORKERS: Bounds = Bounds {
    workers: 2,
    faults: 2,
    ..ONE_WORKER
};

/// Two adopters that take the same claim from its owner and from each other.
const TWO_ADOPTERS: Bounds = Bounds {
    batch_size: 2,
    adopters: 2,
    ..ONE_WORKER
};

/// Pushes that go on meanwhile, so that claims differ in size.
const LATER_PUSHES: Bounds = Bounds {
    deliveries: &[0, 0, 1],
    pushed: 0,
    batch_size: 2,
    faults: 2,
    ..ONE_WORKER
};

/// One rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutant {
    /// A claim is settled before it is recorded.
    SettleBeforeCommit,
    /// A claim is only in its worker's memory.
    PlainRpop,
    /// A claim is counted whatever `worker_claims` says.
    WorkerClaimsIgnored,
    /// An adopted claim is recorded under an identity of the adopter's own.
    AdopterTakesNewIdentity,
    /// A worker whose claim got no answer claims again under the same number.
    OwnerReusesNumberAfterLostClaim,
    /// A worker hands back a claim that somebody else may be committing.
    ReleaseThoughAdopted,
    /// A worker hands back a claim that it may have committed.
    ReleaseThoughUncertain,
    /// A worker is forgotten whoever has a claim.
    ForgetWithoutCheck,
    /// A worker is forgotten although it has committed since it was looked at.
    ForgetThoughUpdated,
    /// A worker that gives up on a claim stays who it is.
    GoesOnWithNextNumber,
    /// A claim that others go before is handed back, although it may be committed.
    GivesWayByRelease,
}

/// A set of deliveries, one bit each: the position in [`Bounds::deliveries`]. Lists keep the order of
/// the pushes, and what is handed back goes to the front again, so a set says it all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
struct Deliveries(u8);

impl Deliveries {
    const fn first(count: usize) -> Self {
        Self((1 << count) - 1)
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        (0..8).filter(move |at| self.0 & (1 << at) != 0)
    }

    fn add(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// Takes the oldest, up to `max`.
    fn take(&mut self, max: usize) -> Self {
        let taken = Self(self.iter().take(max).map(|at| 1 << at).sum());
        self.0 &= !taken.0;
        taken
    }

    const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// An incarnation of a worker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct WorkerId {
    worker: usize,
    incarnation: u8,
}

impl WorkerId {
    const fn next(self) -> Self {
        Self {
            incarnation: self.incarnation + 1,
            ..self
        }
    }
}

impl fmt::Debug for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "W{}.{}", self.worker, self.incarnation)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct ClaimId {
    worker: WorkerId,
    number: u8,
}

impl fmt::Debug for ClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{}", self.worker, self.number)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Lease {
    Live,
    Expired,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Holder {
    Owner,
    Anyone,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recorded {
    Committed,
    AlreadyCommitted,
    UnknownWorker,
}

/// A command on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Command {
    Claim(ClaimId),
    Record(ClaimId, Deliveries),
    Settle(ClaimId),
    Release(ClaimId, Holder),
}

impl Command {
    const fn claim(self) -> ClaimId {
        match self {
            Self::Claim(id) | Self::Record(id, _) | Self::Settle(id) | Self::Release(id, _) => id,
        }
    }
}

/// What becomes of a command and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    ReplyLost,
    Late,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Todo {
    Record,
    Settle,
    Release(Holder),
}

/// A claim that somebody works on, as far as he knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Work {
    id: ClaimId,
    deliveries: Deliveries,
    todo: Todo,
    /// No attempt of his may have committed it without his knowing.
    certain: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Doing {
    Registering,
    Claiming,
    Working(Work),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Worker {
    /// Under which he is about to claim, or has.
    id: ClaimId,
    doing: Doing,
}

impl Worker {
    const fn new(id: WorkerId) -> Self {
        Self {
            id: ClaimId {
                worker: id,
                number: 1,
            },
            doing: Doing::Registering,
        }
    }

    const fn reborn(self) -> Self {
        Self::new(self.id.worker.next())
    }

    const fn next_number(self) -> Self {
        Self {
            id: ClaimId {
                number: self.id.number + 1,
                ..self.id
            },
            doing: Doing::Claiming,
        }
    }
}

/// Who works on claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Actor {
    Worker(usize),
    Adopter(usize),
}

/// How far the removal of a worker's row is: seen idle with this `last_claim` (the real one looks at
/// `updated_at`, which changes with it), and then seen without a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Forgetting {
    Idle(WorkerId, u8),
    HoldsNothing(WorkerId, u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
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
    /// What was late is there.
    Arrive(Command),
    IdleWorker(WorkerId),
    Holders,
    ForgetWorker,
}

/// What has just happened, where it is worth knowing that it does happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Remark {
    OwnerCommitsAfterAdoption,
    AdopterCommits,
    AdopterFindsItCommitted,
    OwnerFindsItCommittedByAdopter,
    RetryFindsItCommitted,
    ClaimArrivesLate,
    CommitArrivesLate,
    LateCommitIsRefused,
    ZombieSettlesAfterAdopter,
    ZombieSettlesBeforeAdopter,
    ReleaseRefused,
    ReleaseRepeated,
    ForgottenWorkerHandsBack,
    AdopterHandsBackForgotten,
    ForgetRefused,
    ForgetAbandoned,
    AdoptedFromAdopter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    // The clients.
    pushed: usize,
    // Redis.
    queue: Deliveries,
    claims: BTreeMap<ClaimId, Deliveries>,
    leases: BTreeMap<ClaimId, Lease>,
    adopted: BTreeSet<ClaimId>,
    late: BTreeSet<Command>,
    // PostgreSQL.
    worker_claims: BTreeMap<WorkerId, u8>,
    stored: BTreeSet<u8>,
    received: u8,
    unique: u8,
    duplicate: u8,
    // The processes.
    workers: Vec<Worker>,
    adopters: Vec<Option<Work>>,
    forgetting: Option<Forgetting>,
    // What only the observer knows.
    counted: Vec<u8>,
    faults_left: u8,
    remark: Option<Remark>,
}

/// The scripts.
impl State {
    fn claim(&mut self, id: ClaimId, max: usize) -> Deliveries {
        let taken = self.queue.take(max);
        if !taken.is_empty() {
            self.leases.insert(id, Lease::Live);
            self.claims.entry(id).or_default().add(taken);
        }
        taken
    }

    fn settle(&mut self, id: ClaimId) {
        self.claims.remove(&id);
        self.leases.remove(&id);
        self.adopted.remove(&id);
    }

    fn release(&mut self, id: ClaimId, holder: Holder) -> bool {
        if !self.leases.contains_key(&id) || (holder == Holder::Owner && self.adopted.contains(&id))
        {
            return false;
        }
        let deliveries = self.claims.remove(&id).unwrap_or_default();
        self.queue.add(deliveries);
        self.leases.remove(&id);
        self.adopted.remove(&id);
        true
    }

    fn adopt(&mut self, id: ClaimId) -> Deliveries {
        self.adopted.insert(id);
        self.leases.insert(id, Lease::Live);
        self.claims.get(&id).copied().unwrap_or_default()
    }
}

impl State {
    fn work(&self, actor: Actor) -> Option<Work> {
        match actor {
            Actor::Worker(at) => match self.workers[at].doing {
                Doing::Working(work) => Some(work),
                Doing::Registering | Doing::Claiming => None,
            },
            Actor::Adopter(at) => self.adopters[at],
        }
    }

    fn set_work(&mut self, actor: Actor, work: Work) {
        match actor {
            Actor::Worker(at) => self.workers[at].doing = Doing::Working(work),
            Actor::Adopter(at) => self.adopters[at] = Some(work),
        }
    }

    /// The claim is committed and settled, as far as its holder cares.
    fn done(&mut self, actor: Actor) {
        match actor {
            Actor::Worker(at) => self.workers[at] = self.workers[at].next_number(),
            Actor::Adopter(at) => self.adopters[at] = None,
        }
    }

    /// Its holder will not touch the claim again: a worker is a new one.
    fn given_up(&mut self, actor: Actor, mutant: Option<Mutant>) {
        match actor {
            Actor::Worker(_) if mutant == Some(Mutant::GoesOnWithNextNumber) => self.done(actor),
            Actor::Worker(at) => self.workers[at] = self.workers[at].reborn(),
            Actor::Adopter(at) => self.adopters[at] = None,
        }
    }

    fn actors(&self) -> impl Iterator<Item = Actor> + use<> {
        let workers = (0..self.workers.len()).map(Actor::Worker);
        workers.chain((0..self.adopters.len()).map(Actor::Adopter))
    }

    fn idle_adopter(&self) -> Option<usize> {
        self.adopters.iter().position(Option::is_none)
    }

    /// Whether anybody may still ask for this worker's row.
    fn is_in_use(&self, id: WorkerId) -> bool {
        let working = self.actors().filter_map(|actor| self.work(actor));
        let late = self.late.iter().map(|command| command.claim());
        let mut ids = (self.workers.iter().map(|worker| worker.id))
            .chain(working.map(|work| work.id))
            .chain(late)
            .chain(self.leases.keys().copied());
        ids.any(|claim| claim.worker == id)
    }

    fn is_counted(&self, delivery: usize) -> bool {
        self.counted[delivery] > 0
    }

    /// In how many lists of Redis a delivery is.
    fn places(&self, delivery: usize) -> usize {
        let lists = self.claims.values().chain([&self.queue]);
        lists
            .filter(|list| list.iter().any(|at| at == delivery))
            .count()
    }
}

#[derive(Debug, Clone, Copy)]
struct Protocol {
    bounds: Bounds,
    mutant: Option<Mutant>,
}

impl Protocol {
    fn is(self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// The transaction.
    fn record(self, state: &mut State, id: ClaimId, deliveries: Deliveries) -> Recorded {
        if !self.is(Mutant::WorkerClaimsIgnored) {
            match state.worker_claims.get_mut(&id.worker) {
                None => return Recorded::UnknownWorker,
                Some(last_claim) if *last_claim >= id.number => return Recorded::AlreadyCommitted,
                Some(last_claim) => *last_claim = id.number,
            }
        }
        for delivery in deliveries.iter() {
            state.received += 1;
            if state.stored.insert(self.bounds.deliveries[delivery]) {
                state.unique += 1;
            } else {
                state.duplicate += 1;
            }
            state.counted[delivery] += 1;
        }
        Recorded::Committed
    }

    fn claim(self, state: &mut State, at: usize, fate: Fate) {
        let id = state.workers[at].id;
        if fate == Fate::Late {
            state.late.insert(Command::Claim(id));
        } else {
            let deliveries = if self.is(Mutant::PlainRpop) {
                state.queue.take(self.bounds.batch_size)
            } else {
                state.claim(id, self.bounds.batch_size)
            };
            if fate == Fate::Answered {
                let todo = if self.is(Mutant::SettleBeforeCommit) {
                    Todo::Settle
                } else {
                    Todo::Record
                };
                let work = Work {
                    id,
                    deliveries,
                    todo,
                    certain: true,
                };
                return state.set_work(Actor::Worker(at), work);
            }
        }
        if !self.is(Mutant::OwnerReusesNumberAfterLostClaim) {
            state.workers[at] = state.workers[at].reborn();
        }
    }

    fn work_on_record(self, state: &mut State, actor: Actor, fate: Fate) {
        let Some(mut work) = state.work(actor) else {
            return;
        };
        let id = self.recorded_as(actor, work.id);
        if fate == Fate::Late {
            state.late.insert(Command::Record(id, work.deliveries));
        } else {
            let recorded = self.record(state, id, work.deliveries);
            if fate == Fate::Answered {
                state.remark = remark_on_record(state, actor, work, recorded);
                return self.recorded(state, actor, work, recorded);
            }
        }
        work.certain = false;
        state.set_work(actor, work);
    }

    fn recorded(self, state: &mut State, actor: Actor, mut work: Work, recorded: Recorded) {
        match recorded {
            Recorded::Committed | Recorded::AlreadyCommitted
                if self.is(Mutant::SettleBeforeCommit) && matches!(actor, Actor::Worker(_)) =>
            {
                return state.done(actor);
            }
            Recorded::Committed | Recorded::AlreadyCommitted => work.todo = Todo::Settle,
            Recorded::UnknownWorker if work.certain => work.todo = Todo::Release(Holder::Anyone),
            Recorded::UnknownWorker => return state.given_up(actor, self.mutant),
        }
        state.set_work(actor, work);
    }

    fn recorded_as(self, actor: Actor, id: ClaimId) -> ClaimId {
        match actor {
            Actor::Adopter(at) if self.is(Mutant::AdopterTakesNewIdentity) => ClaimId {
                worker: WorkerId {
                    worker: self.bounds.workers + at,
                    incarnation: id.worker.incarnation,
                },
                number: id.number,
            },
            _ => id,
        }
    }

    fn work_on_settle(self, state: &mut State, actor: Actor, fate: Fate) {
        let Some(work) = state.work(actor) else {
            return;
        };
        if fate == Fate::Late {
            state.late.insert(Command::Settle(work.id));
        } else {
            state.remark = remark_on_settle(state, actor, work.id);
            state.settle(work.id);
        }
        if fate == Fate::ReplyLost {
            return; // It is repeated.
        }
        if self.is(Mutant::SettleBeforeCommit) && matches!(actor, Actor::Worker(_)) {
            let todo = Todo::Record;
            state.set_work(actor, Work { todo, ..work });
        } else {
            state.done(actor);
        }
    }

    fn work_on_release(self, state: &mut State, actor: Actor, fate: Fate) {
        let Some(Work {
            id,
            todo: Todo::Release(holder),
            ..
        }) = state.work(actor)
        else {
            return;
        };
        if fate == Fate::Late {
            state.late.insert(Command::Release(id, holder));
        } else {
            state.remark = remark_on_release(state, actor, id, holder);
            state.release(id, holder);
        }
        if fate != Fate::ReplyLost {
            state.given_up(actor, self.mutant);
        }
    }

    /// Told to stop while the database is away.
    fn give_up(self, state: &mut State, actor: Actor) {
        let Some(mut work) = state.work(actor) else {
            return;
        };
        let may_release = work.certain || self.is(Mutant::ReleaseThoughUncertain);
        if matches!(actor, Actor::Worker(_)) && may_release {
            work.todo = Todo::Release(if self.is(Mutant::ReleaseThoughAdopted) {
                Holder::Anyone
            } else {
                Holder::Owner
            });
            state.set_work(actor, work);
        } else {
            state.given_up(actor, self.mutant);
        }
    }

    /// Others go first. Whether it may be committed makes no difference: it is left to its lease.
    fn give_way(self, state: &mut State, actor: Actor) {
        if let Some(work) = state.work(actor)
            && self.is(Mutant::GivesWayByRelease)
        {
            state.release(work.id, Holder::Owner);
        }
        state.given_up(actor, self.mutant);
    }

    fn adopt(self, state: &mut State, at: usize, id: ClaimId, fate: Fate) {
        let again = state.adopted.contains(&id);
        let deliveries = state.adopt(id);
        if fate != Fate::Answered {
            return;
        }
        state.remark = again.then_some(Remark::AdoptedFromAdopter);
        let actor = Actor::Adopter(at);
        if self.is(Mutant::AdopterTakesNewIdentity) {
            let own = self.recorded_as(actor, id).worker;
            state.worker_claims.entry(own).or_default();
        }
        let work = Work {
            id,
            deliveries,
            todo: Todo::Record,
            certain: true,
        };
        state.set_work(actor, work);
    }

    fn arrive(self, state: &mut State, command: Command) {
        state.late.remove(&command);
        match command {
            Command::Claim(id) => {
                let taken = state.claim(id, self.bounds.batch_size);
                state.remark = (!taken.is_empty()).then_some(Remark::ClaimArrivesLate);
            }
            Command::Record(id, deliveries) => {
                state.remark = Some(match self.record(state, id, deliveries) {
                    Recorded::Committed => Remark::CommitArrivesLate,
                    _ => Remark::LateCommitIsRefused,
                });
            }
            Command::Settle(id) => state.settle(id),
            Command::Release(id, holder) => {
                state.release(id, holder);
            }
        }
    }

    fn holders(self, state: &mut State) {
        if let Some(Forgetting::Idle(id, last_claim)) = state.forgetting {
            let holds = state.leases.keys().any(|lease| lease.worker == id);
            state.forgetting = if holds && !self.is(Mutant::ForgetWithoutCheck) {
                state.remark = Some(Remark::ForgetAbandoned);
                None
            } else {
                Some(Forgetting::HoldsNothing(id, last_claim))
            };
        }
    }

    fn forget_worker(self, state: &mut State) {
        if let Some(Forgetting::HoldsNothing(id, last_claim)) = state.forgetting.take() {
            let unchanged = state.worker_claims.get(&id) == Some(&last_claim);
            if unchanged || self.is(Mutant::ForgetThoughUpdated) {
                state.worker_claims.remove(&id);
            } else {
                state.remark = Some(Remark::ForgetRefused);
            }
        }
    }

    /// What happens without any fault.
    fn steps(self, state: &State, actions: &mut Vec<Action>) {
        if state.pushed < self.bounds.deliveries.len() {
            actions.push(Action::Push);
        }
        for (at, worker) in state.workers.iter().enumerate() {
            match worker.doing {
                Doing::Registering => actions.push(Action::Register(at)),
                Doing::Claiming if !state.queue.is_empty() => {
                    actions.push(Action::Claim(at, Fate::Answered));
                }
                Doing::Claiming | Doing::Working(_) => {}
            }
        }
        for actor in state.actors() {
            actions.extend(state.work(actor).map(|work| match work.todo {
                Todo::Record => Action::Record(actor, Fate::Answered),
                Todo::Settle => Action::Settle(actor, Fate::Answered),
                Todo::Release(_) => Action::Release(actor, Fate::Answered),
            }));
        }
        // Adopters are alike. While all are busy it makes no difference whether a lease runs out.
        if let Some(at) = state.idle_adopter() {
            actions.extend(state.leases.iter().map(|(&id, lease)| match lease {
                Lease::Live => Action::Expire(id),
                Lease::Expired => Action::Adopt(at, id, Fate::Answered),
            }));
        }
        actions.extend(state.late.iter().map(|&command| Action::Arrive(command)));
        actions.extend(state.forgetting.map(|forgetting| match forgetting {
            Forgetting::Idle(..) => Action::Holders,
            Forgetting::HoldsNothing(..) => Action::ForgetWorker,
        }));
    }

    /// What may go wrong.
    fn faults(state: &State, actions: &mut Vec<Action>) {
        for (at, worker) in state.workers.iter().enumerate() {
            if worker.doing == Doing::Claiming {
                actions.push(Action::Claim(at, Fate::Late));
                if !state.queue.is_empty() {
                    actions.push(Action::Claim(at, Fate::ReplyLost));
                }
            }
            if worker.doing != Doing::Registering {
                actions.push(Action::Crash(Actor::Worker(at)));
            }
        }
        for at in 0..state.adopters.len() {
            if state.adopters[at].is_some() {
                actions.push(Action::Crash(Actor::Adopter(at)));
            }
        }
        for actor in state.actors() {
            let Some(work) = state.work(actor) else {
                continue;
            };
            if state.leases.get(&work.id) == Some(&Lease::Expired) {
                actions.push(Action::Renew(actor));
            }
            for fate in [Fate::ReplyLost, Fate::Late] {
                actions.push(match work.todo {
                    Todo::Record => Action::Record(actor, fate),
                    Todo::Settle => Action::Settle(actor, fate),
                    Todo::Release(_) => Action::Release(actor, fate),
                });
            }
            if work.todo == Todo::Record {
                actions.extend([Action::GiveUp(actor), Action::GiveWay(actor)]);
            }
        }
        if let Some(at) = state.idle_adopter() {
            let expired = state
                .leases
                .iter()
                .filter(|(_, lease)| **lease == Lease::Expired);
            actions.extend(expired.map(|(&id, _)| Action::Adopt(at, id, Fate::ReplyLost)));
        }
        // To forget a worker that nobody asks for any more makes no difference.
        if state.forgetting.is_none() {
            let known = state
                .worker_claims
                .keys()
                .filter(|&&id| state.is_in_use(id));
            actions.extend(known.map(|&id| Action::IdleWorker(id)));
        }
    }

    fn is_at_rest(self, state: &State) -> bool {
        let mut steps = Vec::new();
        self.steps(state, &mut steps);
        steps.is_empty()
    }
}

const fn is_fault(action: Action) -> bool {
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
        | Action::IdleWorker(_) => true,
        Action::Push
        | Action::Register(_)
        | Action::Expire(_)
        | Action::Arrive(_)
        | Action::Holders
        | Action::ForgetWorker => false,
    }
}

fn remark_on_record(state: &State, actor: Actor, work: Work, recorded: Recorded) -> Option<Remark> {
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

fn remark_on_settle(state: &State, actor: Actor, id: ClaimId) -> Option<Remark> {
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

fn remark_on_release(state: &State, actor: Actor, id: ClaimId, holder: Holder) -> Option<Remark> {
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

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let worker = |worker| {
            Worker::new(WorkerId {
                worker,
                incarnation: 0,
            })
        };
        vec![State {
            pushed: self.bounds.pushed,
            queue: Deliveries::first(self.bounds.pushed),
            claims: BTreeMap::new(),
            leases: BTreeMap::new(),
            adopted: BTreeSet::new(),
            late: BTreeSet::new(),
            worker_claims: BTreeMap::new(),
            stored: BTreeSet::new(),
            received: 0,
            unique: 0,
            duplicate: 0,
            workers: (0..self.bounds.workers).map(worker).collect(),
            adopters: vec![None; self.bounds.adopters],
            forgetting: None,
            counted: vec![0; self.bounds.deliveries.len()],
            faults_left: self.bounds.faults,
            remark: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.steps(state, actions);
        if state.faults_left > 0 {
            Self::faults(state, actions);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        state.remark = None;
        state.faults_left -= u8::from(is_fault(action));
        match action {
            Action::Push => {
                state.queue.add(Deliveries(1 << state.pushed));
                state.pushed += 1;
            }
            Action::Register(at) => {
                let worker = &mut state.workers[at];
                state.worker_claims.insert(worker.id.worker, 0);
                worker.doing = Doing::Claiming;
            }
            Action::Claim(at, fate) => self.claim(&mut state, at, fate),
            Action::Record(actor, fate) => self.work_on_record(&mut state, actor, fate),
            Action::Settle(actor, fate) => self.work_on_settle(&mut state, actor, fate),
            Action::Release(actor, fate) => self.work_on_release(&mut state, actor, fate),
            Action::Renew(actor) => {
                let id = state.work(actor)?.id;
                state.leases.insert(id, Lease::Live);
            }
            Action::Adopt(at, id, fate) => self.adopt(&mut state, at, id, fate),
            Action::GiveUp(actor) => self.give_up(&mut state, actor),
            Action::GiveWay(actor) => self.give_way(&mut state, actor),
            Action::Crash(Actor::Worker(at)) => state.workers[at] = state.workers[at].reborn(),
            Action::Crash(Actor::Adopter(at)) => state.adopters[at] = None,
            Action::Expire(id) => {
                state.leases.insert(id, Lease::Expired);
            }
            Action::Arrive(command) => self.arrive(&mut state, command),
            Action::IdleWorker(id) => {
                state.forgetting = Some(Forgetting::Idle(id, state.worker_claims[&id]));
            }
            Action::Holders => self.holders(&mut state),
            Action::ForgetWorker => self.forget_worker(&mut state),
        }
        state.adopters.sort_unstable();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let always = ALWAYS.map(|(name, holds)| Property::always(name, holds));
        let sometimes = SOMETIMES.map(|(name, seen)| Property::sometimes(name, seen));
        always.into_iter().chain(sometimes).collect()
    }
}

type Condition = fn(&Protocol, &State) -> bool;

const NOT_LOST: &str = "an accepted event is in the queue, in a claim with a lease, or counted";
const ONE_PLACE: &str = "an event is in one list of Redis at most";
const COUNTED_ONCE: &str = "a delivery is counted at most once";
const STAYS_COUNTED: &str = "what goes back to the queue was not counted";
const ADDS_UP: &str = "the counters agree with each other, the events and the deliveries";
const LEASED: &str = "what is claimed or adopted has a lease";
const RESTS: &str = "at rest each delivery is counted once and Redis is empty";

const ALWAYS: [(&str, Condition); 7] = [
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

const SOMETIMES: [(&str, Condition); 17] = {
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
    let mut attempts = (0..=ONE_WORKER.faults)
        .flat_map(|faults| (1..=LONGEST_REFUTATION).map(move |depth| (faults, depth)));
    let path = attempts.find_map(|(faults, depth)| {
        let protocol = Protocol {
            bounds: Bounds {
                faults,
                ..ONE_WORKER
            },
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
fn handing_back_a_claim_that_gives_way_counts_twice() {
    refute(Mutant::GivesWayByRelease, COUNTED_ONCE);
}
