//! The ways to run the system.

/// The ways to run the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deployment {
    /// Two publishers and two aggregators over Redis and PostgreSQL.
    Services,
    /// One process: queue in memory, SQLite.
    MemoryAndSqlite,
    /// One process: queue in memory, PostgreSQL.
    MemoryAndPostgres,
    /// One process: Redis, SQLite.
    RedisAndSqlite,
    /// One process: Redis, PostgreSQL.
    RedisAndPostgres,
}

impl Deployment {
    pub(super) const fn queues_in_redis(self) -> bool {
        !matches!(self, Self::MemoryAndSqlite | Self::MemoryAndPostgres)
    }

    pub(super) const fn stores_in_postgres(self) -> bool {
        !matches!(self, Self::MemoryAndSqlite | Self::RedisAndSqlite)
    }
}
