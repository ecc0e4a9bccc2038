//! What `/ready` rests on while no events come: a rehearsal of all that they need.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use redis::ScriptInvocation;
use runtime::readiness::{Probe, Trouble, Watched};

use super::{
    failure::Failure,
    link::Link,
    scripts::Scripts,
    server::{Server, Use},
    trouble::Refusal,
};

/// How long an answer may take: less than a probe may, so that a connection that has fallen silent is given up.
const ANSWER_WITHIN: Duration = Duration::from_millis(1500);

/// Runs every command that events need on a key of its own, and writes to disk as they do. It has a connection of its own,
/// on which nothing else can keep it waiting.
pub(super) struct Rehearsal {
    server: Arc<Server>,
    link: Link,
    scripts: Scripts,
}

impl Rehearsal {
    /// What events have met at the server, and the rehearsal that tries it while none come.
    pub(super) fn watch(server: &Arc<Server>) -> Watched {
        let rehearsal = Self::new(server.clone());
        (server.health.dependency(), Arc::new(rehearsal))
    }

    fn new(server: Arc<Server>) -> Self {
        Self {
            link: Link::new(server.peer.clone(), ANSWER_WITHIN),
            scripts: Scripts::new(),
            server,
        }
    }

    async fn rehearse(&self) -> Result<(), Failure> {
        if let Some(unfit) = self.server.health.unfit() {
            return Err(Failure::Unfit(unfit));
        }
        let (scripts, keys) = (&self.scripts, &self.server.keys);
        if self.server.is_used_to(Use::Publish) {
            self.run(&scripts.rehearse_publishing(keys)).await?;
        }
        if self.server.is_used_to(Use::Work) {
            self.run(&scripts.rehearse_work(keys)).await?;
        }
        Ok(())
    }

    async fn run(&self, script: &ScriptInvocation<'_>) -> Result<(), Failure> {
        let run = self
            .link
            .run(async |redis| script.invoke_async(redis).await);
        Ok(run.await?)
    }
}

#[async_trait]
impl Probe for Rehearsal {
    async fn probe(&self) -> Result<(), Trouble> {
        match self.rehearse().await {
            Ok(()) => {
                self.server.health.rehearsed();
                Ok(())
            }
            Err(error) => Err(Trouble::new(Refusal::of(&error).shown(), error)),
        }
    }
}
