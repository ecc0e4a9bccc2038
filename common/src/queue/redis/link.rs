//! A connection that is made when it is needed and dropped when it fails.
//!
//! Unlike redis-rs's `ConnectionManager` it also drops a connection whose answers no longer come:
//! behind a stalled network path nothing else would end it for a quarter of an hour. It never sends
//! a command twice.

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, RedisResult, aio::MultiplexedConnection,
};
use tokio::sync::Mutex;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Link {
    client: Client,
    config: AsyncConnectionConfig,
    current: Mutex<Current>,
}

/// The generation tells a failure of this connection from a late one of its predecessor.
#[derive(Default)]
struct Current {
    generation: u64,
    connection: Option<MultiplexedConnection>,
}

impl Link {
    /// Contacts nobody yet. `answer_within` counts from sending a command.
    pub(super) fn new(client: Client, answer_within: Duration) -> Self {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(answer_within));
        Self {
            client,
            config,
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
            && (error.is_io_error() || error.is_unrecoverable_error())
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
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&self.config)
            .await?;
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
