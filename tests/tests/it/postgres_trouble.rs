//! What PostgreSQL may answer when something is wrong with it: the claim is kept and tried again, nothing
//! becomes a dead letter for it, and all is counted once when it is mended.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, process::Command, time::Duration};

use reqwest::StatusCode;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};
use tests::{
    app::App,
    chaos::proxy::{Mode, Proxy},
    eventually,
    programs::{Running, free_port},
    servers::{self, OwnPostgres},
};

const SOON: Duration = Duration::from_secs(30);

/// Every insert fails with the SQLSTATE that stands in `trouble`. Sequences know no rollback, so
/// this one counts the attempts.
const TROUBLE: &str = "
    CREATE TABLE trouble (code text);
    CREATE SEQUENCE attempts;
    CREATE FUNCTION be_in_trouble() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE sqlstate_now text := (SELECT code FROM trouble);
    BEGIN
        IF sqlstate_now IS NOT NULL THEN
            PERFORM nextval('attempts');
            RAISE EXCEPTION 'made up for a test' USING ERRCODE = sqlstate_now;
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER trouble BEFORE INSERT ON processed_events
        FOR EACH ROW EXECUTE FUNCTION be_in_trouble();
";

/// Publisher and aggregator over a database.
struct System {
    publisher: App,
    aggregator: App,
    sent: i64,
}

impl System {
    async fn start(database_url: &str) -> Self {
        let redis = format!("--redis-url={}", servers::redis_url().await);
        let queue = format!("--queue-name={}", servers::queue_name());
        let database = format!("--database-url={database_url}");
        Self {
            publisher: App::publisher(&[&redis, &queue]),
            aggregator: App::aggregator(&[
                &redis,
                &queue,
                &database,
                "--workers=1",
                "--lease-seconds=2",
            ]),
            sent: 0,
        }
    }

    async fn publish(&mut self) {
        let event = json!({"topic": "t", "event_id": self.sent.to_string()});
        let (status, answer) = self.publisher.post("/publish", event.to_string()).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        self.sent += 1;
    }

    /// All that was sent is stored and counted, once.
    async fn assert_exact(&self) {
        let counters = self.aggregator.drained(self.sent).await;
        let counted = ["received", "unique_processed", "dead_lettered"].map(|name| &counters[name]);
        assert_eq!(counted, [&json!(self.sent), &json!(self.sent), &json!(0)]);
    }

    async fn stop(self) {
        self.publisher.stop().await;
        self.aggregator.stop().await;
    }
}

async fn execute(pool: &PgPool, statement: &str) {
    let run = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(pool);
    run.await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
}

#[tokio::test]
async fn an_error_that_passes_is_tried_again_until_it_has_passed() {
    let database = servers::database().await;
    let mut system = System::start(database.url()).await;
    system.aggregator.ready().await;
    let pool = PgPool::connect(database.url()).await.unwrap();
    execute(&pool, TROUBLE).await;
    for (code, what) in [
        ("40001", "serialization failure"),
        ("40P01", "deadlock"),
        ("53100", "disk full"),
        ("53200", "out of memory"),
        ("53300", "too many connections"),
        ("25006", "read-only transaction"),
        ("55P03", "lock not available"),
        ("57014", "statement time-out"),
        ("58030", "I/O error"),
    ] {
        execute(&pool, "SELECT setval('attempts', 1)").await;
        execute(&pool, &format!("INSERT INTO trouble VALUES ('{code}')")).await;
        system.publish().await;
        eventually(&format!("{what} is tried again"), SOON, async || {
            let attempts = sqlx::query_scalar::<_, i64>("SELECT last_value FROM attempts");
            attempts.fetch_one(&pool).await.unwrap() > 3
        })
        .await;
        let counters = system.aggregator.stats().await;
        assert_eq!(counters["received"], system.sent - 1, "{what}: {counters}");
        assert_eq!(
            counters["queue"],
            json!({"pending": 0, "processing": 1}),
            "{what}"
        );
        execute(&pool, "DELETE FROM trouble").await;
        system.assert_exact().await;
    }
    system.stop().await;
}

#[tokio::test]
async fn data_that_is_refused_becomes_a_dead_letter_and_holds_nobody_up() {
    let database = servers::database().await;
    let mut system = System::start(database.url()).await;
    system.aggregator.ready().await;
    let pool = PgPool::connect(database.url()).await.unwrap();
    execute(&pool, TROUBLE).await;
    execute(&pool, "INSERT INTO trouble VALUES ('22003')").await;
    system.publish().await;
    let refused = async || {
        let counters = system.aggregator.stats().await;
        counters["dead_lettered"] == 1 && counters["received"] == 1
    };
    eventually("the event is put aside", SOON, refused).await;
    execute(&pool, "DELETE FROM trouble").await;
    let (_, letters) = system.aggregator.get("/dead-letters").await;
    let reason = letters["dead_letters"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("22003"), "{reason}");

    let replay = system
        .aggregator
        .post("/dead-letters/replay", r#"{"all":true}"#);
    let (status, replayed) = replay.await;
    assert_eq!((status, &replayed["accepted"]), (StatusCode::OK, &json!(1)));
    system.publish().await;
    system.assert_exact().await;
    system.stop().await;
}

/// What is wrong passes with its event only: a time-out is no refusal, however often it comes.
const STUCK: &str = "
    CREATE FUNCTION get_stuck() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'made up for a test' USING ERRCODE = '57014';
    END $$;
    CREATE TRIGGER stuck BEFORE INSERT ON processed_events
    FOR EACH ROW WHEN (NEW.topic = 'stuck') EXECUTE FUNCTION get_stuck();";
const STUCK_NO_MORE: &str = "DROP TRIGGER stuck ON processed_events";

#[tokio::test]
async fn others_go_before_a_claim_that_always_fails_and_it_is_told_until_it_is_stored() {
    let database = servers::database().await;
    let mut system = System::start(database.url()).await;
    system.aggregator.ready().await;
    let pool = PgPool::connect(database.url()).await.unwrap();
    execute(&pool, STUCK).await;
    let stuck = json!({"topic": "stuck", "event_id": "1"}).to_string();
    let (status, _) = system.publisher.post("/publish", stuck).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    system.sent += 1;
    eventually("the only worker has it", SOON, async || {
        system.aggregator.stats().await["queue"]["processing"] == 1
    })
    .await;
    for _ in 0..3 {
        system.publish().await;
    }
    eventually("the others go first", SOON, async || {
        system.aggregator.stats().await["received"] == 3
    })
    .await;
    let said = not_ready(&system.aggregator, "claims: claim ").await;
    assert!(said.contains("accepted at 20"), "{said}");
    assert!(!said.contains("made up"), "{said}");

    execute(&pool, STUCK_NO_MORE).await;
    system.assert_exact().await;
    system.aggregator.ready().await;
    system.stop().await;
}

#[tokio::test]
async fn an_event_that_always_fails_does_not_stop_the_others_of_ingest() {
    let database = servers::database().await;
    let system = System::start(database.url()).await;
    system.aggregator.ready().await;
    let pool = PgPool::connect(database.url()).await.unwrap();
    execute(&pool, STUCK).await;
    let ingest = async |topic: &str| {
        let event = json!({"topic": topic, "event_id": "1"});
        system.aggregator.post("/ingest", event.to_string()).await
    };
    let (status, problem) = ingest("stuck").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    eventually("another is stored", SOON, async || {
        ingest("good").await.0 == StatusCode::OK
    })
    .await;
    execute(&pool, STUCK_NO_MORE).await;
    let (status, verdict) = ingest("stuck").await;
    assert_eq!(
        (status, &verdict["status"]),
        (StatusCode::OK, &json!("accepted"))
    );
    system.stop().await;
}

#[tokio::test]
async fn a_right_or_a_table_that_is_missing_turns_no_event_into_a_dead_letter() {
    let (server, admin, url) = own_server().await;
    let mut system = System::start(&url).await;
    system.aggregator.ready().await;
    let tables = format!(
        "postgres://postgres:postgres@127.0.0.1:{}/app",
        server.port()
    );
    let tables = PgPool::connect(&tables).await;
    let tables = tables.unwrap();
    for (fault, mended) in [
        (
            "REVOKE INSERT ON processed_events FROM app",
            "GRANT INSERT ON processed_events TO app",
        ),
        (
            "ALTER TABLE processed_events RENAME TO away",
            "ALTER TABLE away RENAME TO processed_events",
        ),
    ] {
        execute(&tables, fault).await;
        system.publish().await;
        let said = not_ready(&system.aggregator, "postgres: ").await;
        let letters = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM dead_letters");
        assert_eq!(letters.fetch_one(&tables).await.unwrap(), 0, "{said}");
        execute(&tables, mended).await;
        system.assert_exact().await;
        system.aggregator.ready().await;
    }
    admin.close().await;
    system.stop().await;
}

#[tokio::test]
async fn commits_are_durable_whatever_the_database_is_set_to() {
    let database = servers::database().await;
    let pool = PgPool::connect(database.url()).await.unwrap();
    let name: String = sqlx::query_scalar("SELECT current_database()")
        .fetch_one(&pool)
        .await
        .unwrap();
    execute(
        &pool,
        &format!("ALTER DATABASE {name} SET synchronous_commit = off"),
    )
    .await;
    let mut system = System::start(database.url()).await;
    system.aggregator.ready().await;
    let note = "
        CREATE TABLE committed (how text);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO committed VALUES (current_setting('synchronous_commit'));
            RETURN NEW;
        END $$;
        CREATE TRIGGER note BEFORE INSERT ON processed_events FOR EACH ROW EXECUTE FUNCTION note();
    ";
    execute(&pool, note).await;
    system.publish().await;
    system.assert_exact().await;
    let how: Vec<String> = sqlx::query_scalar("SELECT how FROM committed")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(how, ["on"]);
    system.stop().await;
}

/// A server with a role that is no superuser, and a database of that role's.
async fn own_server() -> (OwnPostgres, PgPool, String) {
    let server = OwnPostgres::start().await;
    let admin = PgPool::connect(&server.url()).await.unwrap();
    execute(&admin, "CREATE ROLE app LOGIN").await;
    execute(&admin, "CREATE DATABASE app OWNER app").await;
    let url = format!("postgres://app@127.0.0.1:{}/app", server.port());
    (server, admin, url)
}

const END_CONNECTIONS: &str =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'";

/// Waits until `/ready` gives this reason, and returns all that it says.
async fn not_ready(app: &App, reason: &str) -> String {
    eventually(reason, SOON, async || {
        let (status, problem) = app.get("/ready").await;
        let detail = problem["detail"].as_str().unwrap_or_default();
        let unavailable = status == StatusCode::SERVICE_UNAVAILABLE;
        (unavailable && detail.contains(reason)).then(|| detail.to_owned())
    })
    .await
}

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
    not_ready(&system.aggregator, "no connection to spare").await;
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
    not_ready(&system.aggregator, "takes no writes").await;
    execute(&admin, "SELECT pg_promote()").await;
    system.assert_exact().await;
    system.stop().await;
}

/// Over the minute that an attempt to record may take, and the pauses after it.
const LONG: Duration = Duration::from_secs(100);

#[tokio::test]
async fn a_connection_that_falls_silent_for_ever_is_given_up_and_its_claim_counted_once() {
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
        let received = sqlx::query_scalar::<_, i64>("SELECT received FROM agg_stats");
        received.fetch_one(&pool).await.unwrap() == system.sent
    })
    .await;
    system.aggregator.ready().await;
    system.assert_exact().await;
    system.stop().await;
}

/// Makes the data of one stopped server that of another.
fn copy_data(from: &OwnPostgres, to: &OwnPostgres) {
    let [from, to] = [from, to].map(|server| server.folder().join("data"));
    fs::remove_dir_all(&to).unwrap();
    let mut copying = Command::new("cp");
    copying.arg("--archive").args([from, to]);
    assert!(copying.status().unwrap().success());
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
    copy_data(&old, &new);
    for server in [&mut old, &mut new] {
        fs::write(server.folder().join("data/standby.signal"), "").unwrap();
        server.restart().await;
    }
    // All are connected to what is a standby now.
    system.publish().await;
    not_ready(&system.aggregator, "takes no writes").await;
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

#[tokio::test]
async fn dropped_tables_are_noticed_while_nothing_is_published() {
    let database = servers::database().await;
    let mut system = System::start(database.url()).await;
    system.aggregator.ready().await;
    let pool = PgPool::connect(database.url()).await.unwrap();
    execute(&pool, "ALTER TABLE topic_stats RENAME TO gone").await;
    not_ready(&system.aggregator, "its tables are missing").await;
    execute(&pool, "ALTER TABLE gone RENAME TO topic_stats").await;
    system.aggregator.ready().await;
    system.publish().await;
    system.assert_exact().await;
    system.stop().await;
}

#[tokio::test]
async fn ready_says_why_the_database_cannot_be_used() {
    let (server, admin, url) = own_server().await;
    let proxy = Proxy::start(([127, 0, 0, 1], server.port()).into(), Duration::ZERO).await;
    proxy.set(Mode::Stalled);
    execute(&admin, "ALTER ROLE app PASSWORD 'right'; CREATE ROLE nologin; CREATE ROLE full LOGIN CONNECTION LIMIT 0").await;
    let hba = "host all postgres,full,nologin 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    fs::write(server.folder().join("data/pg_hba.conf"), hba).unwrap();
    execute(&admin, "SELECT pg_reload_conf()").await;
    let at = format!("127.0.0.1:{}", server.port());
    for (url, reason) in [
        (url.replace("app@", "app:wrong@"), "refuses the password"),
        (
            format!("postgres://nologin@{at}/app"),
            "does not let this user in",
        ),
        (
            format!("postgres://app:right@{at}/none"),
            "no such database",
        ),
        (
            format!("postgres://full@{at}/app"),
            "no connection to spare",
        ),
        (
            format!("postgres://app@127.0.0.1:{}/app", free_port()),
            "nobody answers",
        ),
        (
            format!("postgres://app@{}/app", proxy.address()),
            "does not answer within",
        ),
        (
            format!("postgres://app:right@{at}/app?sslmode=require"),
            "TLS with it fails",
        ),
    ] {
        let system = System::start(&url).await;
        not_ready(&system.aggregator, reason).await;
        system.stop().await;
    }
}

#[tokio::test]
async fn the_log_says_what_the_database_said_and_where_it_is_but_no_password() {
    let (server, admin, url) = own_server().await;
    execute(&admin, "ALTER ROLE app PASSWORD 'right'").await;
    let hba = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    fs::write(server.folder().join("data/pg_hba.conf"), hba).unwrap();
    execute(&admin, "SELECT pg_reload_conf()").await;
    let (redis, url) = (
        servers::redis_url().await,
        url.replace("app@", "app:s3cret@"),
    );
    let settings = [
        ("REDIS_URL", &*redis),
        ("DATABASE_URL", &*url),
        ("BIND_ADDR", "127.0.0.1:0"),
    ];
    let aggregator = Running::start("aggregator", &[], &settings);
    let address = format!("127.0.0.1:{}/app", server.port());
    eventually("the cause is logged", SOON, async || {
        let output = aggregator.output();
        output.contains(&address)
            && output.contains("SQLSTATE 28P01: password authentication failed")
    })
    .await;
    assert!(!aggregator.output().contains("s3cret"));
}

#[tokio::test]
async fn an_ipv6_address_can_be_given() {
    let server = OwnPostgres::start_with(&["-c", "listen_addresses=127.0.0.1,::1"]).await;
    let url = format!("postgres://postgres@[::1]:{}/postgres", server.port());
    let hba = server.folder().join("data/pg_hba.conf");
    let rules = fs::read_to_string(&hba).unwrap();
    fs::write(&hba, rules + "host all all ::1/128 trust\n").unwrap();
    let admin = PgPool::connect(&server.url()).await.unwrap();
    execute(&admin, "SELECT pg_reload_conf()").await;
    let mut system = System::start(&url).await;
    system.aggregator.ready().await;
    system.publish().await;
    system.assert_exact().await;
    system.stop().await;
}
