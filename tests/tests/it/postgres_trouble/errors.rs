//! Errors of statements: which are tried again, and which make a dead letter.

use reqwest::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use tests::{SOON, eventually, servers};

use super::{System, execute, own_server};

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
        let queue = &counters["queue"];
        assert_eq!(
            (&queue["pending"], &queue["processing"]),
            (&json!(0), &json!(1)),
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
async fn other_claims_go_before_one_that_always_fails_and_ready_names_it_until_it_is_stored() {
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
    let said = system.aggregator.not_ready("claims: claim ").await;
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
            "REVOKE INSERT ON processed_events_0 FROM app",
            "GRANT INSERT ON processed_events_0 TO app",
        ),
        (
            "ALTER TABLE processed_events RENAME TO away",
            "ALTER TABLE away RENAME TO processed_events",
        ),
    ] {
        execute(&tables, fault).await;
        system.publish().await;
        let said = system.aggregator.not_ready("postgres: ").await;
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

#[tokio::test]
async fn dropped_tables_are_noticed_while_nothing_is_published() {
    let database = servers::database().await;
    let mut system = System::start(database.url()).await;
    system.aggregator.ready().await;
    let pool = PgPool::connect(database.url()).await.unwrap();
    execute(&pool, "ALTER TABLE topic_stats RENAME TO gone").await;
    system.aggregator.not_ready("its tables are missing").await;
    execute(&pool, "ALTER TABLE gone RENAME TO topic_stats").await;
    system.aggregator.ready().await;
    system.publish().await;
    system.assert_exact().await;
    system.stop().await;
}
