//! Which rule of the protocol is broken.

use clap::ValueEnum;

/// Rules of the protocol, each broken. A test that does not notice one of them proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mutant {
    /// Settles a claim before it is committed.
    SettleFirst,
    /// Takes events off the queue without keeping them anywhere, as a plain `RPOP` does.
    PlainRpop,
    /// Records a claim whatever `worker_claims` says.
    IgnoreWorkerClaims,
    /// Records an adopted claim under an identity of its own.
    AdoptAsNew,
}
