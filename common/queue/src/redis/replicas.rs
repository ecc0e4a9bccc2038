//! How many replicas must have what was written, before anything is promised or done because of it.
//!
//! [`WAIT`](https://redis.io/docs/latest/commands/wait/) goes behind the command over the same connection. It counts the replicas
//! that have confirmed all that this connection has written. Replication is a prefix: who has the last write has all before it.

use std::time::Duration;

use redis::{
    ErrorKind, FromRedisValue, Pipeline, RedisResult, ScriptInvocation, ServerErrorKind,
    aio::MultiplexedConnection,
};

use super::{carried::carry, scripts::millis};

/// How long the replicas may take. A command that they take longer for has failed.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(1);

/// How many replicas must have what was written. None: they are not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Replicas(pub(super) u8);

/// The server has done it, and a failover may undo it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "only {confirmed} of {wanted} replicas have confirmed it within {} s; see REDIS_WAIT_REPLICAS, and whether they follow \
     their primary",
    CONFIRMED_WITHIN.as_secs()
)]
pub(super) struct TooFew {
    confirmed: u64,
    wanted: u8,
}

impl Replicas {
    pub(super) const fn are_asked(self) -> bool {
        self.0 > 0
    }

    /// Asks behind the other commands of a pipeline. The last answer is what [`Self::check`] takes.
    pub(super) fn ask(self, pipeline: &mut Pipeline) {
        pipeline
            .cmd("WAIT")
            .arg(self.0)
            .arg(millis(CONFIRMED_WITHIN));
    }

    /// # Errors
    /// [`TooFew`], wrapped.
    pub(super) fn check(self, confirmed: u64) -> RedisResult<()> {
        if confirmed >= self.0.into() {
            return Ok(());
        }
        Err(carry(TooFew {
            confirmed,
            wanted: self.0,
        }))
    }

    /// Runs a script, and asks whether the replicas have what it has written, unless `is_nothing` says that it has written
    /// nothing that matters.
    pub(super) async fn invoke<T: FromRedisValue>(
        self,
        script: &ScriptInvocation<'_>,
        redis: &mut MultiplexedConnection,
        is_nothing: impl FnOnce(&T) -> bool,
    ) -> RedisResult<T> {
        if !self.are_asked() {
            return script.invoke_async(redis).await;
        }
        let mut pipeline = redis::pipe();
        pipeline.invoke_script(script);
        self.ask(&mut pipeline);
        let mut answer = pipeline.query_async(redis).await;
        // Then it has not run.
        if answer.as_ref().is_err_and(is_unknown_script) {
            script.load_async(redis).await?;
            answer = pipeline.query_async(redis).await;
        }
        let (done, confirmed): (T, u64) = answer?;
        if !is_nothing(&done) {
            self.check(confirmed)?;
        }
        Ok(done)
    }
}

fn is_unknown_script(error: &redis::RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

#[cfg(test)]
mod tests {
    use super::{super::carried::carried, *};

    #[test]
    fn fewer_replicas_than_wanted_are_too_few() {
        assert!(Replicas::default().check(0).is_ok());
        assert!(Replicas(1).check(2).is_ok());
        let error = Replicas(2).check(1).unwrap_err();
        let too_few: TooFew = carried(&error).unwrap();
        assert!(too_few.to_string().contains("only 1 of 2"), "{too_few}");
    }
}
