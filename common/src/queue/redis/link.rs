//! A connection that is made when it is needed and dropped when it fails.
//!
//! Unlike redis-rs's `ConnectionManager` it also drops a connection whose answers no longer come:
//! behind a stalled network path nothing else would end it for a quarter of an hour. It never sends
//! a command twice.

use std::{io, time::Duration};

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

/// The generation tells a failure of this connection from a late one of its predecessor.
#[derive(Default)]
struct Current {
    generation: u64,
    connection: Option<MultiplexedConnection>,
}

impl Link {
    /// Contacts nobody yet. Belongs to the runtime it is made in. `answer_within` counts from sending a command.
    pub(super) fn new(client: Client, answer_within: Duration) -> Self {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(answer_within));
        Self {
            client,
            config,
            runtime: Handle::current(),
            current: Mutex::default(),
        }
    }

    /// Runs one command or script on the connection.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        command: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> RedisResult<T> {
        let (generation, mut connection) = self.connected().await?;
        let result = command(&mut connection).await;
        if let Err(error) = &result
            && is_about_the_connection(error)
        {
            self.drop_connection(generation).await;
        }
        result
    }

    /// Callers that find no connection wait for the one that is making it, for a bounded time.
    async fn connected(&self) -> RedisResult<(u64, MultiplexedConnection)> {
        let mut current = self.current.lock().await;
        if let Some(connection) = &current.connection {
            return Ok((current.generation, connection.clone()));
        }
        let (client, config) = (self.client.clone(), self.config.clone());
        let connecting = self.runtime.spawn(async move {
            client
                .get_multiplexed_async_connection_with_config(&config)
                .await
        });
        let connection = connecting.await.map_err(io::Error::other)??;
        current.generation += 1;
        current.connection = Some(connection.clone());
        Ok((current.generation, connection))
    }

    async fn drop_connection(&self, generation: u64) {
        let mut current = self.current.lock().await;
        if current.generation == generation {
            current.connection = None;
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
