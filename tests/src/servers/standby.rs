//! A PostgreSQL with a standby, of a test's own.

use std::fs;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::local::OwnPostgres;
use crate::{SOON, eventually};

/// A primary, and a standby that follows it and can be promoted. Both end with this value.
pub struct PostgresPair {
    servers: [OwnPostgres; 2],
    primary: usize,
}

impl PostgresPair {
    /// Starts both. With `synchronous`, a commit is confirmed only once both have it on disk.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, or the standby does not follow in time.
    pub async fn start(synchronous: bool) -> Self {
        let primary = OwnPostgres::start_with(&["-c", "wal_keep_size=256MB"]).await;
        let standby = OwnPostgres::start_with(&["-c", "wal_keep_size=256MB"]).await;
        let mut pair = Self {
            servers: [primary, standby],
            primary: 0,
        };
        if synchronous {
            pair.execute(0, "ALTER SYSTEM SET synchronous_standby_names = '*'")
                .await;
        }
        pair.follow(1).await;
        if synchronous {
            pair.execute(0, "SELECT pg_reload_conf()").await;
        }
        pair
    }

    /// The address of a server, 0 or 1.
    #[must_use]
    pub fn url(&self, server: usize) -> String {
        self.servers[server].url()
    }

    /// The address of the one that takes writes.
    #[must_use]
    pub fn primary_url(&self) -> String {
        self.url(self.primary)
    }

    /// The address of the one that follows.
    #[must_use]
    pub fn standby_url(&self) -> String {
        self.url(1 - self.primary)
    }

    /// The address with both hosts, as the programs take it.
    #[must_use]
    pub fn both(&self) -> String {
        let [first, second] = &self.servers;
        let (first, second) = (first.port(), second.port());
        format!("postgres://postgres:postgres@127.0.0.1:{first},127.0.0.1:{second}/postgres")
    }

    /// Ends the primary as a crash would.
    ///
    /// # Panics
    /// If it does not end.
    pub fn kill_primary(&mut self) {
        self.servers[self.primary].stop();
    }

    /// Makes the primary a standby that follows nobody: it lives, and takes no writes.
    ///
    /// # Panics
    /// If it does not start again.
    pub async fn demote(&mut self) {
        let server = &mut self.servers[self.primary];
        server.stop();
        let signal = server.folder().join("data/standby.signal");
        fs::write(signal, "").expect("its folder takes files");
        server.restart().await;
    }

    /// Makes the standby the primary, whether the former one lives or not.
    ///
    /// # Panics
    /// If it does not become one in time.
    pub async fn promote(&mut self) {
        self.primary = 1 - self.primary;
        self.execute(self.primary, "SELECT pg_promote()").await;
        eventually("the standby is promoted", SOON, async || {
            !self.is_standby(self.primary).await
        })
        .await;
        // It waits for no standby until there is one again.
        self.execute(self.primary, "ALTER SYSTEM RESET synchronous_standby_names")
            .await;
        self.execute(self.primary, "SELECT pg_reload_conf()").await;
    }

    /// Makes the former primary follow the new one, from a new copy.
    ///
    /// # Panics
    /// If it does not follow in time.
    pub async fn rejoin(&mut self) {
        self.follow(1 - self.primary).await;
    }

    /// The standby stops applying what it receives, so that it falls behind, or goes on with it.
    ///
    /// # Panics
    /// If there is no standby.
    pub async fn pause_replay(&self, paused: bool) {
        let what = if paused { "pause" } else { "resume" };
        let statement = format!("SELECT pg_wal_replay_{what}()");
        self.execute(1 - self.primary, &statement).await;
    }

    /// Replaces a server's data by a copy of the primary's, and waits until it follows.
    async fn follow(&mut self, standby: usize) {
        self.servers[standby].stop();
        let data = self.servers[standby].folder().join("data");
        fs::remove_dir_all(&data).expect("its data can be removed");
        let port = self.servers[self.primary].port().to_string();
        let copying = self.servers[standby]
            .command(OwnPostgres::program("pg_basebackup"))
            .args(["--host=127.0.0.1", "--username=postgres", "--no-sync"])
            .args([
                "--checkpoint=fast",
                "--wal-method=stream",
                "--write-recovery-conf",
            ])
            .arg(format!("--port={port}"))
            .arg("--pgdata")
            .arg(&data)
            .output()
            .expect("pg_basebackup is installed with PostgreSQL");
        assert!(
            copying.status.success(),
            "{}",
            String::from_utf8_lossy(&copying.stderr)
        );
        self.servers[standby].restart().await;
        eventually("it follows", SOON, async || {
            let mut primary = PgConnection::connect(&self.primary_url()).await.ok()?;
            let following =
                "SELECT true FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn = pg_current_wal_lsn()";
            let following = sqlx::query_scalar::<_, bool>(following);
            following.fetch_optional(&mut primary).await.ok()?
        })
        .await;
    }

    async fn is_standby(&self, server: usize) -> bool {
        let asking = async {
            let mut connection = PgConnection::connect(&self.url(server)).await?;
            sqlx::query_scalar("SELECT pg_is_in_recovery()")
                .fetch_one(&mut connection)
                .await
        };
        asking.await.unwrap_or(true)
    }

    async fn execute(&self, server: usize, statement: &str) {
        let connection = PgConnection::connect(&self.url(server)).await;
        let mut connection = connection.expect("the server answers");
        // Made of constants.
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_standby_has_what_was_committed_and_takes_writes_once_it_is_promoted() {
        let mut pair = PostgresPair::start(true).await;
        assert!(pair.is_standby(1).await);
        pair.execute(0, "CREATE TABLE t (id int); INSERT INTO t VALUES (7)")
            .await;
        pair.kill_primary();
        pair.promote().await;
        let mut connection = PgConnection::connect(&pair.primary_url()).await.unwrap();
        let kept: i32 = sqlx::query_scalar("SELECT id FROM t")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(kept, 7);
        pair.rejoin().await;
        assert!(pair.is_standby(0).await);
    }
}
