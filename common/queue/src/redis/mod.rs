//! The queue in Redis, shared by any number of publishers and aggregators.
//!
//! - Accept: `LPUSH` of the batch in one command, together with those that come at the same time.
//! - Wait: `BLMOVE queue handoff RIGHT LEFT`, `BRPOP` in its reliable form: what wakes a worker is
//!   parked in a list that every worker looks into first, so it does not matter whether the answer
//!   arrives ([pattern: reliable queue](https://redis.io/docs/latest/commands/lmove/)).
//! - Claim: one script registers the lease and moves a batch from `handoff` and `queue` into a list
//!   of the claim's own. There is never a claim without a lease, so none can be overlooked.
//! - Settle, release, renew, adopt: one script each.
//!
//! Answers can be lost, so each step is one that may happen unnoticed. How the store makes the whole
//! exact is in `ARCHITECTURE.md`.

pub mod acl;
mod consumer;
mod health;
mod introduction;
mod keys;
mod link;
mod producer;
mod pushes;
mod rehearsal;
mod room;
mod scripts;
mod server;
mod trouble;
mod unfit;
mod watch;

use std::{path::Path, sync::Arc};

use redis::{Client, ConnectionAddr, IntoConnectionInfo, TlsCertificates};
use runtime::readiness::{Dependency, Probe};

pub use consumer::{MAX_ELEMENT_BYTES, RedisConsumer};
pub use keys::{QueueName, QueueNameError};
pub use producer::{PUSH_CONNECTIONS, RedisProducer};
pub use unfit::Unfit;

use self::{
    acl::{Program, UserName},
    server::{Server, Use},
};
use super::QueueError;

/// Where the queue is. The ends that are opened there share what they learn about its server.
#[derive(Clone)]
pub struct Address {
    name: QueueName,
    server: Arc<Server>,
}

impl Address {
    /// Contacts nobody yet.
    ///
    /// # Errors
    /// [`QueueError::Address`] if `url` is no Redis address.
    pub fn new(url: &str, name: QueueName) -> Result<Self, QueueError> {
        let info = url
            .into_connection_info()
            .map_err(|_| QueueError::Address)?;
        // The right to name oneself is one that nobody needs, and that Redis 7.0 cannot give.
        let settings = info.redis_settings().clone().set_skip_set_lib_name();
        let info = info.set_redis_settings(settings);
        let client = Client::open(info).map_err(|_| QueueError::Address)?;
        Ok(Self::of(client, name))
    }

    fn of(client: Client, name: QueueName) -> Self {
        let server = Arc::new(Server::new(client, &name));
        Self { name, server }
    }

    /// Trusts the authorities in this PEM file, instead of the public ones.
    ///
    /// # Errors
    /// [`QueueError`] if the file cannot be used, or the address is not one of `rediss://`.
    pub fn trusting(self, authorities: &Path) -> Result<Self, QueueError> {
        let info = self.server.peer.client().get_connection_info();
        if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            return Err(QueueError::AuthoritiesWithoutTls);
        }
        let certificates = TlsCertificates {
            client_tls: None,
            root_cert: Some(tls::authorities("REDIS_CA_CERT", authorities)?),
        };
        let client = Client::build_with_tls(info.clone(), certificates)?;
        Ok(Self::of(client, self.name))
    }

    /// The command that gives `user` the least rights that `program` needs there; `PASSWORD` is to be replaced in it.
    #[must_use]
    pub fn acl(&self, program: Program, user: &UserName) -> String {
        let info = self.server.peer.client().get_connection_info();
        acl::line(program, user, &self.name, info.redis_settings().db())
    }

    /// What `/ready` needs to know of the server: what events have met there, and what tries it while none come. It
    /// covers all ends that are opened at this address. Call it within the runtime.
    #[must_use]
    pub fn watched(&self) -> (Arc<Dependency>, Arc<dyn Probe>) {
        self.server.watched()
    }

    fn opened_to(&self, usage: Use) -> Arc<Server> {
        self.server.open(usage);
        self.server.clone()
    }
}
