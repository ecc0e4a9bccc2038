use std::{net::SocketAddr, time::Duration};

use clap::{Args, Parser, Subcommand};
use program::{CommonArgs, RedisArgs};
use queue::{
    Opened,
    redis::{Address, RedisConsumer},
    settings::PublishArgs,
};
use runtime::settings;
use secrecy::SecretString;

use crate::ledger::LedgerArgs;

/// Takes events off Redis and stores each exactly once in PostgreSQL.
#[derive(Debug, Clone, Parser)]
#[command(name = "aggregator", version)]
pub struct Settings {
    /// Address and port to listen on
    #[arg(long, env, default_value = "127.0.0.1:8081", value_name = "ADDRESS",
          value_parser = settings::bind_address)]
    pub bind_addr: SocketAddr,

    /// PostgreSQL database. Required; optional here only because `migrate` may name it too.
    #[arg(
        long,
        help = "PostgreSQL database: postgres://USER[:PASSWORD]@HOST[:PORT][,HOST[:PORT]…]/DATABASE; of several hosts, the one that takes writes",
        env,
        value_name = "URL",
        hide_env_values = true,
        global = true
    )]
    pub database_url: Option<SecretString>,

    /// A replica of that database from which lists of events and topics and the history are read; they are behind by its lag
    #[arg(long, env, value_name = "URL", hide_env_values = true)]
    pub read_database_url: Option<SecretString>,

    /// Which queue, in which Redis.
    #[command(flatten)]
    pub redis: RedisArgs,

    /// How many events the publishers let wait in the queue; only shown, in /stats and on the page
    #[arg(long, env, default_value_t = PublishArgs::QUEUE_MAX_LEN, value_name = "EVENTS",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub queue_max_len: u64,

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
    /// Bring the tables up to date, and end; needs a role that owns them
    Migrate {
        /// Then allow this role to run the program, as `grants` prints it
        #[arg(long, value_name = "ROLE")]
        grant_to: Option<String>,
        /// Then allow this role to read what is stored and counted, as `grants --read` prints it
        #[arg(long, value_name = "ROLE")]
        grant_read_to: Option<String>,
    },
    /// Print the SQL that allows a role to run the program over tables that another one owns, and end
    Grants {
        /// Who runs the program; the owner of the tables must run the SQL
        role: String,
        /// Print the SQL that allows it only to read what is stored and counted
        #[arg(long)]
        read: bool,
    },
    /// Look at the queue
    #[command(subcommand)]
    Queue(QueueCommand),
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

/// What can be looked at in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum QueueCommand {
    /// Print the events that wait longest in each shard, one JSON object a line, and take nothing; events of the same frame are
    /// printed, too
    Peek {
        /// How many events
        #[arg(value_name = "EVENTS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        events: u32,
    },
}

/// How claims are made.
#[derive(Debug, Clone, Copy, Args)]
pub struct WorkerArgs {
    /// Workers that claim and store at the same time
    #[arg(long, env, default_value_t = 4, value_name = "COUNT",
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: u16,

    /// Events in one claim, stored in one transaction; the last frame of a claim is taken whole [default: 1000]
    #[arg(long, env, value_name = "EVENTS",
          value_parser = clap::value_parser!(u16).range(1..=i64::from(Self::MAX_BATCH_SIZE)))]
    pub batch_size: Option<u16>,

    /// How long a claim outlives the last sign of its worker
    #[arg(long, env, default_value_t = 30, value_name = "SECONDS",
          value_parser = settings::seconds(1..=3600))]
    pub lease_seconds: u16,
}

impl WorkerArgs {
    /// The largest size of a batch.
    pub const MAX_BATCH_SIZE: u16 = 10_000;
    const BATCH_SIZE: u16 = 1000;

    /// The size of a batch: what was set, or the default.
    pub(crate) fn batch_size(self) -> usize {
        self.batch_size.unwrap_or(Self::BATCH_SIZE).into()
    }

    /// Opens the queue in Redis to so many workers. Call it within the runtime.
    #[must_use]
    pub fn open(&self, address: &Address) -> Opened {
        RedisConsumer::for_workers(address, self.lease(), self.workers.into())
    }

    /// [`WorkerArgs::lease_seconds`] as a duration.
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds.into())
    }
}

impl Default for WorkerArgs {
    fn default() -> Self {
        Self {
            workers: 4,
            batch_size: None,
            lease_seconds: 30,
        }
    }
}
