//! The server behind the queue: whether it answers, takes writes, and keeps what it was given.
//!
//! Its own settings decide what an acknowledgement is worth, so they are looked at as soon as it
//! answers and for as long as the process runs
//! ([eviction](https://redis.io/docs/latest/develop/reference/eviction/),
//! [persistence](https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/)).

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use redis::InfoDict;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{keys::Keys, link::Link, room::Room, scripts::Scripts};
use crate::{
    lifecycle::Backoff,
    queue::QueueError,
    readiness::{Probe, Trouble},
};

/// How often the server's settings and its memory are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The server, as `/ready` and the log see it: over the connection that events take, so that what is
/// ready is also connected.
pub struct Server {
    link: Arc<Link>,
    keys: Keys,
    scripts: Scripts,
    /// Of a publisher, who must know how much memory is left.
    room: Option<Arc<Room>>,
}

/// Why a server that answers must not be given events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It throws keys away when its memory is full, the queue among them.
    #[error(
        "its maxmemory-policy is {0}, which may throw the queue away; set it to noeviction \
         (CONFIG SET maxmemory-policy noeviction)"
    )]
    Evicts(String),
    /// It copies another server and takes no writes.
    #[error("it is a read-only replica; point REDIS_URL at its primary")]
    Replica,
}

/// What the server's settings say.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Settings {
    unfit: Option<Unfit>,
    /// What weakens the promise, in words.
    weak: Option<&'static str>,
}

impl Server {
    pub(super) fn new(link: Arc<Link>, keys: Keys, room: Option<Arc<Room>>) -> Self {
        Self {
            link,
            keys,
            scripts: Scripts::new(),
            room,
        }
    }

    /// Whether events can be put into the queue and taken off it now.
    ///
    /// # Errors
    /// [`QueueError`] says why not.
    pub async fn check(&self) -> Result<(), QueueError> {
        if let Some(unfit) = self.settings().await?.unfit {
            return Err(QueueError::Unfit(unfit));
        }
        // Refused while data is being loaded, or where a key holds something else than ours.
        let script = self.scripts.depth(&self.keys);
        let depth = self
            .link
            .run(async |redis| script.invoke_async::<(u64, u64)>(redis).await);
        depth.await?;
        Ok(())
    }

    /// Logs what the server's settings put at risk, as soon as it answers and whenever that
    /// changes, until `stop`. Meanwhile a publisher knows whether its memory is full.
    pub async fn watch(&self, stop: CancellationToken) {
        let (mut backoff, mut known) = (Backoff::default(), None);
        loop {
            match self.settings().await {
                Ok(settings) => {
                    if known.as_ref() != Some(&settings) {
                        settings.log();
                        known = Some(settings);
                    }
                    backoff = Backoff::default();
                    if timeout(LOOK_EVERY, stop.cancelled()).await.is_ok() {
                        return;
                    }
                }
                // Whoever needs the server says that it is away.
                Err(_) => {
                    if !backoff.pause(&stop).await {
                        return;
                    }
                }
            }
        }
    }

    async fn settings(&self) -> Result<Settings, QueueError> {
        let info = self.link.run(async |redis| {
            redis::cmd("INFO")
                .arg(&["memory", "persistence", "replication"])
                .query_async::<InfoDict>(redis)
                .await
        });
        let info = info.await?;
        if let Some(room) = &self.room {
            let bytes = |name: &str| info.get::<u64>(name).unwrap_or_default();
            room.set_memory(bytes("used_memory"), bytes("maxmemory"));
        }
        // Not everybody may ask for this one. What cannot be known is not complained about.
        let fsync = self.link.run(async |redis| {
            redis::cmd("CONFIG")
                .arg(&["GET", "appendfsync"])
                .query_async::<(String, String)>(redis)
                .await
        });
        let fsync = fsync.await.ok().map(|(_, value)| value);
        Ok(Settings::read(&info, fsync.as_deref()))
    }
}

impl Settings {
    fn read(info: &InfoDict, fsync: Option<&str>) -> Self {
        let text = |name: &str| info.get::<String>(name).unwrap_or_default();
        let policy = text("maxmemory_policy");
        let unfit = if text("role") == "slave" {
            Some(Unfit::Replica)
        } else if policy.starts_with("allkeys-") {
            Some(Unfit::Evicts(policy))
        } else {
            None
        };
        let weak = if text("aof_enabled") == "0" {
            Some("appendonly is off: what waits in the queue is lost with the Redis process")
        } else if fsync.is_some_and(|fsync| fsync != "always") {
            Some(
                "appendfsync is not always: what was accepted in the last seconds is lost if \
                 the machine dies",
            )
        } else {
            None
        };
        Self { unfit, weak }
    }

    fn log(&self) {
        if let Some(unfit) = &self.unfit {
            tracing::error!("accepted events are at risk: redis: {unfit}");
        }
        if let Some(weak) = self.weak {
            tracing::warn!("accepted events are at risk: redis: {weak}");
        }
    }
}

#[async_trait]
impl Probe for Server {
    async fn probe(&self) -> Result<(), Trouble> {
        self.check().await.map_err(|error| {
            let detail = error.to_string();
            let shown = match error {
                QueueError::Unfit(unfit) => unfit.to_string(),
                QueueError::Untrusted(distrust) => distrust.advice("REDIS_CA_CERT", "REDIS_URL"),
                _ => "does not answer as it should".to_owned(),
            };
            Trouble::new(shown, detail)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(policy: &str, aof: u8, role: &str, fsync: Option<&str>) -> Settings {
        let info = format!(
            "# Memory\r\nmaxmemory_policy:{policy}\r\naof_enabled:{aof}\r\nrole:{role}\r\n"
        );
        Settings::read(&InfoDict::new(&info), fsync)
    }

    #[test]
    fn only_policies_that_evict_keys_without_expiry_are_refused() {
        for policy in ["noeviction", "volatile-lru", "volatile-ttl"] {
            let fit = settings(policy, 1, "master", Some("always"));
            assert_eq!((fit.unfit, fit.weak), (None, None), "{policy}");
        }
        for policy in [
            "allkeys-lru",
            "allkeys-lfu",
            "allkeys-random",
            "allkeys-lrm",
        ] {
            let unfit = settings(policy, 1, "master", None).unfit;
            assert_eq!(unfit, Some(Unfit::Evicts(policy.to_owned())));
        }
    }

    #[test]
    fn what_is_not_on_disk_is_complained_about() {
        let weak = |aof, fsync| settings("noeviction", aof, "master", fsync).weak;
        assert!(weak(0, Some("always")).is_some_and(|weak| weak.contains("appendonly")));
        assert!(weak(1, Some("everysec")).is_some_and(|weak| weak.contains("appendfsync")));
        assert_eq!(
            weak(1, None),
            None,
            "somebody who may not ask is told nothing"
        );
    }

    #[test]
    fn a_replica_is_not_written_to() {
        let unfit = settings("noeviction", 1, "slave", None).unfit;
        assert_eq!(unfit, Some(Unfit::Replica));
    }
}
