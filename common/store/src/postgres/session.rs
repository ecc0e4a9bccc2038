//! The connection over which a claim is recorded.

use event::Claim;
use sqlx::{PgConnection, Postgres, pool::PoolConnection};

use super::{
    at_once, buckets::Memory, classify::SqlStates, connections::Connections,
    transaction::Transaction,
};
use crate::{
    Recorded,
    failure::Failure,
    record::{self, Insert},
};

/// A connection of the pool for writers, or a new one beside that pool.
pub(super) struct Session<'s> {
    connections: &'s Connections,
    memory: &'s Memory,
    connection: Connection,
}

enum Connection {
    Pooled(PoolConnection<Postgres>),
    Fresh(PgConnection),
}

impl<'s> Session<'s> {
    pub(super) async fn open(
        connections: &'s Connections,
        memory: &'s Memory,
    ) -> sqlx::Result<Self> {
        Ok(Self {
            connections,
            memory,
            connection: Connection::Pooled(connections.writers.acquire().await?),
        })
    }
}

impl record::Session for Session<'_> {
    type Errors = SqlStates;

    async fn attempt(&mut self, claim: &Claim, how: Insert) -> Result<Recorded, Failure> {
        let connection = match &mut self.connection {
            Connection::Pooled(connection) => &mut **connection,
            Connection::Fresh(connection) => connection,
        };
        if claim.judged
            && matches!(how, Insert::All)
            && let Some(recorded) = at_once::record(connection, self.memory, claim).await?
        {
            return Ok(recorded);
        }
        let transaction = Transaction::begin(connection, self.memory).await?;
        record::attempt(transaction, claim, how).await
    }

    async fn renew(&mut self) -> sqlx::Result<()> {
        if let Connection::Pooled(connection) = &mut self.connection {
            connection.close_on_drop();
        }
        self.connection = Connection::Fresh(self.connections.connect().await?);
        Ok(())
    }
}
