//! What Redis, PostgreSQL and the processes hold at one moment, and the scripts of Redis.

use std::{collections::BTreeMap, collections::BTreeSet};

use super::{
    ids::{ClaimId, Deliveries, WorkerId},
    mutant::Mutant,
};

/// What has just happened, where it is worth knowing that it does happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Remark {
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Lease {
    Live,
    Expired,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Holder {
    Owner,
    Anyone,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recorded {
    Committed,
    AlreadyCommitted,
    UnknownWorker,
}

/// A command on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Command {
    Claim(ClaimId),
    Record(ClaimId, Deliveries),
    Settle(ClaimId),
    Release(ClaimId, Holder),
}

impl Command {
    pub(super) const fn claim(self) -> ClaimId {
        match self {
            Self::Claim(id) | Self::Record(id, _) | Self::Settle(id) | Self::Release(id, _) => id,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Todo {
    Record,
    Settle,
    Release(Holder),
}

/// A claim that somebody works on, as far as he knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Work {
    pub(super) id: ClaimId,
    pub(super) deliveries: Deliveries,
    pub(super) todo: Todo,
    /// No attempt of his may have committed it without his knowing.
    pub(super) certain: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Doing {
    Registering,
    Claiming,
    Working(Work),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Worker {
    /// Under which he is about to claim, or has.
    pub(super) id: ClaimId,
    pub(super) doing: Doing,
}

impl Worker {
    pub(super) const fn new(id: WorkerId) -> Self {
        Self {
            id: ClaimId {
                worker: id,
                number: 1,
            },
            doing: Doing::Registering,
        }
    }

    pub(super) const fn reborn(self) -> Self {
        Self::new(self.id.worker.next())
    }

    pub(super) const fn next_number(self) -> Self {
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
pub(super) enum Actor {
    Worker(usize),
    Adopter(usize),
}

/// How far the removal of a worker's row is: seen idle with this `last_claim` (the real one looks at
/// `updated_at`, which changes with it), and then seen without a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Forgetting {
    Idle(WorkerId, u8),
    HoldsNothing(WorkerId, u8),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    // The clients.
    pub(super) pushed: usize,
    // Redis.
    pub(super) queue: Deliveries,
    pub(super) claims: BTreeMap<ClaimId, Deliveries>,
    pub(super) leases: BTreeMap<ClaimId, Lease>,
    pub(super) adopted: BTreeSet<ClaimId>,
    pub(super) late: BTreeSet<Command>,
    /// Earlier states of Redis that its replica may be at: those since the last one that a replica has confirmed.
    pub(super) behind: BTreeSet<Redis>,
    // PostgreSQL.
    pub(super) worker_claims: BTreeMap<WorkerId, u8>,
    pub(super) stored: BTreeSet<u8>,
    pub(super) received: u8,
    pub(super) unique: u8,
    pub(super) duplicate: u8,
    // The processes.
    pub(super) workers: Vec<Worker>,
    pub(super) adopters: Vec<Option<Work>>,
    pub(super) forgetting: Option<Forgetting>,
    // What only the observer knows.
    pub(super) counted: Vec<u8>,
    pub(super) faults_left: u8,
    pub(super) remark: Option<Remark>,
}

/// What is replicated.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Redis {
    queue: Deliveries,
    claims: BTreeMap<ClaimId, Deliveries>,
    leases: BTreeMap<ClaimId, Lease>,
    adopted: BTreeSet<ClaimId>,
}

impl State {
    pub(super) fn redis(&self) -> Redis {
        Redis {
            queue: self.queue,
            claims: self.claims.clone(),
            leases: self.leases.clone(),
            adopted: self.adopted.clone(),
        }
    }

    /// A replica takes over. What is on its way to the former primary never arrives at this one.
    pub(super) fn fail_over(&mut self, at: usize) {
        let Some(redis) = self.behind.iter().nth(at).cloned() else {
            return;
        };
        self.queue = redis.queue;
        self.claims = redis.claims;
        self.leases = redis.leases;
        self.adopted = redis.adopted;
        self.behind.clear();
        self.late
            .retain(|command| matches!(command, Command::Record(..)));
    }
}

/// The scripts.
impl State {
    pub(super) fn claim(&mut self, id: ClaimId, max: usize) -> Deliveries {
        let taken = self.queue.take(max);
        if !taken.is_empty() {
            self.leases.insert(id, Lease::Live);
            self.claims.entry(id).or_default().add(taken);
        }
        taken
    }

    pub(super) fn settle(&mut self, id: ClaimId) {
        self.claims.remove(&id);
        self.leases.remove(&id);
        self.adopted.remove(&id);
    }

    pub(super) fn release(&mut self, id: ClaimId, holder: Holder) -> bool {
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

    pub(super) fn adopt(&mut self, id: ClaimId) -> Deliveries {
        self.adopted.insert(id);
        self.leases.insert(id, Lease::Live);
        self.claims.get(&id).copied().unwrap_or_default()
    }
}

impl State {
    pub(super) fn work(&self, actor: Actor) -> Option<Work> {
        match actor {
            Actor::Worker(at) => match self.workers[at].doing {
                Doing::Working(work) => Some(work),
                Doing::Registering | Doing::Claiming => None,
            },
            Actor::Adopter(at) => self.adopters[at],
        }
    }

    pub(super) fn set_work(&mut self, actor: Actor, work: Work) {
        match actor {
            Actor::Worker(at) => self.workers[at].doing = Doing::Working(work),
            Actor::Adopter(at) => self.adopters[at] = Some(work),
        }
    }

    /// The claim is committed and settled, as far as its holder cares.
    pub(super) fn done(&mut self, actor: Actor) {
        match actor {
            Actor::Worker(at) => self.workers[at] = self.workers[at].next_number(),
            Actor::Adopter(at) => self.adopters[at] = None,
        }
    }

    /// Its holder will not touch the claim again: a worker is a new one.
    pub(super) fn given_up(&mut self, actor: Actor, mutant: Option<Mutant>) {
        match actor {
            Actor::Worker(_) if mutant == Some(Mutant::GoesOnWithNextNumber) => self.done(actor),
            Actor::Worker(at) => self.workers[at] = self.workers[at].reborn(),
            Actor::Adopter(at) => self.adopters[at] = None,
        }
    }

    pub(super) fn actors(&self) -> impl Iterator<Item = Actor> + use<> {
        let workers = (0..self.workers.len()).map(Actor::Worker);
        workers.chain((0..self.adopters.len()).map(Actor::Adopter))
    }

    pub(super) fn idle_adopter(&self) -> Option<usize> {
        self.adopters.iter().position(Option::is_none)
    }

    /// Whether anybody may still ask for this worker's row.
    pub(super) fn is_in_use(&self, id: WorkerId) -> bool {
        let working = self.actors().filter_map(|actor| self.work(actor));
        let late = self.late.iter().map(|command| command.claim());
        let mut ids = (self.workers.iter().map(|worker| worker.id))
            .chain(working.map(|work| work.id))
            .chain(late)
            .chain(self.leases.keys().copied())
            .chain(
                self.behind
                    .iter()
                    .flat_map(|redis| redis.leases.keys().copied()),
            );
        ids.any(|claim| claim.worker == id)
    }

    pub(super) fn is_counted(&self, delivery: usize) -> bool {
        self.counted[delivery] > 0
    }

    /// In how many lists of Redis a delivery is.
    pub(super) fn places(&self, delivery: usize) -> usize {
        let lists = self.claims.values().chain([&self.queue]);
        lists
            .filter(|list| list.iter().any(|at| at == delivery))
            .count()
    }
}
