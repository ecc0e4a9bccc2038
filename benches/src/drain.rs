//! The aggregator stores what is in a queue.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use sqlx::PgConnection;
use tokio::time::sleep;

use crate::{
    lab::{Database, Lab, QUEUE},
    processes::{Memory, Meter, ProcessGroup, Share},
    services::Service,
    stats::float,
    workload::Stream,
};

/// The pause between two readings of the counters. It is short, compared with the time of a drain.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long the counters may stay the same before the measurement fails.
pub(crate) const PROGRESS_WITHIN: Duration = Duration::from_mins(1);

/// The result of a drain.
pub(crate) struct Drained {
    /// Events per second, from the first commit to the last.
    pub(crate) rate: f64,
    pub(crate) shares: Vec<Share>,
    /// The memory of the aggregator at the end.
    pub(crate) memory: Memory,
}

/// The counters of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) received: u64,
    pub(crate) unique: u64,
    pub(crate) duplicates: u64,
    pub(crate) dead: u64,
    /// The id of the last row.
    last_id: i64,
}

/// Puts a stream into the queue, starts the aggregator with these settings, and waits until every event is committed.
///
/// # Errors
/// Among others, if a counter or the number of rows is wrong.
pub(crate) async fn all(
    lab: &Lab,
    database: &Database,
    stream: Stream,
    settings: &[(&str, &str)],
) -> Result<Drained> {
    lab.empty_queue().await?;
    lab.fill(QUEUE, stream).await?;
    let mut connection = database.connect().await?;
    let before = Counters::read(&mut connection).await?;
    let (drained, aggregator) = some(lab, database, stream.count, settings).await?;
    aggregator.stop().await?;
    before.check(&mut connection, stream).await?;
    Ok(drained)
}

/// Drains this many events of the queue, or a few more. The aggregator keeps running.
pub(crate) async fn some(
    lab: &Lab,
    database: &Database,
    events: u64,
    settings: &[(&str, &str)],
) -> Result<(Drained, Service)> {
    let mut connection = database.connect().await?;
    lab.checkpoint().await?;
    let redis_url = lab.redis_url();
    let mut all_settings = vec![
        ("DATABASE_URL", database.url()),
        ("REDIS_URL", &redis_url),
        ("QUEUE_NAME", QUEUE),
    ];
    all_settings.extend_from_slice(settings);
    let before = received(&mut connection).await?;
    let aggregator = Service::start("aggregator", &all_settings);
    let [redis, postgres] = lab.groups();
    let groups = [ProcessGroup::generator(), aggregator.group, redis, postgres];
    let mut first: Option<(Instant, u64, Meter)> = None;
    let (mut last, mut progress) = (before, Instant::now());
    loop {
        let now = received(&mut connection).await?;
        if now > last {
            (last, progress) = (now, Instant::now());
        }
        match &first {
            None if now > before => {
                first = Some((Instant::now(), now, Meter::start(&groups)?));
            }
            Some((since, at_first, meter)) if now - before >= events => {
                ensure!(
                    now > *at_first,
                    "all {events} events were committed at once; measure with more events"
                );
                let rate = float(now - at_first) / since.elapsed().as_secs_f64();
                let drained = Drained {
                    rate,
                    shares: meter.shares()?,
                    memory: Memory::of(aggregator.id())?,
                };
                return Ok((drained, aggregator));
            }
            _ if progress.elapsed() > PROGRESS_WITHIN => bail!(
                "{} of {events} events were committed, and no more within {PROGRESS_WITHIN:?}; the aggregator says:\n{}",
                last - before,
                aggregator.output()
            ),
            _ => sleep(LOOK_EVERY).await,
        }
    }
}

/// How many deliveries are counted. This is a short query, because it runs many times.
pub(crate) async fn received(connection: &mut PgConnection) -> Result<u64> {
    let received: i64 = sqlx::query_scalar("SELECT received FROM agg_stats_total")
        .fetch_one(connection)
        .await?;
    Ok(received.try_into()?)
}

impl Counters {
    pub(crate) async fn read(connection: &mut PgConnection) -> Result<Self> {
        let (received, unique, duplicates, dead, last_id): (i64, i64, i64, i64, i64) =
            sqlx::query_as(
                "SELECT received, unique_processed, duplicate_dropped, dead_lettered,
                    (SELECT coalesce(max(id), 0) FROM processed_events)
             FROM agg_stats_total",
            )
            .fetch_one(connection)
            .await?;
        Ok(Self {
            received: received.try_into()?,
            unique: unique.try_into()?,
            duplicates: duplicates.try_into()?,
            dead: dead.try_into()?,
            last_id,
        })
    }

    /// Checks that the counters and rows since then are those of the stream that was stored meanwhile. A measurement with
    /// wrong counters does not count.
    pub(crate) async fn check(self, connection: &mut PgConnection, stream: Stream) -> Result<()> {
        let now = Self::read(connection).await?;
        let unique = stream.unique();
        let rows = self.rows_since(connection).await?;
        ensure!(
            now.received == self.received + stream.count
                && now.unique == self.unique + unique
                && now.duplicates == self.duplicates + stream.count - unique
                && now.dead == self.dead
                && rows == unique,
            "the counters are wrong after {stream:?} with {unique} unique events: {self:?} before, {now:?} after, and {rows} new rows"
        );
        Ok(())
    }

    /// How many rows are new since then.
    pub(crate) async fn rows_since(self, connection: &mut PgConnection) -> Result<u64> {
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM processed_events WHERE id > $1")
            .bind(self.last_id)
            .fetch_one(connection)
            .await?;
        Ok(rows.try_into()?)
    }
}
