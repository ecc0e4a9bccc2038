//! Why the server did not do what it was asked.

use redis::RedisError;
use tls::trust::Distrust;

use super::{carried::carried, replicas::TooFew, unfit::Unfit};
use crate::QueueError;

/// Why the server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It is away, or refused the command.
    #[error("redis: {0}")]
    Redis(#[source] RedisError),
    /// It is not the server that was meant, as far as its certificate tells.
    #[error("redis is not trusted: {}", .0.advice("REDIS_CA_CERT", "REDIS_URL"))]
    Untrusted(Distrust),
    /// It answers, but would not keep the queue.
    #[error("redis: {0}")]
    Unfit(#[source] Unfit),
    /// It has done it, and a failover may undo it.
    #[error("redis: {0}")]
    Unreplicated(#[source] TooFew),
    /// Another program has written something under the queue's keys.
    #[error("{0:?} is among the leases and is not a claim; remove it")]
    Foreign(String),
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        if let Some(unfit) = carried(&error) {
            return Self::Unfit(unfit);
        }
        if let Some(too_few) = carried(&error) {
            return Self::Unreplicated(too_few);
        }
        match Distrust::find(&error) {
            Some(distrust) => Self::Untrusted(distrust),
            None => Self::Redis(error),
        }
    }
}

impl From<Failure> for QueueError {
    fn from(failure: Failure) -> Self {
        Self::new(failure)
    }
}
