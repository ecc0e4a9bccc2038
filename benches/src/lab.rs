//! The servers that everything is measured on: a Redis and a PostgreSQL of this program's own. Both are durable, and their data
//! is on a disk.

use std::{
    cell::Cell,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use queue::{
    Depth, Producer,
    redis::{Address, RedisConsumer, RedisProducer},
};
use redis::{AsyncConnectionConfig, InfoDict, aio::MultiplexedConnection};
use runtime::hold::Hold;
use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};
use store::{Store, postgres::Postgres};
use tests::servers::{OwnPostgres, OwnRedis};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    budget::Budget,
    machine,
    processes::ProcessGroup,
    workload::{Factory, Stream},
};

/// The settings of PostgreSQL that differ from its defaults. The first three make it durable: the settings of the tests turn
/// `fsync` off, and the last setting counts. The others are usual for a server, they are the same for everything that is
/// compared, and they keep checkpoints out of single measurements.
pub(crate) const POSTGRES_SETTINGS: [&str; 6] = [
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "shared_buffers=1GB",
    "max_wal_size=8GB",
    "checkpoint_timeout=30min",
];
/// The settings of Redis besides those of the tests, which make it durable. The log is rewritten between two measurements, and
/// never during one.
pub(crate) const REDIS_SETTINGS: [&str; 2] = ["--auto-aof-rewrite-percentage", "0"];
/// Nothing is measured unless PostgreSQL has these settings, because durability is what takes time.
const POSTGRES_MUST: [(&str, &str); 3] = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
];
/// The same for Redis.
const REDIS_MUST: [(&str, &str); 2] = [("appendonly", "yes"), ("appendfsync", "always")];

/// The name of the queue.
pub(crate) const QUEUE: &str = "benches";
/// A limit of the queue that no measurement reaches.
pub(crate) const QUEUE_MAX_LEN: &str = "1000000000";
/// How many events one push has at most when the queue is filled.
const FILL_EVENTS: u64 = 1000;
/// How many bytes the payloads of one push have at most.
const FILL_BYTES: u64 = 1 << 20;
/// How many pushes run at the same time.
const FILL_PUSHES: usize = 4;
/// How long Redis may take for a command. To delete millions of events takes seconds.
const REDIS_ANSWERS_WITHIN: Duration = Duration::from_mins(1);
/// How long Redis may take to rewrite its log.
const REWRITTEN_WITHIN: Duration = Duration::from_mins(2);
/// The pause before Redis is asked again whether it has rewritten its log.
const PAUSE: Duration = Duration::from_millis(20);
/// The lease of a claim. This program claims nothing, but the queue asks for a lease.
const LEASE: Duration = Duration::from_secs(1);

/// The database from which the others are copied. It has all tables and no rows.
const EMPTY: &str = "bench_empty";

/// The servers.
pub(crate) struct Lab {
    pub(crate) budget: Budget,
    postgres: OwnPostgres,
    redis: OwnRedis,
    commands: MultiplexedConnection,
    groups: [ProcessGroup; 2],
    versions: [String; 2],
    /// How many databases were made.
    databases: Cell<u32>,
}

/// The database of one measurement. The caller that made it removes it with [`Lab::remove`].
pub(crate) struct Database {
    name: String,
    url: String,
}

impl Database {
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn connect(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.url).await?)
    }
}

impl Lab {
    /// Starts the servers and checks that they are durable.
    pub(crate) async fn start(budget: Budget) -> Result<Self> {
        machine::must_be_on_disk(&std::env::temp_dir())?;
        let settings: Vec<&str> = POSTGRES_SETTINGS
            .iter()
            .flat_map(|setting| ["-c", setting])
            .collect();
        let postgres = OwnPostgres::start_with(&settings).await;
        let redis = OwnRedis::start_with(&REDIS_SETTINGS).await;
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(REDIS_ANSWERS_WITHIN));
        let mut commands = redis::Client::open(redis.url())?
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let mut admin = PgConnection::connect(&postgres.url()).await?;
        check_postgres(&mut admin).await?;
        check_redis(&mut commands).await?;
        let info: InfoDict = redis::cmd("INFO")
            .arg("server")
            .query_async(&mut commands)
            .await?;
        let redis_id = info.get("process_id").context("Redis's process id")?;
        let redis_version: String = info.get("redis_version").unwrap_or_default();
        let version: String = sqlx::query_scalar("SHOW server_version")
            .fetch_one(&mut admin)
            .await?;
        let lab = Self {
            budget,
            groups: [
                ProcessGroup::one("redis", redis_id),
                ProcessGroup::with_children("postgres", postmaster(postgres.folder())?),
            ],
            versions: [
                format!("Redis {redis_version}"),
                format!("PostgreSQL {version}"),
            ],
            postgres,
            redis,
            commands,
            databases: Cell::new(0),
        };
        lab.administer(&format!("CREATE DATABASE {EMPTY} TEMPLATE template0"))
            .await?;
        let store = Postgres::from_url(&lab.url_of(EMPTY)?, 1)?;
        store.migrate().await?;
        store.close().await;
        Ok(lab)
    }

    pub(crate) fn redis_url(&self) -> String {
        self.redis.url()
    }

    /// Redis and PostgreSQL, for [`crate::processes::Meter`].
    pub(crate) fn groups(&self) -> [ProcessGroup; 2] {
        self.groups
    }

    pub(crate) fn versions(&self) -> &[String] {
        &self.versions
    }

    /// The folder in which PostgreSQL has its data.
    pub(crate) fn data(&self) -> &Path {
        self.postgres.folder()
    }

    /// A database with all tables and no rows. When this returns, everything that was written before is on the disk.
    pub(crate) async fn database(&self) -> Result<Database> {
        self.copy(EMPTY).await
    }

    /// A copy of a database to which nothing is connected.
    pub(crate) async fn copy(&self, template: &str) -> Result<Database> {
        let number = self.databases.get();
        self.databases.set(number + 1);
        let name = format!("bench_{number}");
        self.administer(&format!("CREATE DATABASE {name} TEMPLATE {template}"))
            .await?;
        self.checkpoint().await?;
        Ok(Database {
            url: self.url_of(&name)?,
            name,
        })
    }

    pub(crate) async fn remove(&self, database: Database) -> Result<()> {
        let statement = format!("DROP DATABASE {} WITH (FORCE)", database.name);
        self.administer(&statement).await
    }

    /// Makes PostgreSQL write a checkpoint now, so that it writes none during the next measurement.
    pub(crate) async fn checkpoint(&self) -> Result<()> {
        self.administer("CHECKPOINT").await
    }

    async fn administer(&self, statement: &str) -> Result<()> {
        let mut connection = PgConnection::connect(&self.postgres.url()).await?;
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
            .with_context(|| statement.to_owned())?;
        Ok(connection.close().await?)
    }

    fn url_of(&self, database: &str) -> Result<String> {
        let options: PgConnectOptions = self.postgres.url().parse()?;
        let (host, port, user) = (
            options.get_host(),
            options.get_port(),
            options.get_username(),
        );
        Ok(format!(
            "postgres://{user}:postgres@{host}:{port}/{database}"
        ))
    }

    /// Empties Redis and its log.
    pub(crate) async fn empty_queue(&self) -> Result<()> {
        let mut commands = self.commands.clone();
        redis::cmd("FLUSHALL").exec_async(&mut commands).await?;
        redis::cmd("BGREWRITEAOF").exec_async(&mut commands).await?;
        let deadline = Instant::now() + REWRITTEN_WITHIN;
        loop {
            sleep(PAUSE).await;
            let info: InfoDict = redis::cmd("INFO")
                .arg("persistence")
                .query_async(&mut commands)
                .await?;
            let busy = |name: &str| info.get::<u8>(name) != Some(0);
            if !busy("aof_rewrite_in_progress") && !busy("aof_rewrite_scheduled") {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "Redis did not rewrite its log within {REWRITTEN_WITHIN:?}"
            );
        }
    }

    /// Puts a stream into a queue as publishers do, in frames. The queue must be empty.
    pub(crate) async fn fill(&self, queue: &str, stream: Stream) -> Result<()> {
        push(&self.address(queue)?, stream).await?;
        let depth = self.depth(queue).await?;
        ensure!(
            depth.pending == stream.count,
            "{} events are in the queue instead of {}",
            depth.pending,
            stream.count
        );
        Ok(())
    }

    /// Puts a stream into a queue in frames of so many events.
    pub(crate) async fn fill_in_frames(
        &self,
        queue: &str,
        stream: Stream,
        events: usize,
    ) -> Result<()> {
        let producer = RedisProducer::new(&self.address(queue)?, u64::MAX);
        let (factory, payload_bytes) = (Factory::new(), stream.mix.payload_bytes);
        let numbers: Vec<u64> = stream.numbers().collect();
        // What is pushed at the same time would share a frame.
        for numbers in numbers.chunks(events) {
            let batch = numbers.iter();
            let batch = batch.map(|&number| factory.event(number, payload_bytes));
            producer.push(batch.collect(), Hold::nothing()).await?;
        }
        Ok(())
    }

    fn address(&self, queue: &str) -> Result<Address> {
        Ok(Address::new(&self.redis.url(), queue.parse()?)?)
    }

    /// What Redis says about itself.
    pub(crate) async fn info(&self) -> Result<InfoDict> {
        let mut commands = self.commands.clone();
        Ok(redis::cmd("INFO").query_async(&mut commands).await?)
    }

    /// How many events are in a queue.
    pub(crate) async fn depth(&self, queue: &str) -> Result<Depth> {
        let opened = RedisConsumer::for_workers(&self.address(queue)?, LEASE, 0);
        let mut depth = Depth::default();
        for queue in opened.shards.all() {
            depth = depth.and(queue.depth().await?);
        }
        Ok(depth)
    }
}

/// Pushes a stream as publishers do, in frames.
pub(crate) async fn push(queue: &Address, stream: Stream) -> Result<()> {
    let producer = Arc::new(RedisProducer::new(queue, u64::MAX));
    let (factory, payload_bytes) = (Factory::new(), stream.mix.payload_bytes);
    let at_once = (FILL_BYTES / payload_bytes as u64).clamp(1, FILL_EVENTS);
    let at_once = usize::try_from(at_once).unwrap_or(1);
    let mut numbers = stream.numbers();
    let mut pushing = JoinSet::new();
    loop {
        let numbers = numbers.by_ref().take(at_once);
        let batch: Vec<_> = numbers
            .map(|number| factory.event(number, payload_bytes))
            .collect();
        if batch.is_empty() {
            break;
        }
        if pushing.len() == FILL_PUSHES
            && let Some(pushed) = pushing.join_next().await
        {
            pushed??;
        }
        let producer = producer.clone();
        pushing.spawn(async move { producer.push(batch, Hold::nothing()).await });
    }
    while let Some(pushed) = pushing.join_next().await {
        pushed??;
    }
    Ok(())
}

async fn check_postgres(connection: &mut PgConnection) -> Result<()> {
    for (name, wanted) in POSTGRES_MUST {
        let value: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(name)
            .fetch_one(&mut *connection)
            .await?;
        ensure!(
            value == wanted,
            "PostgreSQL has {name}={value}, not {wanted}"
        );
    }
    Ok(())
}

async fn check_redis(connection: &mut MultiplexedConnection) -> Result<()> {
    for (name, wanted) in REDIS_MUST {
        let (_, value): (String, String) = redis::cmd("CONFIG")
            .arg(&["GET", name])
            .query_async(connection)
            .await?;
        ensure!(value == wanted, "Redis has {name} {value}, not {wanted}");
    }
    Ok(())
}

/// The process id of the PostgreSQL in this folder.
fn postmaster(folder: &Path) -> Result<u32> {
    let file = folder.join("data/postmaster.pid");
    let text = fs::read_to_string(&file)?;
    match text.lines().next().and_then(|line| line.parse().ok()) {
        Some(id) => Ok(id),
        None => bail!("{} has no process id", file.display()),
    }
}
