//! Why a server that answers must not be given events.

use std::{error::Error, io, sync::Arc};

use redis::RedisError;

/// Why a server that answers must not be given events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// When its memory is full, it removes keys, and the queue is one of them.
    #[error(
        "its maxmemory-policy is {0}, which may throw the queue away; set it to noeviction \
         (CONFIG SET maxmemory-policy noeviction)"
    )]
    Evicts(String),
    /// It is a copy of another server and does not accept writes.
    #[error("it is a read-only replica; point REDIS_URL at its primary")]
    Replica,
    /// It does not know all commands that the queue needs.
    #[error("its version is {0}, which is too old; the queue needs Redis 7 or later")]
    TooOld(String),
}

/// In this form it passes through the driver.
impl From<Unfit> for RedisError {
    fn from(unfit: Unfit) -> Self {
        io::Error::other(unfit).into()
    }
}

impl Unfit {
    /// Finds it in an error of the driver.
    pub(super) fn find(error: &RedisError) -> Option<Self> {
        let source = error.source()?;
        let source = match source.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
            Some(shared) => &**shared,
            None => source,
        };
        let inner = source.downcast_ref::<io::Error>()?.get_ref()?;
        inner.downcast_ref().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_in_the_error_of_the_driver() {
        let error = RedisError::from(Unfit::Replica);
        assert_eq!(Unfit::find(&error), Some(Unfit::Replica));
        let other = RedisError::from(io::Error::other("other"));
        assert_eq!(Unfit::find(&other), None);
    }
}
