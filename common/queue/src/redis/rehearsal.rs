//! How `/ready` knows whether the server works while no events arrive: by a rehearsal of everything that they need.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use redis::ScriptInvocation;
use runtime::readiness::{Probe, Trouble, Watched};

use super::{
    connections::Connections,
    failure::Failure,
    refusal::Refusal,
    scripts::Scripts,
    server::{Server, Use},
};

/// How long an answer may take. This is less than a probe may take, so that a connection that does not answer is given up.
const ANSWER_WITHIN: Duration = Duration::from_millis(1500);

/// Runs every command that events need on a key of its own, and writes to disk as they do. It has a connection of its own,
/// on which nothing else can keep it waiting.
pub(super) struct Rehearsal {
    server: Arc<Server>,
    connections: Connections,
    scripts: Scripts,
}

impl Rehearsal {
    /// How events fare at the server, and the rehearsal that tries it while none arrive.
    pub(super) fn watch(server: &Arc<Server>) -> Watched {
        let rehearsal = Self::new(server.clone());
        (server.health.dependency(), Arc::new(rehearsal))
    }

    fn new(server: Arc<Server>) -> Self {
        Self {
            connections: Connections::one(server.peer.clone(), ANSWER_WITHIN),
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
        let replicas = self.server.replicas;
        let run = self
            .connections
            .run(async |redis| replicas.invoke(script, redis, |()| false).await);
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
