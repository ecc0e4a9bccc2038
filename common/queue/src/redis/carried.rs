//! Errors of this crate that pass through the driver, because they show within one of its calls.

use std::{error::Error, io, sync::Arc};

use redis::RedisError;

/// Wraps an error, so that the driver can pass it on.
pub(super) fn carry(error: impl Error + Send + Sync + 'static) -> RedisError {
    io::Error::other(error).into()
}

/// Finds what [`carry`] has wrapped.
pub(super) fn carried<T: Error + Clone + 'static>(error: &RedisError) -> Option<T> {
    let source = error.source()?;
    let source = match source.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
        Some(shared) => &**shared,
        None => source,
    };
    let inner = source.downcast_ref::<io::Error>()?.get_ref()?;
    inner.downcast_ref().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, thiserror::Error)]
    #[error("made up for a test")]
    struct MadeUp;

    #[test]
    fn what_was_carried_is_found() {
        assert_eq!(carried(&carry(MadeUp)), Some(MadeUp));
        assert_eq!(carried::<MadeUp>(&carry(io::Error::other("other"))), None);
    }
}
