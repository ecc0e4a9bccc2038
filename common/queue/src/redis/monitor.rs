//! The server's own settings decide what an acknowledgement is worth, so they are looked at as soon as it answers and for
//! as long as the queue is open ([eviction](https://redis.io/docs/latest/develop/reference/eviction/),
//! [persistence](https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/)).

use std::{collections::HashMap, sync::Weak, time::Duration};

use redis::{InfoDict, RedisResult};
use tokio::time::sleep;

use super::{greeting::allowed, server::Server, unfit::Unfit};

/// How often the server's settings and its memory are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What the server's settings say.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Settings {
    unfit: Option<Unfit>,
    /// What weakens the promise, as the log says it.
    weak: Option<&'static str>,
    /// What cannot be known, and how to change that, as the log says it.
    unchecked: Option<&'static str>,
}

/// The answers of the server. `None`: this user may not ask.
struct Answers {
    info: Option<InfoDict>,
    fsync: Option<String>,
}

/// Looks at the server while anybody holds it. Logs what its settings put at risk, as soon as it answers and whenever that
/// changes. That the server is away is logged by those who need it.
pub(super) async fn monitor(server: Weak<Server>) {
    let mut known = None;
    loop {
        {
            let Some(server) = server.upgrade() else {
                return;
            };
            if let Ok(answers) = ask(&server).await {
                let settings = answers.note(&server);
                if known.as_ref() != Some(&settings) {
                    settings.log();
                    known = Some(settings);
                }
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Asks over a new connection each time, which also finds out whether another server answers now, or is the primary.
async fn ask(server: &Server) -> RedisResult<Answers> {
    let mut redis = server.peer.connect_anew(ANSWER_WITHIN).await?;
    let info = redis::cmd("INFO")
        .arg(&["memory", "persistence", "replication"])
        .query_async(&mut redis)
        .await;
    let fsync = redis::cmd("CONFIG")
        .arg(&["GET", "appendfsync"])
        .query_async::<HashMap<String, String>>(&mut redis)
        .await;
    Ok(Answers {
        info: allowed(info)?,
        fsync: allowed(fsync)?.and_then(|mut settings| settings.remove("appendfsync")),
    })
}

impl Answers {
    fn note(&self, server: &Server) -> Settings {
        // A number that is not known does not limit anything.
        let bytes = |name: &str| self.info.as_ref().and_then(|info| info.get::<u64>(name));
        server.memory.set(
            bytes("used_memory").unwrap_or_default(),
            bytes("maxmemory").unwrap_or_default(),
        );
        let settings = self.settings();
        server.health.set_unfit(settings.unfit.clone());
        settings
    }

    fn settings(&self) -> Settings {
        let text = |name: &str| {
            let value = self.info.as_ref().and_then(|info| info.get::<String>(name));
            value.unwrap_or_default()
        };
        let policy = text("maxmemory_policy");
        let unfit = if text("role") == "slave" {
            Some(Unfit::Replica)
        } else if policy.starts_with("allkeys-") {
            Some(Unfit::Evicts(policy))
        } else {
            None
        };
        let weak = match &self.fsync {
            _ if text("aof_enabled") == "0" => {
                Some("appendonly is off: what waits in the queue is lost with the Redis process")
            }
            Some(fsync) if fsync != "always" => Some(
                "appendfsync is not always: what was accepted in the last seconds is lost if \
                 the machine dies",
            ),
            _ => None,
        };
        let unchecked = match (&self.info, &self.fsync) {
            (Some(_), Some(_)) => None,
            (None, Some(_)) => Some(
                "whether memory is left, maxmemory-policy, appendonly, and whether another server answers behind the \
                 same address; the right +info turns that on",
            ),
            (Some(_), None) => Some("appendfsync; the right +config|get turns that on"),
            (None, None) => Some(
                "whether memory is left, maxmemory-policy, appendonly, appendfsync, and whether another server answers \
                 behind the same address; the rights +info +config|get turn that on",
            ),
        };
        Settings {
            unfit,
            weak,
            unchecked,
        }
    }
}

impl Settings {
    fn log(&self) {
        if let Some(unfit) = &self.unfit {
            tracing::error!("accepted events are at risk: redis: {unfit}");
        }
        if let Some(weak) = self.weak {
            tracing::warn!("accepted events are at risk: redis: {weak}");
        }
        if let Some(unchecked) = self.unchecked {
            tracing::warn!(
                "redis: this user may not ask for everything, so some checks are off: {unchecked}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(policy: &str, aof: u8, fsync: Option<&str>) -> Settings {
        let info = format!("# MemoryLimit\r\nmaxmemory_policy:{policy}\r\naof_enabled:{aof}\r\n");
        let answers = Answers {
            info: Some(InfoDict::new(&info)),
            fsync: fsync.map(str::to_owned),
        };
        answers.settings()
    }

    #[test]
    fn only_policies_that_evict_keys_without_expiry_are_refused() {
        for policy in ["noeviction", "volatile-lru", "volatile-ttl"] {
            let fit = settings(policy, 1, Some("always"));
            assert_eq!((fit.unfit, fit.weak, fit.unchecked), (None, None, None));
        }
        for policy in [
            "allkeys-lru",
            "allkeys-lfu",
            "allkeys-random",
            "allkeys-lrm",
        ] {
            let unfit = settings(policy, 1, None).unfit;
            assert_eq!(unfit, Some(Unfit::Evicts(policy.to_owned())));
        }
    }

    #[test]
    fn what_is_not_on_disk_is_complained_about() {
        let weak = |aof, fsync| settings("noeviction", aof, fsync).weak;
        assert!(weak(0, Some("always")).is_some_and(|weak| weak.contains("appendonly")));
        assert!(weak(1, Some("everysec")).is_some_and(|weak| weak.contains("appendfsync")));
        assert_eq!(weak(1, None), None);
    }

    #[test]
    fn what_may_not_be_asked_for_is_told_with_the_right_that_allows_it() {
        let none = Answers {
            info: None,
            fsync: None,
        };
        let unchecked = none.settings().unchecked.unwrap();
        assert!(unchecked.contains("+info +config|get"), "{unchecked}");
        let unchecked = settings("noeviction", 1, None).unchecked.unwrap();
        assert!(unchecked.contains("appendfsync; the right +config|get"));
    }
}
