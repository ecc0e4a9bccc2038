//! What a new connection asks before it is used: whether its server may be given events at all, and which process it is.
//!
//! `HELLO` needs no right, and names version and role. Only `INFO` names the run id.

use std::collections::HashMap;

use redis::{
    ErrorKind, FromRedisValue, InfoDict, RedisError, RedisResult, ServerErrorKind, Value,
    aio::MultiplexedConnection,
};

use super::{carried::carry, unfit::Unfit};

/// The oldest version that knows the flags of the scripts.
const OLDEST_MAJOR: u32 = 7;

/// Answers the run id of the server process, where it may be asked.
///
/// # Errors
/// [`Unfit`], wrapped, if the server is too old or a replica; else what the server answered.
pub(super) async fn greet(redis: &mut MultiplexedConnection) -> RedisResult<Option<String>> {
    let hello = redis::cmd("HELLO")
        .query_async::<HashMap<String, Value>>(redis)
        .await;
    let hello = allowed(hello)?.unwrap_or_default();
    let info = redis::cmd("INFO")
        .arg("server")
        .query_async::<InfoDict>(redis)
        .await;
    let info = allowed(info)?;
    let said = |name: &str| String::from_redis_value_ref(hello.get(name)?).ok();
    let told = |name: &str| info.as_ref()?.get::<String>(name);
    let (version, role) = (
        said("version").or_else(|| told("redis_version")),
        said("role"),
    );
    match check(version, role.as_deref()) {
        Ok(()) => Ok(told("run_id")),
        Err(unfit) => Err(carry(unfit)),
    }
}

/// What is not known is not complained about.
fn check(version: Option<String>, role: Option<&str>) -> Result<(), Unfit> {
    if let Some(version) = version
        && let Some(Ok(major)) = version.split('.').next().map(str::parse::<u32>)
        && major < OLDEST_MAJOR
    {
        return Err(Unfit::TooOld(version));
    }
    match role {
        Some("replica" | "slave") => Err(Unfit::Replica),
        _ => Ok(()),
    }
}

/// `None` if this user may not run the command, or the server does not know it.
pub(super) fn allowed<T>(answer: RedisResult<T>) -> RedisResult<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if is_not_allowed(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_not_allowed(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::NoPerm) => true,
        ErrorKind::Server(ServerErrorKind::ResponseError) => error
            .detail()
            .is_some_and(|detail| detail.starts_with("unknown command")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_too_old_by_its_major_version() {
        for old in ["6.2.14", "5.0.7", "2.8"] {
            let unfit = check(Some(old.to_owned()), None).unwrap_err();
            assert!(unfit.to_string().contains(old), "{unfit}");
        }
        for fit in ["7.0.0", "7.2.4", "8.2.1", "10.0", "unknown"] {
            assert_eq!(check(Some(fit.to_owned()), Some("master")), Ok(()));
        }
        assert_eq!(check(None, None), Ok(()));
    }

    #[test]
    fn a_replica_is_not_written_to() {
        let replica = check(Some("7.0.0".to_owned()), Some("replica"));
        assert_eq!(replica, Err(Unfit::Replica));
    }
}
