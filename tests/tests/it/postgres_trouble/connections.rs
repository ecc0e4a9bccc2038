//! Connections that are refused, fall silent, or lead to another server.

use std::{fs, time::Duration};

use reqwest::StatusCode;
use sqlx::PgPool;
use tests::{SOON, chaos::proxy::Proxy, eventually, programs, servers::OwnPostgres};

use super::{System, execute, own_server};

const END_CONNECTIONS: &str =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'";

#[tokio::test]
async fn a_server_without_a_connection_to_spare_is_waited_for() {
    let (_server, admin, url) = own_server().await;
    let mut system = System::start(&url).await;
    system.aggregator.ready().await;
    system.publish().await;
    system.assert_exact().await;

    execute(&admin, "ALTER ROLE app CONNECTION LIMIT 0").await;
    execute(&admin, END_CONNECTIONS).await;
    system.publish().await;
    system.aggregator.not_ready("no connection to spare").await;
    execute(&admin, "ALTER ROLE app CONNECTION LIMIT -1").await;
    system.assert_exact().await;
    system.stop().await;
}

#[tokio::test]
async fn a_read_only_standby_is_waited_for_until_it_is_promoted() {
    let (mut server, _admin, url) = own_server().await;
    let mut system = System::start(&url).await;
    system.aggregator.ready().await;
    system.publish().await;
    system.assert_exact().await;

    server.stop();
    fs::write(server.folder().join("data/standby.signal"), "").unwrap();
    server.restart().await;
    let admin = PgPool::connect(&server.url()).await.unwrap();
    system.publish().await;
    // Reads go on.
    eventually("it is claimed", SOON, async || {
        let (status, counters) = system.aggregator.get("/stats").await;
        status == StatusCode::OK && counters["queue"]["processing"] == 1
    })
    .await;
    system.aggregator.not_ready("takes no writes").await;
    execute(&admin, "SELECT pg_promote()").await;
    system.assert_exact().await;
    system.stop().await;
}

/// Over the minute that an attempt to record may take, and the pauses after it.
const LONG: Duration = Duration::from_secs(100);

#[tokio::test]
async fn a_connection_that_never_answers_is_given_up_and_its_claim_is_counted_once() {
    let server = OwnPostgres::start().await;
    let proxy = Proxy::start(([127, 0, 0, 1], server.port()).into(), Duration::ZERO).await;
    let url = format!("postgres://postgres@{}/postgres", proxy.address());
    let mut system = System::start(&url).await;
    system.aggregator.ready().await;
    system.publish().await;
    system.assert_exact().await;

    // Past the program: its readers will be stranded, too.
    let pool = PgPool::connect(&server.url()).await.unwrap();
    // In the middle of its transaction, before the counters.
    let mut lock = pool.begin().await.unwrap();
    let counters = sqlx::query("SELECT FROM agg_stats FOR UPDATE");
    counters.execute(&mut *lock).await.unwrap();
    system.publish().await;
    eventually("it waits for the counters", SOON, async || {
        let waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)";
        let waiting = sqlx::query_scalar::<_, bool>(waiting);
        waiting.fetch_one(&pool).await.unwrap()
    })
    .await;
    proxy.strand();
    lock.rollback().await.unwrap();
    eventually("it is stored over another connection", LONG, async || {
        let received = sqlx::query_scalar::<_, i64>("SELECT received FROM agg_stats_total");
        received.fetch_one(&pool).await.unwrap() == system.sent
    })
    .await;
    system.aggregator.ready().await;
    system.assert_exact().await;
    system.stop().await;
}

/// Makes the data of one stopped server that of another.
async fn copy_data(from: &OwnPostgres, to: &OwnPostgres) {
    let [from, to] = [from, to].map(|server| server.folder().join("data"));
    fs::remove_dir_all(&to).unwrap();
    let mut copying = std::process::Command::new("cp");
    copying.arg("--archive").args([from, to]);
    let copied = programs::run_command(copying, &[]).await;
    assert_eq!(copied.code, Some(0), "{}", copied.err);
}

#[tokio::test]
async fn after_a_failover_behind_one_address_nobody_stays_with_the_old_primary() {
    let (mut old, _admin, url) = own_server().await;
    let mut new = OwnPostgres::start().await;
    let address = |server: &OwnPostgres| ([127, 0, 0, 1], server.port()).into();
    let proxy = Proxy::start(address(&old), Duration::ZERO).await;
    let url = url.replace(&old.port().to_string(), &proxy.address().port().to_string());
    let mut system = System::start(&url).await;
    system.aggregator.ready().await;
    system.publish().await;
    system.assert_exact().await;

    old.stop();
    new.stop();
    copy_data(&old, &new).await;
    for server in [&mut old, &mut new] {
        fs::write(server.folder().join("data/standby.signal"), "").unwrap();
        server.restart().await;
    }
    // All are connected to what is a standby now.
    system.publish().await;
    system.aggregator.not_ready("takes no writes").await;
    let (status, _) = system.aggregator.get("/stats").await;
    assert_eq!(status, StatusCode::OK);

    let admin = PgPool::connect(&new.url()).await.unwrap();
    execute(&admin, "SELECT pg_promote()").await;
    // The proxy leaves the connections that there are alone.
    proxy.point_at(address(&new));
    system.aggregator.ready().await;
    system.assert_exact().await;
    let at_the_old_one = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'";
    let admin = PgPool::connect(&old.url()).await.unwrap();
    eventually("nobody is left with the old one", SOON, async || {
        // Readers too, once they are used.
        let (status, _) = system.aggregator.get("/events").await;
        let connected = sqlx::query_scalar::<_, i64>(at_the_old_one).fetch_one(&admin);
        status == StatusCode::OK && connected.await.unwrap() == 0
    })
    .await;
    system.stop().await;
}

#[tokio::test]
async fn slow_readers_hold_up_neither_health_nor_counters_nor_writes() {
    const READERS: usize = 12;
    let (_server, admin, url) = own_server().await;
    let mut system = System::start(&url).await;
    system.aggregator.ready().await;
    let pool = PgPool::connect(&url).await.unwrap();
    // Each page of dead letters takes longer than anybody waits for a connection.
    execute(
        &pool,
        "INSERT INTO dead_letters (raw, reason) VALUES ('', '');
         CREATE POLICY slow ON dead_letters USING (pg_sleep(9) IS NOT NULL);
         ALTER TABLE dead_letters ENABLE ROW LEVEL SECURITY;
         ALTER TABLE dead_letters FORCE ROW LEVEL SECURITY",
    )
    .await;
    let reading = (0..READERS).map(|_| system.aggregator.get("/dead-letters"));
    let reading = futures_util::future::join_all(reading);
    let all_else = async {
        let asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        eventually("readers are busy", SOON, async || {
            let asleep = sqlx::query_scalar::<_, i64>(asleep).fetch_one(&admin);
            asleep.await.unwrap() >= 4
        })
        .await;
        // The answer is at most a few seconds old: long enough to be made while readers are busy.
        for _ in 0..20 {
            let (status, problem) = system.aggregator.get("/ready").await;
            assert_eq!(status, StatusCode::OK, "{problem}");
            let (status, problem) = system.aggregator.get("/stats").await;
            assert_eq!(status, StatusCode::OK, "{problem}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::join!(reading, all_else);
    system.publish().await;
    system.assert_exact().await;
    system.stop().await;
}
