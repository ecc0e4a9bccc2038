//! A process dies at each boundary between two steps of the protocol; whoever comes after it
//! finishes the work, and every count is exact. The list of boundaries is the program's own.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use futures_util::future::join_all;
use redis::AsyncCommands;
use reqwest::StatusCode;
use runtime::faults::Point;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use store::{Audit, EventQuery, Stats, StatsQuery, Store, postgres::Postgres};
use tests::{
    SOON,
    app::{App, Deployment, Place},
    eventually,
    faults::{Mutant, name_of},
    programs::free_port,
    servers::OwnPostgres,
};

/// How long the survivors may take to finish.
const DRAINED_WITHIN: Duration = Duration::from_secs(20);
/// Attempts of a client to get one batch accepted.
const ATTEMPTS: usize = 200;
const EVENTS: usize = 40;
/// Of each aggregator: two for the queue, one for `/ingest`.
const WORKERS: i64 = 3;
/// Of each batch a quarter are events that the batch before had too.
const BATCH: usize = 10;
/// Settings of an aggregator that others soon take over from, and that claims several times.
const QUICK: [(&str, &str); 3] = [
    ("LEASE_SECONDS", "1"),
    ("WORKERS", "2"),
    ("BATCH_SIZE", "7"),
];

/// Settings of an aggregator that closes a bucket after a few events.
const SMALL_BUCKETS: (&str, &str) = ("BUCKET_EVENTS", "7");
/// Long enough that every delivery of a batch is recorded before.
const RETENTION: (&str, &str) = ("RETENTION_DAYS", "4s");

/// A system of processes over a queue and a database of its own.
struct Stage {
    place: Place,
    publisher: String,
    mutant: Option<Mutant>,
}

impl Stage {
    async fn new(mutant: Option<Mutant>) -> Self {
        let stage = Self {
            place: Place::of(Deployment::Services).await,
            publisher: format!("127.0.0.1:{}", free_port()),
            mutant,
        };
        stage.store().migrate().await.expect("the tables");
        stage
    }

    fn store(&self) -> Postgres {
        Postgres::from_url(self.place.database_url(), 1).expect("its own address")
    }

    fn start(&self, program: &str, settings: &[(&str, &str)], point: Option<Point>) -> App {
        let point = point.map(|point| ("CRASH_AT", name_of(&point)));
        let mutant = self.mutant.map(|mutant| ("MUTANT", name_of(&mutant)));
        let faults: Vec<(&str, String)> = point.into_iter().chain(mutant).collect();
        let mut all = vec![("PROGRAM", program)];
        all.extend(settings);
        all.extend(faults.iter().map(|(name, value)| (*name, value.as_str())));
        self.place.process("faulty", &all)
    }

    /// A publisher that has the same address as any before it.
    fn publisher(&self, point: Option<Point>) -> App {
        let settings = [("BIND_ADDR", self.publisher.as_str())];
        self.start("publisher", &settings, point)
    }

    fn aggregator(&self, point: Option<Point>) -> App {
        self.start("aggregator", &QUICK, point)
    }

    /// An aggregator whose ledger has small buckets.
    fn keeper(&self, settings: &[(&str, &str)], point: Option<Point>) -> App {
        let settings = [&QUICK[..], &[SMALL_BUCKETS], settings].concat();
        self.start("aggregator", &settings, point)
    }

    /// An aggregator over another database.
    fn aggregator_over(&self, database_url: &str, point: Point) -> App {
        let database = [("DATABASE_URL", database_url)];
        self.start("aggregator", &[&QUICK[..], &database].concat(), Some(point))
    }

    /// Sends every batch until it is acknowledged. Answers how many deliveries were tried.
    async fn publish(&self) -> usize {
        let url = format!("http://{}/publish", self.publisher);
        let batches = (0..EVENTS).step_by(BATCH).map(|first| {
            let ids = first.saturating_sub(BATCH / 4)..first + BATCH;
            let batch: Vec<Value> = ids
                .map(|id| json!({"topic": format!("t{}", id % 3), "event_id": id.to_string()}))
                .collect();
            let url = &url;
            async move {
                for attempt in 1..=ATTEMPTS {
                    let sent = tests::http::client()
                        .post(url)
                        .json(&batch)
                        .timeout(SOON)
                        .send();
                    if sent
                        .await
                        .is_ok_and(|answer| answer.status() == StatusCode::ACCEPTED)
                    {
                        return attempt * batch.len();
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                panic!("a batch was never accepted");
            }
        });
        join_all(batches).await.into_iter().sum()
    }

    /// Waits until Redis holds nothing of this queue any more, for a bounded time, and reads what is
    /// left there and the counters.
    async fn drained(&self) -> (Vec<String>, Stats, Audit) {
        let (mut redis, pattern) = (self.place.redis().await, self.place.key("*"));
        let deadline = Instant::now() + DRAINED_WITHIN;
        let left = loop {
            let keys: Vec<String> = redis.keys(&pattern).await.expect("the keys");
            if keys.is_empty() || Instant::now() > deadline {
                break keys;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let store = self.store();
        let stats = store
            .stats(&StatsQuery::with_all())
            .await
            .expect("the counters");
        (left, stats, store.audit().await.expect("an audit"))
    }

    /// The promise: everything is stored, and everything is counted, once.
    async fn is_exact(&self, least: usize, most: usize) -> Result<(), String> {
        let (left, stats, audit) = self.drained().await;
        if !left.is_empty() {
            return Err(format!("left in Redis: {left:?}"));
        }
        let received = usize::try_from(stats.received).expect("not negative");
        let unique = usize::try_from(stats.unique_processed).expect("not negative");
        if !audit.is_exact() || unique != EVENTS || !(least..=most).contains(&received) {
            return Err(format!(
                "{received} received, expected {least} to {most}; {unique} unique, expected {EVENTS}\n{audit}"
            ));
        }
        Ok(())
    }
}

/// All batches, each delivered once.
fn deliveries() -> usize {
    EVENTS + (EVENTS / BATCH - 1) * (BATCH / 4)
}

/// What it takes to bring a process to a point.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// Publishing.
    Publishing,
    /// Any aggregator that gets events.
    Working,
    /// Adopting what another one has left.
    Adopting,
    /// Recording that takes longer than a part of the lease.
    Waiting,
    /// Stopping while the database is away.
    Stopping,
    /// Closing a bucket of the ledger, and making its filter.
    Closing,
    /// Dropping a bucket of the ledger.
    Dropping,
}

const fn way_to(point: Point) -> Way {
    match point {
        Point::BeforePush | Point::AfterPush => Way::Publishing,
        Point::AfterWait
        | Point::BeforeClaim
        | Point::AfterClaim
        | Point::AfterBegin
        | Point::AfterAdvance
        | Point::AfterInsert
        | Point::AfterLetters
        | Point::BeforeCommit
        | Point::AfterCommit
        | Point::AfterSettle => Way::Working,
        Point::AfterAdopt | Point::AfterAdoptedCommit => Way::Adopting,
        Point::BeforeRenew | Point::AfterRenew => Way::Waiting,
        Point::BeforeRelease | Point::AfterRelease => Way::Stopping,
        Point::BeforeClose
        | Point::BeforeCloseCommit
        | Point::AfterClose
        | Point::BeforeFilter
        | Point::AfterFilter => Way::Closing,
        Point::BeforeDropCommit | Point::AfterDrop => Way::Dropping,
    }
}

async fn died(app: &mut App) {
    assert_eq!(app.wait_exit().await, None, "it dies without a word");
}

/// An aggregator dies while it closes a bucket or makes a filter.
async fn dies_while_it_closes(stage: &Stage, point: Point) -> Result<(), String> {
    let _publisher = stage.publisher(None);
    let mut first = stage.keeper(&[], Some(point));
    stage.publish().await;
    died(&mut first).await;
    let second = stage.keeper(&[], None);
    stage.is_exact(deliveries(), deliveries()).await?;
    eventually("every closed bucket has its filter", SOON, async || {
        second.output().contains("made the filter") || point == Point::AfterFilter
    })
    .await;
    // What is in a closed bucket is stored.
    stage.publish().await;
    stage.is_exact(2 * deliveries(), 2 * deliveries()).await
}

/// An aggregator dies while it drops a bucket.
async fn dies_while_it_drops(stage: &Stage, point: Point) -> Result<(), String> {
    let _publisher = stage.publisher(None);
    let mut first = stage.keeper(&[RETENTION], Some(point));
    stage.publish().await;
    died(&mut first).await;
    let _second = stage.keeper(&[RETENTION], None);
    stage.is_exact(deliveries(), deliveries()).await?;
    let store = stage.store();
    eventually("nothing is left but what is counted", SOON, async || {
        store
            .events(&EventQuery::default())
            .await
            .is_ok_and(|page| page.items.is_empty())
    })
    .await;
    stage.is_exact(deliveries(), deliveries()).await
}

/// The process dies at `point`; then another one does the rest.
async fn dies_at(point: Point, mutant: Option<Mutant>) -> Result<(), String> {
    let stage = Stage::new(mutant).await;
    match way_to(point) {
        Way::Publishing => {
            let mut publisher = stage.publisher(Some(point));
            let _aggregator = stage.aggregator(None);
            let succeed = async {
                died(&mut publisher).await;
                stage.publisher(None)
            };
            let (tried, _publisher) = tokio::join!(stage.publish(), succeed);
            stage.is_exact(deliveries(), tried).await
        }
        Way::Working => {
            let _publisher = stage.publisher(None);
            let mut first = stage.aggregator(Some(point));
            stage.publish().await;
            died(&mut first).await;
            let _second = stage.aggregator(None);
            stage.is_exact(deliveries(), deliveries()).await
        }
        Way::Adopting => {
            let _publisher = stage.publisher(None);
            let mut first = stage.aggregator(Some(Point::AfterClaim));
            stage.publish().await;
            died(&mut first).await;
            let mut second = stage.aggregator(Some(point));
            died(&mut second).await;
            let _third = stage.aggregator(None);
            stage.is_exact(deliveries(), deliveries()).await
        }
        Way::Waiting => {
            let _publisher = stage.publisher(None);
            let mut held = PgConnection::connect(stage.place.database_url())
                .await
                .expect("a connection");
            let mut lock = held.begin().await.expect("a transaction");
            sqlx::query("LOCK TABLE topic_stats IN SHARE MODE")
                .execute(&mut *lock)
                .await
                .expect("the lock that every record needs");
            let mut first = stage.aggregator(Some(point));
            stage.publish().await;
            died(&mut first).await;
            lock.rollback().await.expect("unlocked");
            let _second = stage.aggregator(None);
            stage.is_exact(deliveries(), deliveries()).await
        }
        Way::Closing => dies_while_it_closes(&stage, point).await,
        Way::Dropping => dies_while_it_drops(&stage, point).await,
        Way::Stopping => {
            let _publisher = stage.publisher(None);
            let mut away = OwnPostgres::start().await;
            let mut first = stage.aggregator_over(&away.url(), point);
            let mut tables = None;
            eventually("its workers are registered", SOON, async || {
                if tables.is_none() {
                    tables = PgConnection::connect(&away.url()).await.ok();
                }
                let Some(tables) = &mut tables else {
                    return false;
                };
                let workers = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM worker_claims");
                workers
                    .fetch_one(tables)
                    .await
                    .is_ok_and(|count| count >= WORKERS)
            })
            .await;
            away.stop();
            stage.publish().await;
            // Nothing was committed there: the other database stands for the same one, come back.
            let (mut redis, leases) = (stage.place.redis().await, stage.place.key("leases"));
            eventually("it has claimed", SOON, async || {
                let claims: usize = redis.zcard(&leases).await.expect("its leases");
                claims > 0 && first.output().contains("postgres")
            })
            .await;
            first.signal("TERM");
            died(&mut first).await;
            let _second = stage.aggregator(None);
            // Its workers are unknown in this database: what it left claimed is handed back.
            stage.is_exact(deliveries(), deliveries()).await
        }
    }
}

macro_rules! ways {
    ($($name:ident: $way:expr,)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            let points: Vec<Point> =
                Point::value_variants().iter().copied().filter(|&point| way_to(point) == $way).collect();
            assert!(!points.is_empty());
            for point in points {
                eprintln!("dying at {point:?}");
                if let Err(wrong) = dies_at(point, None).await {
                    panic!("after a death at {point:?}: {wrong}");
                }
            }
        })*
    };
}

ways! {
    a_publisher_may_die_at_any_point: Way::Publishing,
    a_worker_may_die_at_any_point: Way::Working,
    an_adopter_may_die_at_any_point: Way::Adopting,
    a_worker_may_die_while_it_keeps_its_lease: Way::Waiting,
    a_worker_may_die_while_it_hands_back: Way::Stopping,
    an_aggregator_may_die_while_it_closes_a_bucket: Way::Closing,
    an_aggregator_may_die_while_it_drops_a_bucket: Way::Dropping,
}

/// Each breaks one rule of the protocol; one death is enough to show it.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_protocol_is_noticed() {
    for &mutant in Mutant::value_variants() {
        let point = match mutant {
            Mutant::SettleFirst => Point::BeforeCommit,
            Mutant::PlainRpop => Point::AfterClaim,
            Mutant::IgnoreWorkerClaims | Mutant::AdoptAsNew => Point::AfterCommit,
        };
        let noticed = dies_at(point, Some(mutant)).await;
        assert!(noticed.is_err(), "{mutant:?} went unnoticed");
    }
}

/// The programs that are shipped have no faults, whatever their environment says.
#[tokio::test(flavor = "multi_thread")]
async fn a_shipped_program_knows_neither_points_nor_mutants() {
    let stage = Stage::new(None).await;
    let start = |program: &str, settings: &[(&str, &str)], point, mutant| {
        let faults = [("CRASH_AT", name_of(&point)), ("MUTANT", name_of(&mutant))];
        let faults = faults
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        stage.place.process(program, &[settings, &faults].concat())
    };
    let address = [("BIND_ADDR", stage.publisher.as_str())];
    let publisher = start("publisher", &address, Point::BeforePush, Mutant::PlainRpop);
    let aggregator = start("aggregator", &QUICK, Point::AfterCommit, Mutant::PlainRpop);
    publisher.ready().await;
    assert_eq!(stage.publish().await, deliveries(), "none is sent again");
    stage.is_exact(deliveries(), deliveries()).await.unwrap();
    for mut app in [publisher, aggregator] {
        app.signal("TERM");
        assert_eq!(app.wait_exit().await, Some(0), "it did not die");
    }
}
