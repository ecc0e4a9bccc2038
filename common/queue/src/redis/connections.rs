//! Connections that are made when they are needed, and dropped when a new one may work where they do not.
//!
//! Unlike redis-rs's `ConnectionManager`, [`Connections`] also drop a connection that does not answer in time. If the
//! network path has stalled, nothing else would end it for a quarter of an hour. A command is never sent twice.
//!
//! All [`Connections`] to one shard are dropped together. When one connection fails, the server is probably away for all
//! of them, and the [`Locator`] is asked where it is now. When a new connection meets another server than the older ones did
//! (the run id differs), a proxy or a virtual address points elsewhere since a failover, and the older connections still
//! reach the former primary.

use std::{
    io,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, RedisError, RedisResult,
    ServerErrorKind, aio::MultiplexedConnection,
};
use tokio::runtime::Handle;

use super::{greeting::greet, locator::Locator};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The server of a shard, as all [`Connections`] to it know it.
pub(super) struct Peer {
    locator: Locator,
    met: Mutex<Met>,
}

#[derive(Default)]
struct Met {
    /// Connections of an earlier epoch are not used any more.
    epoch: u64,
    /// Where the locator has found the server.
    located: Option<Client>,
    /// Something has failed there since. The locator is asked again.
    is_doubtful: bool,
    /// Of the process that the connections of this epoch reach, where it may be asked.
    run_id: Option<String>,
}

/// A connection, and when it was made.
#[derive(Clone)]
struct Connection {
    epoch: u64,
    redis: MultiplexedConnection,
}

impl Peer {
    /// Contacts nobody yet.
    pub(super) fn new(locator: Locator) -> Self {
        Self {
            locator,
            met: Mutex::default(),
        }
    }

    /// A new connection to a server that may be given events. `answer_within` counts from sending a command.
    pub(super) async fn connect(
        &self,
        answer_within: Duration,
    ) -> RedisResult<MultiplexedConnection> {
        Ok(self.connection(answer_within).await?.redis)
    }

    /// The same, but the locator is asked although nothing has failed. If the server is another one by now, all connections
    /// are made anew.
    pub(super) async fn connect_anew(
        &self,
        answer_within: Duration,
    ) -> RedisResult<MultiplexedConnection> {
        if !self.locator.is_fixed() {
            let client = self.locator.locate().await?;
            self.lock().locate(client);
        }
        self.connect(answer_within).await
    }

    async fn connection(&self, answer_within: Duration) -> RedisResult<Connection> {
        let client = self.client().await?;
        let connected = self.connection_of(&client, answer_within).await;
        if connected.is_err() {
            // Who was asked may not have known yet that another server is the primary.
            self.lock().is_doubtful = true;
        }
        connected
    }

    async fn client(&self) -> RedisResult<Client> {
        let known = self.lock().certain();
        if let Some(client) = known {
            return Ok(client);
        }
        let client = self.locator.locate().await?;
        self.lock().locate(client.clone());
        Ok(client)
    }

    async fn connection_of(
        &self,
        client: &Client,
        answer_within: Duration,
    ) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(answer_within));
        let mut redis = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let run_id = greet(&mut redis).await?;
        let epoch = self.meet(run_id);
        Ok(Connection { epoch, redis })
    }

    /// A new connection has met the process with this run id. Answers the epoch that the connection belongs to.
    fn meet(&self, run_id: Option<String>) -> u64 {
        let mut met = self.lock();
        if let (Some(before), Some(now)) = (&met.run_id, &run_id)
            && before != now
        {
            met.epoch += 1;
            tracing::warn!(
                "redis: another server than before answers at its address; all connections are made anew"
            );
        }
        if run_id.is_some() {
            met.run_id = run_id;
        }
        met.epoch
    }

    fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    /// Connections of this epoch are not used any more. Commands that run on them go on.
    fn leave(&self, epoch: u64) {
        let mut met = self.lock();
        if met.epoch == epoch {
            met.epoch += 1;
            met.is_doubtful = true;
        }
    }

    /// No step under the lock can panic half-way through a change.
    fn lock(&self) -> MutexGuard<'_, Met> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Met {
    /// Where the server is, unless something has failed there.
    fn certain(&self) -> Option<Client> {
        self.located.clone().filter(|_| !self.is_doubtful)
    }

    /// The locator has found the server here. If that is somewhere else than before, connections that there are are not used
    /// any more.
    fn locate(&mut self, client: Client) {
        let address = |client: &Client| client.get_connection_info().addr().to_string();
        let before = self.located.as_ref().map(address);
        if before.is_some_and(|before| before != address(&client)) {
            self.epoch += 1;
        }
        self.located = Some(client);
        self.is_doubtful = false;
    }
}

/// Some connections to a server, used in turn.
pub(super) struct Connections {
    peer: Arc<Peer>,
    answer_within: Duration,
    /// The runtime that connections belong to. HTTP handlers run on threads that end before the
    /// workers do.
    runtime: Handle,
    current: tokio::sync::Mutex<Current>,
}

struct Current {
    connections: Vec<Option<Connection>>,
    next: usize,
}

impl Connections {
    /// One connection, which is not made yet. It belongs to the runtime in which this is called. `answer_within` counts
    /// from sending a command.
    pub(super) fn one(peer: Arc<Peer>, answer_within: Duration) -> Self {
        Self::several(NonZeroUsize::MIN, peer, answer_within)
    }

    /// So many connections.
    pub(super) fn several(
        connections: NonZeroUsize,
        peer: Arc<Peer>,
        answer_within: Duration,
    ) -> Self {
        Self {
            peer,
            answer_within,
            runtime: Handle::current(),
            current: tokio::sync::Mutex::new(Current {
                connections: vec![None; connections.get()],
                next: 0,
            }),
        }
    }

    /// Runs one command or script on a connection.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        command: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> RedisResult<T> {
        let Connection { epoch, mut redis } = self.connected().await?;
        let result = command(&mut redis).await.map_err(first_refusal);
        if let Err(error) = &result
            && is_about_the_connection(error)
        {
            self.peer.leave(epoch);
        }
        result
    }

    /// Runs a task on the runtime of the connections.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Callers that find no connection wait for the one that is making it, for a bounded time.
    async fn connected(&self) -> RedisResult<Connection> {
        let mut current = self.current.lock().await;
        let turn = current.next % current.connections.len();
        current.next = turn + 1;
        if let Some(connection) = &current.connections[turn]
            && connection.epoch == self.peer.epoch()
        {
            return Ok(connection.clone());
        }
        let (peer, answer_within) = (self.peer.clone(), self.answer_within);
        let connecting = self
            .runtime
            .spawn(async move { peer.connection(answer_within).await });
        let connection = connecting.await.map_err(io::Error::other)??;
        current.connections[turn] = Some(connection.clone());
        Ok(connection)
    }
}

/// Of several commands that were sent together, the first one that was refused says why. The driver's error for all of them
/// tells neither code nor text.
fn first_refusal(error: RedisError) -> RedisError {
    let refused = error.clone().into_server_errors();
    let first = refused.and_then(|refused| refused.first().cloned());
    first.map_or(error, |(_, first)| first.into())
}

/// Whether a new connection may work where this one does not. It may meet another server, as after a failover that made this
/// one a read-only replica or cut it off from its replicas. Or the same server may have changed its state.
fn is_about_the_connection(error: &RedisError) -> bool {
    let elsewhere = match error.kind() {
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::ReadOnly
                | ServerErrorKind::MasterDown
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::ClusterDown
        ),
        ErrorKind::Extension => matches!(
            error.code(),
            // A blocked command was ended because the server's role has changed.
            Some("UNBLOCKED" | "NOREPLICAS" | "NOAUTH")
        ),
        _ => false,
    };
    elsewhere || error.is_io_error() || error.is_unrecoverable_error()
}

#[cfg(test)]
mod tests {
    use super::{super::place::Place, *};

    #[test]
    fn connections_are_left_when_a_newer_one_meets_another_server() {
        let place = Place::parse("redis://127.0.0.1").unwrap();
        let peer = Peer::new(Locator::new(Arc::new(place), 0));
        let run_id = |name: &str| Some(name.to_owned());
        let first = peer.meet(run_id("a"));
        assert_eq!(peer.meet(run_id("a")), first);
        assert_eq!(peer.meet(None), first, "who may not ask changes nothing");
        let second = peer.meet(run_id("b"));
        assert_ne!(second, first);
        peer.leave(first);
        assert_eq!(
            peer.epoch(),
            second,
            "a late failure of an older connection"
        );
        peer.leave(second);
        assert_ne!(peer.epoch(), second);
    }

    #[test]
    fn connections_are_left_when_the_server_is_found_elsewhere() {
        let mut met = Met::default();
        let at = |url: &str| Client::open(url).unwrap();
        met.locate(at("redis://127.0.0.1:1"));
        assert_eq!(met.epoch, 0, "nothing was there before");
        met.is_doubtful = true;
        assert!(met.certain().is_none());
        met.locate(at("redis://127.0.0.1:1"));
        assert_eq!((met.epoch, met.is_doubtful), (0, false));
        met.locate(at("redis://127.0.0.1:2"));
        assert_eq!(met.epoch, 1);
        assert!(met.certain().is_some());
    }
}
