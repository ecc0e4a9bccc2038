//! What every store promises, checked on each, and what only the one in PostgreSQL or in a SQLite file does.

macro_rules! contract {
    ($($case:ident),* $(,)?) => {
        mod postgres {
            use crate::store_contract::{Tables, Tested};
            $(#[tokio::test]
            async fn $case() {
                super::$case(Tested::over(Tables::postgres().await).await).await;
            })*
        }
        mod postgres_in_steps {
            use crate::store_contract::{Tables, Tested};
            $(#[tokio::test]
            async fn $case() {
                super::$case(Tested::over(Tables::postgres_in_steps().await).await).await;
            })*
        }
        mod postgres_in_buckets {
            use crate::store_contract::{Tables, Tested};
            $(#[tokio::test]
            async fn $case() {
                super::$case(Tested::in_buckets(Tables::postgres().await).await).await;
            })*
        }
        mod sqlite {
            use crate::store_contract::{Tables, Tested};
            $(#[tokio::test]
            async fn $case() {
                super::$case(Tested::over(Tables::sqlite()).await).await;
            })*
        }
    };
}

mod availability;
mod concurrency;
mod counting;
mod dead_letters;
mod history;
mod pages;
mod postgres_buckets;
mod postgres_errors;
mod postgres_rows;
mod postgres_slots;
mod postgres_tables;
mod refusals;
mod retention;
mod rotating;
mod sqlite_files;
mod topics;
mod values;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use event::{
    Claim, ClaimId, Event, EventTime, Payload, Verdict, WorkerId,
    clock::{Clock, Ids, SystemClock},
};
use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection, raw_sql};
use store::postgres::Postgres;
use store::sqlite::Sqlite;
use store::{
    Cursor, DeadLetter, EventQuery, Limit, Page, Part, Recorded, Stats, StatsQuery, Store,
    StoreError, StoredEvent,
};
use tempfile::TempDir;
use tests::{
    SOON, eventually,
    servers::{self, Database},
};

use self::rotating::Rotating;

/// How many workers a store under test may have at once.
const WORKERS: u16 = 8;

/// A store under test, and a way past it to its tables.
struct Tested {
    store: Arc<dyn Store>,
    tables: Tables,
}

enum Tables {
    Postgres(Database),
    Sqlite(TempDir),
}

impl Tables {
    async fn postgres() -> Self {
        Self::Postgres(servers::database().await)
    }

    /// A database in which no claim is recorded by one statement, because such a statement has the isolation that is the
    /// database's default. Those of a transaction say themselves that they want READ COMMITTED.
    async fn postgres_in_steps() -> Self {
        const ALTER: &str = "
            DO $$ BEGIN
                EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = %L',
                               current_database(), 'repeatable read');
            END $$";
        let tables = Self::postgres().await;
        tables.run(ALTER).await;
        tables
    }

    fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    /// A store over them, as another process would open it.
    fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Postgres(database) => {
                Arc::new(Postgres::from_url(database.url(), WORKERS).unwrap())
            }
            Self::Sqlite(folder) => Arc::new(Sqlite::open(&file_url(folder)).unwrap()),
        }
    }

    /// Runs SQL that does not come from the store.
    async fn run(&self, sql: &str) {
        match self {
            Self::Postgres(database) => {
                let mut connection = PgConnection::connect(database.url()).await.unwrap();
                let sql = raw_sql(AssertSqlSafe(sql));
                sql.execute(&mut connection).await.unwrap();
            }
            Self::Sqlite(folder) => {
                let mut connection = SqliteConnection::connect(&file_url(folder)).await.unwrap();
                let sql = raw_sql(AssertSqlSafe(sql));
                sql.execute(&mut connection).await.unwrap();
            }
        }
    }

    async fn dead_letters(&self) -> Vec<(Vec<u8>, String)> {
        const SELECT: &str = "SELECT raw, reason FROM dead_letters ORDER BY id";
        match self {
            Self::Postgres(database) => {
                let mut connection = PgConnection::connect(database.url()).await.unwrap();
                let letters = sqlx::query_as(SELECT).fetch_all(&mut connection);
                letters.await.unwrap()
            }
            Self::Sqlite(folder) => {
                let mut connection = SqliteConnection::connect(&file_url(folder)).await.unwrap();
                let letters = sqlx::query_as(SELECT).fetch_all(&mut connection);
                letters.await.unwrap()
            }
        }
    }

    /// From now on the database refuses events of the topic `refused`.
    async fn refuse(&self) {
        self.run(match self {
            // Reads as jsonb what jsonb does not hold.
            Self::Postgres(_) => {
                r#"
                CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    NEW.payload := '{"a":"\u0000"}'::jsonb;
                    RETURN NEW;
                END $$;
                CREATE TRIGGER refuse BEFORE INSERT ON processed_events
                FOR EACH ROW WHEN (NEW.topic = 'refused') EXECUTE FUNCTION refuse();"#
            }
            Self::Sqlite(_) => {
                "CREATE TRIGGER refuse BEFORE INSERT ON processed_events WHEN NEW.topic = 'refused'
                 BEGIN SELECT RAISE(ABORT, 'refused'); END"
            }
        })
        .await;
    }

    /// Takes back [`Tables::refuse`].
    async fn refuse_no_more(&self) {
        self.run(match self {
            Self::Postgres(_) => "DROP TRIGGER refuse ON processed_events",
            Self::Sqlite(_) => "DROP TRIGGER refuse",
        })
        .await;
    }

    /// From now on the database refuses events of this source.
    async fn refuse_source(&self, source: &str) {
        self.run(&match self {
            Self::Postgres(_) => format!(
                "ALTER TABLE processed_events ADD CONSTRAINT refuse CHECK (source <> '{source}')"
            ),
            Self::Sqlite(_) => format!(
                "CREATE TRIGGER refuse BEFORE INSERT ON processed_events WHEN NEW.source = '{source}'
                 BEGIN SELECT RAISE(ABORT, 'refused'); END"
            ),
        })
        .await;
    }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("new folder/events.db")
}

fn file_url(folder: &TempDir) -> String {
    format!("sqlite://{}", file(folder).display())
}

impl Tested {
    async fn over(tables: Tables) -> Self {
        let store = tables.store();
        store.migrate().await.unwrap();
        Self { store, tables }
    }

    /// The same, where a bucket is closed after each claim.
    async fn in_buckets(tables: Tables) -> Self {
        let tested = Self::over(tables).await;
        Self {
            store: Rotating::over(tested.store),
            tables: tested.tables,
        }
    }

    /// The first claim of a worker that is registered.
    async fn worker(&self) -> ClaimId {
        let id = a_worker();
        self.store.register(id.worker).await.unwrap();
        id
    }

    async fn record(&self, id: ClaimId, events: &[Event]) -> Recorded {
        self.store.record(&claim(id, events)).await.unwrap()
    }

    /// Records as a new worker.
    async fn add(&self, events: &[Event]) -> Vec<Verdict> {
        let id = self.worker().await;
        verdicts(self.record(id, events).await)
    }

    /// Records a claim, again and again while the store is unavailable.
    async fn insist(&self, claim: &Claim) -> Vec<Verdict> {
        eventually("the claim is recorded", SOON, async || {
            match self.store.record(claim).await {
                Ok(recorded) => Some(verdicts(recorded)),
                Err(StoreError::Unavailable(_)) => None,
                Err(error) => panic!("{error}"),
            }
        })
        .await
    }

    async fn stats(&self) -> Stats {
        let stats = self.store.stats(&StatsQuery::with_all()).await.unwrap();
        let parts = stats.unique_processed + stats.duplicate_dropped + stats.dead_lettered;
        assert_eq!(stats.received, parts, "{stats:?}");
        let unique: i64 = stats.topics.values().sum();
        assert_eq!(stats.unique_processed, unique, "{stats:?}");
        let listed = i64::try_from(stats.topics.len()).unwrap();
        assert_eq!(stats.topics_total, listed, "{stats:?}");
        stats
    }

    /// Unique, duplicate, dead-lettered.
    async fn counters(&self) -> (i64, i64, i64) {
        let stats = self.stats().await;
        (
            stats.unique_processed,
            stats.duplicate_dropped,
            stats.dead_lettered,
        )
    }

    async fn page(&self, limit: u16, after: Option<Cursor>) -> Page<StoredEvent> {
        let part = Part {
            after,
            limit: Limit::new(limit).unwrap(),
            ..Part::default()
        };
        let query = EventQuery {
            part,
            ..EventQuery::default()
        };
        self.store.events(&query).await.unwrap()
    }

    async fn letters(&self) -> Vec<DeadLetter> {
        let page = self.store.dead_letters(Part::default()).await;
        page.unwrap().items
    }

    async fn all(&self) -> Vec<StoredEvent> {
        self.page(Limit::MAX, None).await.items
    }

    async fn find(&self, event: &Event) -> Option<StoredEvent> {
        let found = self.store.event(&event.topic, &event.event_id).await;
        found.unwrap()
    }
}

fn a_worker() -> ClaimId {
    ClaimId::first(WorkerId(Ids::default().next(SystemClock.now())))
}

fn claim(id: ClaimId, events: &[Event]) -> Claim {
    Claim {
        id,
        events: events.to_vec().into(),
        malformed: Vec::new(),
        judged: true,
    }
}

fn verdicts(recorded: Recorded) -> Vec<Verdict> {
    match recorded {
        Recorded::Committed(tally) => tally.verdicts,
        other => panic!("{other:?}"),
    }
}

fn payload(text: &str) -> Payload {
    let value: &RawValue = serde_json::from_str(text).unwrap();
    Payload::try_from(value).unwrap()
}

fn time(text: &str) -> EventTime {
    text.parse().unwrap()
}

fn names(stored: &[StoredEvent]) -> Vec<(&str, &str)> {
    let names = stored.iter().map(|event| (&*event.topic, &*event.event_id));
    names.collect()
}

fn topics<const N: usize>(topics: [(&str, i64); N]) -> BTreeMap<String, i64> {
    topics
        .into_iter()
        .map(|(topic, count)| (topic.to_owned(), count))
        .collect()
}
