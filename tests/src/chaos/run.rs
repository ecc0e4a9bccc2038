//! One run: start, break, mend, drain, judge.

use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join_all;
use tokio::{
    task::{JoinHandle, block_in_place},
    time::{sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Stage,
    journal::Journal,
    load::{self, Ledger},
    oracle::{self, Tables},
    poison,
    program::Program,
    proxy::{Mode, Proxy},
    report::Report,
    schedule::{Blow, Fault, Schedule, Target},
    verify,
};
use crate::{
    faults::{Mutant, name_of},
    servers::{OwnPostgres, OwnRedis},
};

/// Settings of an aggregator. The shortest lease, and small batches: there are many claims to hit. Small buckets, so that several
/// are closed in a run.
const AGGREGATOR: [(&str, &str); 6] = [
    ("LEASE_SECONDS", "1"),
    ("WORKERS", "2"),
    ("BATCH_SIZE", "40"),
    ("SHUTDOWN_GRACE_SECONDS", "5"),
    ("BUCKET_EVENTS", "100"),
    ("BUCKET_HOURS", "1s"),
];
/// How long an event is kept where the ledger forgets: so short that buckets are dropped in a run.
const RETENTION: (&str, &str) = ("RETENTION_DAYS", "1s");
/// How long the programs may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long clients try, from the start of the faults.
const SENT_WITHIN: Duration = Duration::from_mins(1);
/// How long an aggregator may take to stop: its grace and some.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks at something that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long draining may take once nothing is broken any more and nothing is sent.
    pub drained_within: Duration,
    /// What aggregators do wrong on purpose, to see it noticed.
    pub mutant: Option<Mutant>,
    /// Whether the ledger forgets what is older than a second.
    pub forgetting: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            drained_within: Duration::from_mins(1),
            mutant: None,
            forgetting: false,
        }
    }
}

/// The programs of one run.
struct Cast {
    publishers: [Program; 2],
    aggregators: [Program; 2],
}

/// Runs one seed on a stage. Needs a runtime of several threads. What was found, good or bad, is in the report.
///
/// # Errors
/// If the run itself could not be carried out, which says nothing about the promise.
///
/// # Panics
/// If a server of the stage or a program cannot be started.
pub async fn run(seed: u64, stage: &mut Stage, options: &Options) -> anyhow::Result<Report> {
    let started = Instant::now();
    let run = Uuid::new_v4().simple();
    let (queue, database) = (format!("chaos-{seed}-{run}"), format!("chaos_{run}"));
    let schedule = Schedule::of_seed(seed);
    stage.open();
    stage.make_database(&database).await?;
    let mut cast = Cast::start(stage, &queue, &database, options);
    let mut problems = Vec::new();
    if !cast.ready().await {
        problems.push(format!(
            "the programs were not ready within {READY_WITHIN:?}"
        ));
    }

    let database_url = stage.direct_database_url(&database);
    poison::refuse_some(&database_url).await?;
    let replayed = CancellationToken::new();
    let replaying = tokio::spawn(poison::replay_all_along(
        cast.aggregator_urls(),
        replayed.clone(),
    ));
    let verifying = tokio::spawn(verify::all_along(database_url.clone(), replayed.clone()));
    let strangers = poison::push_strangers(seed, stage.redis.url(), queue.clone());
    let strangers = tokio::spawn(strangers);
    let clients = send(seed, &cast);
    let mended = break_things(&schedule, stage, &mut cast).await;
    strangers.await?;
    let mut ledger = Ledger::default();
    for client in clients {
        ledger = ledger.and(client.await?);
    }
    let all_sent = now();
    // What they might still push would come after the end.
    join_all(cast.publishers.iter_mut().map(Program::kill)).await;

    let keys = leftover_keys(stage, &queue, options.drained_within).await?;
    let drained = now();
    if !keys.is_empty() {
        problems.push(format!(
            "not drained within {:?}: {}",
            options.drained_within,
            keys.join(", ")
        ));
    }
    replayed.cancel();
    let mut replays = replaying.await?;
    let verified = verifying.await?;
    problems.extend(verified.drift);
    poison::take_all(&database_url).await?;
    match poison::replay_at_last(&cast.aggregators[0].url).await {
        Ok(stored) => replays += stored,
        Err(error) => problems.push(format!("{error:#}")),
    }
    join_all(
        cast.aggregators
            .iter_mut()
            .map(|program| program.stop(STOPPED_WITHIN)),
    )
    .await;

    let journal = Journal::read(&stage.redis_folder().await?, &queue)?;
    let tables = Tables::read(&database_url).await?;
    let verdict = oracle::judge(&ledger, &journal.pushed, &tables, options.forgetting);
    if let Some(drift) = verify::at_last(&database_url).await? {
        problems.push(drift);
    }
    problems.append(&mut ledger.wrong_answers);
    for program in cast.programs() {
        problems.extend_from_slice(program.surprises());
    }
    let last_expiry = journal.last_expiry.map(Duration::from_millis);
    let begun = all_sent.max(mended).max(last_expiry.unwrap_or_default());
    let recovering = drained.saturating_sub(begun);
    let mut report = Report {
        seed,
        schedule,
        acknowledged: ledger.acknowledged.len(),
        deliveries: journal.pushed.events.values().sum(),
        adopted: journal.adopted,
        retries: ledger.retries,
        replays,
        strangers: journal.pushed.strangers.len(),
        stored: tables.events.len(),
        buckets: tables.buckets,
        verified: verified.times,
        verdict,
        problems,
        recovering,
        took: started.elapsed(),
        kept: None,
    };
    // Of a mutant, nobody wants to know why.
    if !report.is_clean() && options.mutant.is_none() {
        report.keep(
            cast.programs()
                .map(|program| (program.name.as_str(), program.output())),
        )?;
    }
    stage.tidy(&database).await?;
    Ok(report)
}

impl Cast {
    fn start(stage: &Stage, queue: &str, database: &str, options: &Options) -> Self {
        let redis = |proxy: &Proxy| ("REDIS_URL", format!("redis://{}", proxy.address()));
        let queue = ("QUEUE_NAME", queue.to_owned());
        let publisher = vec![redis(&stage.pushes), queue.clone()];
        let mut aggregator = vec![
            redis(&stage.claims),
            queue,
            ("DATABASE_URL", stage.database_url(database)),
        ];
        let forgetting = options.forgetting.then_some(RETENTION);
        let settings = AGGREGATOR.into_iter().chain(forgetting);
        aggregator.extend(settings.map(|(name, value)| (name, value.to_owned())));
        let mut binary = "aggregator";
        if let Some(mutant) = &options.mutant {
            binary = "faulty";
            aggregator.push(("PROGRAM", "aggregator".to_owned()));
            aggregator.push(("MUTANT", name_of(mutant)));
        }
        Self {
            publishers: [0, 1].map(|index| Program::start("publisher", index, publisher.clone())),
            aggregators: [0, 1].map(|index| Program::start(binary, index, aggregator.clone())),
        }
    }

    fn aggregator_urls(&self) -> Vec<String> {
        let url = |aggregator: &Program| aggregator.url.clone();
        self.aggregators.iter().map(url).collect()
    }

    fn programs(&self) -> impl Iterator<Item = &Program> {
        self.publishers.iter().chain(&self.aggregators)
    }

    async fn ready(&self) -> bool {
        let client = crate::http::client();
        let ready = self.programs().map(|program| {
            let url = format!("{}/ready", program.url);
            let client = &client;
            within(READY_WITHIN, async move || {
                let answer = client.get(&url).timeout(READY_WITHIN).send().await;
                answer.is_ok_and(|answer| answer.status().is_success())
            })
        });
        join_all(ready).await.into_iter().all(|ready| ready)
    }
}

fn send(seed: u64, cast: &Cast) -> Vec<JoinHandle<Ledger>> {
    let urls = cast
        .publishers
        .each_ref()
        .map(|publisher| publisher.url.clone());
    let until = Instant::now() + SENT_WITHIN;
    let clients = load::of_seed(seed).into_iter().enumerate();
    clients
        .map(|(number, batches)| tokio::spawn(load::send(number, batches, urls.to_vec(), until)))
        .collect()
}

/// Goes through the schedule, each target on its own. At the end everything is mended; returns when that was.
async fn break_things(schedule: &Schedule, stage: &mut Stage, cast: &mut Cast) -> Duration {
    let started = tokio::time::Instant::now();
    let [publisher_0, publisher_1] = &mut cast.publishers;
    let [aggregator_0, aggregator_1] = &mut cast.aggregators;
    let victims = [
        (Target::Publisher(0), Victim::Program(publisher_0)),
        (Target::Publisher(1), Victim::Program(publisher_1)),
        (Target::Aggregator(0), Victim::Program(aggregator_0)),
        (Target::Aggregator(1), Victim::Program(aggregator_1)),
        (Target::Redis, Victim::Redis(&mut stage.redis)),
        (Target::Postgres, Victim::Postgres(&mut stage.postgres)),
        (Target::Pushes, Victim::Connections(&stage.pushes)),
        (Target::Claims, Victim::Connections(&stage.claims)),
        (Target::Commits, Victim::Connections(&stage.commits)),
    ];
    let playing = victims.into_iter().map(async |(target, mut victim)| {
        for fault in schedule.of_target(target) {
            sleep_until(started + fault.at).await;
            victim.suffer(fault).await;
        }
    });
    join_all(playing).await;
    now()
}

enum Victim<'a> {
    Program(&'a mut Program),
    Redis(&'a mut OwnRedis),
    Postgres(&'a mut OwnPostgres),
    Connections(&'a Proxy),
}

impl Victim<'_> {
    /// One fault, from its beginning until it is mended.
    async fn suffer(&mut self, fault: Fault) {
        let Fault { blow, lasts, .. } = fault;
        match (self, blow) {
            (Self::Program(program), Blow::Freeze) => {
                program.signal("STOP");
                sleep(lasts).await;
                program.signal("CONT");
            }
            (Self::Program(program), _) => {
                program.kill().await;
                sleep(lasts).await;
                program.start_again();
            }
            // Ending a server waits for its processes; that must not hold up the rest.
            (Self::Redis(redis), _) => {
                block_in_place(|| redis.stop());
                sleep(lasts).await;
                redis.restart().await;
            }
            (Self::Postgres(postgres), _) => {
                block_in_place(|| postgres.stop());
                sleep(lasts).await;
                postgres.restart().await;
            }
            (Self::Connections(proxy), Blow::Stall) => {
                proxy.set(Mode::Stalled);
                sleep(lasts).await;
                proxy.set(Mode::Open);
            }
            (Self::Connections(proxy), Blow::LoseAnswers) => {
                proxy.set(Mode::Deaf);
                sleep(lasts).await;
                proxy.cut();
                proxy.set(Mode::Open);
            }
            (Self::Connections(proxy), Blow::Refuse) => {
                proxy.set(Mode::Refusing);
                proxy.cut();
                sleep(lasts).await;
                proxy.set(Mode::Open);
            }
            (Self::Connections(proxy), _) => proxy.cut(),
        }
    }
}

/// Waits until the queue has no keys, and returns those it still has after a bounded time.
async fn leftover_keys(stage: &Stage, queue: &str, time: Duration) -> anyhow::Result<Vec<String>> {
    let mut redis = stage.direct_redis().await?;
    let deadline = Instant::now() + time;
    loop {
        let keys: Vec<String> = redis::cmd("KEYS")
            .arg(format!("{{{queue}}}:*"))
            .query_async(&mut redis)
            .await?;
        if keys.is_empty() || Instant::now() > deadline {
            return Ok(keys);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Time since 1970, to be compared with that of Redis on the same machine.
fn now() -> Duration {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("a clock that is not before 1970")
}

/// Looks again and again; `false` if it has not come true in time.
async fn within(time: Duration, mut reached: impl AsyncFnMut() -> bool) -> bool {
    let deadline = Instant::now() + time;
    while !reached().await {
        if Instant::now() > deadline {
            return false;
        }
        sleep(LOOK_EVERY).await;
    }
    true
}
