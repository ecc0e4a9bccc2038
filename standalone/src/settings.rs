use std::net::SocketAddr;

use aggregator::{LedgerArgs, WorkerArgs};
use clap::{Parser, Subcommand};
use program::CommonArgs;
use queue::settings::{PublishArgs, QueueArgs};
use runtime::settings;
use secrecy::{ExposeSecret, SecretString};
use store::sqlite;

/// Accepts events over HTTP and stores each exactly once: all in one process.
#[derive(Debug, Clone, Parser)]
#[command(name = "event-aggregator", version)]
pub struct Settings {
    /// Address and port to listen on
    #[arg(long, env, default_value = "127.0.0.1:8080", value_name = "ADDRESS",
          value_parser = settings::bind_address)]
    pub bind_addr: SocketAddr,

    /// Where events are stored.
    #[arg(
        long,
        env,
        help = "Where events are stored: sqlite://PATH, or postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE",
        default_value = "sqlite://data/events.db",
        value_name = "URL",
        hide_env_values = true
    )]
    pub database_url: SecretString,

    /// Queue in this Redis server instead of in memory.
    #[arg(
        long,
        help = "Queue in this Redis server instead of in memory: redis://[USER:PASSWORD@]HOST:PORT[/DB]",
        env,
        value_name = "URL",
        hide_env_values = true
    )]
    pub redis_url: Option<SecretString>,

    /// Which queue.
    #[command(flatten)]
    pub queue: QueueArgs,

    /// How full the queue may get.
    #[command(flatten)]
    pub publishing: PublishArgs,

    /// How claims are made.
    #[command(flatten)]
    pub workers: WorkerArgs,

    /// How the ledger is kept.
    #[command(flatten)]
    pub ledger: LedgerArgs,

    /// What every program has.
    #[command(flatten)]
    pub common: CommonArgs,

    /// Instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do instead of serving.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Compare the counters with the rows, print both, and end; exit code 1 if they differ
    Verify,
    /// Forget what is older than the retention now, print what it was, and end; the counters stay
    Retention {
        /// Forget nothing, and print what would be forgotten
        #[arg(long)]
        dry_run: bool,
    },
    /// What every program can do.
    #[command(flatten)]
    OfEveryProgram(program::Command),
}

impl Settings {
    /// An empty variable means the same as none.
    pub(crate) fn redis_url(&self) -> Option<&SecretString> {
        self.redis_url
            .as_ref()
            .filter(|url| !url.expose_secret().is_empty())
    }

    pub(crate) fn stores_in_sqlite(&self) -> bool {
        self.database_url.expose_secret().starts_with("sqlite:")
    }

    /// One worker where one can write at a time: others would take from its transactions, and wait. It takes what has
    /// gathered in memory meanwhile, unless a size is set: the larger a transaction, the fewer pages it writes an event.
    pub(crate) fn effective_workers(&self) -> WorkerArgs {
        let mut workers = self.workers;
        if self.stores_in_sqlite() {
            workers.workers = 1;
            if self.redis_url().is_none() {
                workers.batch_size.get_or_insert(WorkerArgs::MAX_BATCH_SIZE);
            }
        }
        workers
    }

    /// What it does, and one line to try, for the person who started it.
    pub(crate) fn banner(&self, port: u16) -> String {
        let stored = match sqlite::path(self.database_url.expose_secret()) {
            Ok(path) => format!("SQLite, in {}", path.display()),
            Err(_) => "PostgreSQL (DATABASE_URL)".to_owned(),
        };
        let queued = match self.redis_url() {
            Some(_) => format!("Redis (REDIS_URL), queue {}", self.queue.queue_name),
            None => "memory; 202 is answered after the commit".to_owned(),
        };
        let url = format!(
            "{}://{}:{port}",
            self.common.server.tls.scheme(),
            self.bind_addr.ip()
        );
        format!(
            "event-aggregator {version}\n\
             \x20 listening on   {url}\n\
             \x20 stored in      {stored}\n\
             \x20 queued in      {queued}\n\
             \n\
             Try: curl -s {url}/publish -H 'Content-Type: application/json' -d '{{\"topic\":\"orders\",\"event_id\":\"o-1\",\"payload\":{{\"total\":10}}}}'\n\
             And: curl -s {url}/stats\n",
            version = env!("CARGO_PKG_VERSION"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(arguments: &[&str]) -> (u16, Option<u16>) {
        let arguments = ["event-aggregator"].iter().chain(arguments);
        let workers = Settings::parse_from(arguments).effective_workers();
        (workers.workers, workers.batch_size)
    }

    #[test]
    fn the_welcome_names_the_file_as_it_can_be_found_from_anywhere() {
        let welcome = |url: &str| {
            let url = format!("--database-url={url}");
            Settings::parse_from(["event-aggregator", &url]).banner(8080)
        };
        let here = std::env::current_dir().unwrap();
        let relative = format!("SQLite, in {}\n", here.join("data/events.db").display());
        assert!(welcome("sqlite://data/events.db?mode=rwc").contains(&relative));
        assert!(welcome("sqlite:///data/e.db").contains("SQLite, in /data/e.db\n"));
        let postgres = welcome("postgres://user:secret@localhost/events");
        assert!(postgres.contains("PostgreSQL") && !postgres.contains("secret"));
    }

    #[test]
    fn sqlite_has_one_worker_and_from_memory_it_takes_all_there_is() {
        let redis = "--redis-url=redis://localhost";
        let postgres = "--database-url=postgres://localhost/events";
        assert_eq!(workers(&["--workers=8"]), (1, Some(10_000)));
        assert_eq!(workers(&["--batch-size=7"]), (1, Some(7)));
        assert_eq!(workers(&[redis]), (1, None));
        assert_eq!(workers(&["--workers=8", postgres]), (8, None));
        assert_eq!(workers(&[redis, postgres]), (4, None));
    }
}
