//! Connections that are made when they are needed and dropped when one fails: then the server is likely to be away for
//! all.
//!
//! Unlike redis-rs's `ConnectionManager` it also drops a connection whose answers no longer come:
//! behind a stalled network path nothing else would end it for a quarter of an hour. It never sends
//! a command twice.

use std::{io, num::NonZeroUsize, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, RedisError, RedisResult,
    ServerErrorKind, aio::MultiplexedConnection,
};
use tokio::{runtime::Handle, sync::Mutex};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Link {
    client: Client,
    config: AsyncConnectionConfig,
    /// Where connections live, whoever uses them: HTTP handlers run on threads that end before the
    /// workers do.
    runtime: Handle,
    current: Mutex<Current>,
}

struct Current {
    /// Tells a failure of these connections from a late one of their predecessors.
    generation: u64,
    /// Used in turn.
    connections: Vec<Option<MultiplexedConnection>>,
    next: usize,
}

impl Link {
    /// Of one connection. Contacts nobody yet. Belongs to the runtime it is made in. `answer_within` counts from sending
    /// a command.
    pub(super) fn new(client: Client, answer_within: Duration) -> Self {
        Self::of_several(NonZeroUsize::MIN, client, answer_within)
    }

    /// Of so many connections.
    pub(super) fn of_several(
        connections: NonZeroUsize,
        client: Client,
        answer_within: Duration,
    ) -> Self {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(answer_within));
        Self {
            client,
            config,
            runtime: Handle::current(),
            current: Mutex::new(Current {
                generation: 0,
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
        let (generation, mut connection) = self.connected().await?;
        let result = command(&mut connection).await;
        if let Err(error) = &result
            && is_about_the_connection(error)
        {
            self.drop_connections(generation).await;
        }
        result
    }

    /// Runs something where the connections live.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Callers that find no connection wait for the one that is making it, for a bounded time.
    async fn connected(&self) -> RedisResult<(u64, MultiplexedConnection)> {
        let mut current = self.current.lock().await;
        let turn = current.next % current.connections.len();
        current.next = turn + 1;
        if let Some(connection) = &current.connections[turn] {
            return Ok((current.generation, connection.clone()));
        }
        let (client, config) = (self.client.clone(), self.config.clone());
        let connecting = self.runtime.spawn(async move {
            client
                .get_multiplexed_async_connection_with_config(&config)
                .await
        });
        let connection = connecting.await.map_err(io::Error::other)??;
        current.connections[turn] = Some(connection.clone());
        Ok((current.generation, connection))
    }

    /// Commands that run on them go on.
    async fn drop_connections(&self, generation: u64) {
        let mut current = self.current.lock().await;
        if current.generation == generation {
            current.generation += 1;
            current.connections.fill(None);
        }
    }
}

/// Whether another connection may do better: the server may be another one by then, as after a
/// failover that left this one a read-only replica.
fn is_about_the_connection(error: &RedisError) -> bool {
    let replica = matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
    );
    replica || error.is_io_error() || error.is_unrecoverable_error()
}
