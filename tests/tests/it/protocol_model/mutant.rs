//! Rules of the protocol that are broken on purpose.

/// One rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutant {
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
    /// A push is accepted before a replica has it.
    AcceptsBeforeReplicas,
    /// A claim is recorded before a replica has it.
    ClaimsBeforeReplicas,
    /// An adopted claim is recorded before a replica has it.
    AdoptsBeforeReplicas,
}
