//! Servers that are programs of this machine: on a free port of 127.0.0.1, in a temporary folder.

use std::{
    fs,
    marker::PhantomData,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep, timeout};

use super::{
    account::{Account, put},
    guard::Guard,
    kind::Kind,
    postgres::Postgres,
    programs,
    redis::Redis,
};
use crate::programs::free_port;

/// How long a server may take to answer after its start.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// How long one attempt to reach it may take.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(20);
/// How many ports are tried: another process may take one just before the server does.
const PORT_TRIES: usize = 3;
/// How much of the log of a server that does not start is shown.
const LOG_LINES: usize = 20;

/// A Redis of a test's own.
pub type OwnRedis = Own<Redis>;
/// A PostgreSQL of a test's own.
pub type OwnPostgres = Own<Postgres>;

/// A server of a test's own, which it can take away and bring back. It ends when this is dropped, or
/// with the test's process.
pub struct Own<K> {
    guard: Guard,
    folder: PathBuf,
    account: Option<Account>,
    port: u16,
    origin: String,
    kind: PhantomData<K>,
}

impl<K: Kind> Own<K> {
    /// Starts one.
    ///
    /// # Panics
    /// If its program is not installed or does not start.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with more arguments on its command line.
    ///
    /// # Panics
    /// If its program is not installed or does not start.
    pub async fn start_with(arguments: &[&str]) -> Self {
        Self::start_with_files(&[], arguments).await
    }

    /// Starts one with these files in its folder, which only it can read, and more arguments.
    ///
    /// # Panics
    /// If its program is not installed or does not start.
    pub async fn start_with_files(files: &[(&str, &str)], arguments: &[&str]) -> Self {
        let server = Self::try_start(files, arguments).await;
        server.unwrap_or_else(|e| panic!("no {} of this test's own: {e:#}", K::NAME))
    }

    /// A program that is installed with the server, such as `pg_dump`.
    ///
    /// # Panics
    /// If the server is not installed.
    #[must_use]
    pub fn program(name: &str) -> PathBuf {
        let server = K::program().expect("an installed server");
        // The search path may lead to it by a link.
        let server = server.canonicalize().expect("a program that is there");
        server.with_file_name(name)
    }

    pub(super) async fn try_start(files: &[(&str, &str)], arguments: &[&str]) -> Result<Self> {
        let program = K::program()?;
        for _ in 0..PORT_TRIES {
            let server = Self::launch(&program, free_port(), files, arguments)?;
            if server.answers().await? {
                return Ok(server);
            }
        }
        bail!(
            "other programs take every port before {} does: try again",
            program.display()
        )
    }

    fn launch(
        program: &Path,
        port: u16,
        files: &[(&str, &str)],
        arguments: &[&str],
    ) -> Result<Self> {
        let prefix = format!("tests-{}-", K::NAME);
        let folder = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir()
            .context("a temporary folder")?;
        let account = if K::REFUSES_ROOT {
            Account::instead_of_root(folder.path())?
        } else {
            None
        };
        for (name, content) in files {
            put(&folder.path().join(name), content, account)?;
        }
        let mut command = K::command(program, port)?;
        command.extend(arguments.iter().map(|&argument| argument.to_owned()));
        let path = folder.path().canonicalize()?;
        let guard = Guard::server(&command, &path, K::KILL, account)?;
        // From here on the guard removes it.
        let _ = folder.keep();
        let name = program.file_name().unwrap_or_default().display();
        Ok(Self {
            guard,
            folder: path,
            account,
            port,
            origin: format!("{name} {} on port {port}", programs::version(program)),
            kind: PhantomData,
        })
    }

    /// Its address; of PostgreSQL, that of a database whose user may do everything.
    #[must_use]
    pub fn url(&self) -> String {
        K::url(&format!("127.0.0.1:{}", self.port))
    }

    /// The port of 127.0.0.1 that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its data is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command that runs as whom the server runs as, in its folder.
    pub(super) fn command(&self, program: PathBuf) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder);
        if let Some(account) = self.account {
            command.uid(account.user).gid(account.group);
        }
        command
    }

    /// What it is, for people.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Ends it at once, as a crash would; returns when it has ended.
    ///
    /// # Panics
    /// If it does not end.
    pub fn stop(&mut self) {
        self.order(Guard::stop);
    }

    /// Starts it again, with the same data and at the same address, and first ends it if it still
    /// runs; returns when it answers.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart(&mut self) {
        self.order(Guard::stop);
        self.order(Guard::start);
        let own = self.answers().await.unwrap_or_else(|e| panic!("{e:#}"));
        assert!(
            own,
            "another program has taken port {} from {}: try again",
            self.port,
            K::NAME
        );
    }

    /// Nothing runs in it until [`Self::thaw`]; its connections stay.
    ///
    /// # Panics
    /// If it has ended.
    pub fn freeze(&mut self) {
        self.order(Guard::freeze);
    }

    /// Ends what [`Self::freeze`] began.
    ///
    /// # Panics
    /// If it has ended.
    pub fn thaw(&mut self) {
        self.order(Guard::thaw);
    }

    fn order(&mut self, order: fn(&mut Guard) -> Result<()>) {
        order(&mut self.guard).unwrap_or_else(|e| panic!("{}: {e:#}", K::NAME));
    }

    /// Waits until a server answers at its address, and tells whether that is this one.
    async fn answers(&self) -> Result<bool> {
        let (url, deadline) = (self.url(), Instant::now() + ANSWERS_WITHIN);
        loop {
            if let Ok(Ok(folder)) = timeout(ATTEMPT, K::folder(&url)).await {
                return Ok(folder == self.folder);
            }
            if Instant::now() > deadline {
                bail!(
                    "{} does not answer within {ANSWERS_WITHIN:?}; it says:\n{}",
                    self.origin,
                    self.log()
                )
            }
            sleep(PAUSE).await;
        }
    }

    /// The end of what it has printed.
    fn log(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use redis::AsyncCommands;
    use sqlx::{Connection, PgConnection};

    use super::*;

    async fn connect(redis: &OwnRedis) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
        redis::Client::open(redis.url())?
            .get_multiplexed_async_connection()
            .await
    }

    #[tokio::test]
    async fn redis_can_be_taken_away_and_comes_back_with_its_data() {
        let mut server = OwnRedis::start().await;
        let before = server.url();
        let _: () = connect(&server)
            .await
            .unwrap()
            .lpush("list", "kept")
            .await
            .unwrap();

        server.stop();
        assert!(connect(&server).await.is_err());

        server.restart().await;
        let kept: Vec<String> = connect(&server)
            .await
            .unwrap()
            .lrange("list", 0, -1)
            .await
            .unwrap();
        assert_eq!(kept, ["kept"]);
        assert_eq!(server.url(), before);
    }

    #[tokio::test]
    async fn postgres_can_be_taken_away_and_comes_back_with_its_data() {
        let mut server = OwnPostgres::start().await;
        let mut connection = PgConnection::connect(&server.url()).await.unwrap();
        for statement in ["CREATE TABLE t (id int)", "INSERT INTO t VALUES (7)"] {
            sqlx::query(statement)
                .execute(&mut connection)
                .await
                .unwrap();
        }

        server.stop();
        assert!(
            sqlx::query("SELECT 1")
                .execute(&mut connection)
                .await
                .is_err()
        );
        assert!(PgConnection::connect(&server.url()).await.is_err());

        server.restart().await;
        let mut connection = PgConnection::connect(&server.url()).await.unwrap();
        let kept: i32 = sqlx::query_scalar("SELECT id FROM t")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(kept, 7);
    }

    #[tokio::test]
    async fn a_server_can_be_restarted_without_a_stop_and_stopped_twice() {
        let mut server = OwnRedis::start().await;
        server.restart().await;
        server.stop();
        server.stop();
        assert!(connect(&server).await.is_err());
    }

    #[tokio::test]
    async fn servers_leave_nothing_behind() {
        let (redis, postgres) = tokio::join!(OwnRedis::start(), OwnPostgres::start());
        let folders = [redis.folder.clone(), postgres.folder.clone()];
        assert!(folders.iter().all(|folder| folder.exists()));
        drop((redis, postgres));
        assert!(folders.iter().all(|folder| !folder.exists()));
    }
}
