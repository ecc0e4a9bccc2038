//! A database that comes from elsewhere. One of the version before is upgraded as it is, and programs of the version before do no
//! harm beside new ones. One that was restored from a backup goes on where it was.

use event::Verdict::{Accepted, Duplicate};
use event::{Claim, ClaimId, Event, Verdict, WorkerId, clock::Ids};
use sqlx::{Connection, PgConnection, query, query_as, query_scalar, raw_sql};
use store::{EventQuery, Recorded, Rules, Step, Store, TopicQuery, postgres::Postgres};
use tests::{
    events::{event, events},
    programs,
    servers::{self, Database, OwnPostgres},
    versions::migrate_to,
};

/// The last version whose ledger is one table.
const ONE_TABLE: i64 = 5;
/// The last version that did not know when a topic began.
const NO_BEGINNINGS: i64 = 2;

/// What a program of the version before does to record a claim, statement by statement.
const RECORD: [&str; 4] = [
    "UPDATE worker_claims SET last_claim = 1, updated_at = now() WHERE worker_id = '00000000-0000-7000-8000-000000000001'",
    "INSERT INTO processed_events (topic, event_id, source, payload, event_timestamp, received_at, receipt_id)
     SELECT 'old', lpad(n::text, 6, '0'), 's', '{}', now(), now(), gen_random_uuid() FROM generate_series(0, 99) AS n
     ON CONFLICT (topic, event_id) DO NOTHING",
    "INSERT INTO topic_stats AS t (topic, unique_processed, duplicate_dropped, last_processed_at)
     VALUES ('old', 100, 7, now())
     ON CONFLICT (topic) DO UPDATE SET
         unique_processed = t.unique_processed + excluded.unique_processed,
         duplicate_dropped = t.duplicate_dropped + excluded.duplicate_dropped,
         last_processed_at = excluded.last_processed_at",
    "UPDATE agg_stats SET received = received + 107, unique_processed = unique_processed + 100,
         duplicate_dropped = duplicate_dropped + 7
     WHERE id = 1",
];
const REGISTER: &str =
    "INSERT INTO worker_claims (worker_id) VALUES ('00000000-0000-7000-8000-000000000001')";

async fn old_database(version: i64) -> (Database, PgConnection) {
    let database = servers::database().await;
    migrate_to(database.url(), version).await;
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    for statement in [REGISTER].iter().chain(&RECORD) {
        query(*statement).execute(&mut connection).await.unwrap();
    }
    (database, connection)
}

async fn record(store: &Postgres, events: &[Event]) -> Vec<Verdict> {
    let worker = WorkerId(Ids::default().next(chrono::Utc::now()));
    store.register(worker).await.unwrap();
    let claim = Claim {
        id: ClaimId::first(worker),
        events: events.to_vec().into(),
        malformed: Vec::new(),
        judged: true,
    };
    match store.record(&claim).await.unwrap() {
        Recorded::Committed(tally) => tally.verdicts,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_table_of_the_version_before_becomes_bucket_0_as_it_is() {
    let (database, mut connection) = old_database(ONE_TABLE).await;
    let files = async |connection: &mut PgConnection, tables: [&str; 2]| {
        let files = "SELECT relfilenode::bigint FROM pg_class WHERE relname = ANY($1) ORDER BY relkind DESC";
        let files = query_scalar(files).bind(tables.map(str::to_owned).to_vec());
        let files: Vec<i64> = files.fetch_all(connection).await.unwrap();
        files
    };
    let before = ["processed_events", "processed_events_topic_event_id_key"];
    let before = files(&mut connection, before).await;
    let last: i64 = query_scalar("SELECT max(id) FROM processed_events")
        .fetch_one(&mut connection)
        .await
        .unwrap();

    let store = Postgres::from_url(database.url(), 2).unwrap();
    store.migrate().await.unwrap();
    store.migrate().await.unwrap();
    let after = [
        "processed_events_0",
        "processed_events_0_topic_event_id_key",
    ];
    assert_eq!(
        files(&mut connection, after).await,
        before,
        "nothing is rewritten"
    );
    assert!(store.audit().await.unwrap().is_exact());

    let mut batch = events("old", 102);
    batch.push(event("new", "1"));
    let verdicts = record(&store, &batch).await;
    assert_eq!(verdicts[..100], [Duplicate; 100]);
    assert_eq!(verdicts[100..], [Accepted; 3]);
    let ids: Vec<i64> = query_scalar("SELECT id FROM processed_events ORDER BY id DESC LIMIT 3")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert!(ids.iter().all(|&id| id > last), "{ids:?} come after {last}");

    // It is a bucket like any other.
    let full = Rules {
        bucket_events: 103,
        bucket_age: None,
        retention: None,
    };
    let steps = [
        store.keep(&full).await.unwrap(),
        store.keep(&full).await.unwrap(),
    ];
    let [
        Some(Step::Closed {
            bucket: 0,
            events: 103,
        }),
        Some(Step::Filtered {
            identities: 103, ..
        }),
    ] = steps
    else {
        panic!("{steps:?}");
    };
    assert_eq!(record(&store, &batch).await, [Duplicate; 103]);
    let audit = store.audit().await.unwrap();
    assert!(audit.is_exact(), "{audit}");
    let page = store.events(&EventQuery::default()).await.unwrap();
    assert_eq!(page.items.len(), 100);
    store.close().await;
}

/// Its claims stay where they are, and a new one adopts them.
#[tokio::test]
async fn a_program_of_the_version_before_stores_and_counts_nothing_in_the_new_tables() {
    let (database, mut connection) = old_database(ONE_TABLE).await;
    let store = Postgres::from_url(database.url(), 2).unwrap();
    store.migrate().await.unwrap();
    for statement in &RECORD[1..] {
        let refused = query(*statement).execute(&mut connection).await;
        assert!(refused.is_err(), "{statement}");
    }
    // It does not show a part of the counters as if it were all of them either.
    let shown = query("SELECT received FROM agg_stats WHERE id = 1");
    assert!(shown.execute(&mut connection).await.is_err());
    assert!(store.audit().await.unwrap().is_exact());
    store.close().await;
}

#[tokio::test]
async fn what_a_role_was_allowed_it_is_still_allowed_on_the_whole_ledger() {
    let (database, mut connection) = old_database(ONE_TABLE).await;
    let name: String = query_scalar("SELECT current_database()")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let reader = format!("reader_of_{name}");
    let grant = format!("CREATE ROLE {reader}; GRANT SELECT ON processed_events TO {reader}");
    raw_sql(sqlx::AssertSqlSafe(grant))
        .execute(&mut connection)
        .await
        .unwrap();
    let store = Postgres::from_url(database.url(), 2).unwrap();
    store.migrate().await.unwrap();
    let allowed: (bool, bool) = query_as(
        "SELECT has_table_privilege($1, 'processed_events', 'SELECT'), has_table_privilege($1, 'processed_events', 'INSERT')",
    )
    .bind(&reader)
    .fetch_one(&mut connection)
    .await
    .unwrap();
    let cleanup = format!("DROP OWNED BY {reader}; DROP ROLE {reader}");
    raw_sql(sqlx::AssertSqlSafe(cleanup))
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(allowed, (true, false));
    store.close().await;
}

#[tokio::test]
async fn a_trigger_that_would_not_follow_into_new_buckets_stops_the_upgrade_and_says_what_to_do() {
    let (database, mut connection) = old_database(ONE_TABLE).await;
    let trigger = "
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
        CREATE TRIGGER note BEFORE INSERT ON processed_events FOR EACH ROW EXECUTE FUNCTION note()";
    raw_sql(trigger).execute(&mut connection).await.unwrap();
    let store = Postgres::from_url(database.url(), 2).unwrap();
    let error = store.migrate().await.unwrap_err();
    assert!(error.to_string().contains("has a trigger"), "{error}");
    raw_sql("DROP TRIGGER note ON processed_events")
        .execute(&mut connection)
        .await
        .unwrap();
    store.migrate().await.unwrap();
    // On the whole ledger it is there for every bucket.
    raw_sql("CREATE TRIGGER note BEFORE INSERT ON processed_events FOR EACH ROW EXECUTE FUNCTION note()")
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(record(&store, &events("t", 2)).await, [Accepted; 2]);
    store.close().await;
}

#[tokio::test]
async fn tables_of_an_older_version_get_the_beginnings_of_their_topics() {
    let (database, _) = old_database(NO_BEGINNINGS).await;
    let store = Postgres::from_url(database.url(), 2).unwrap();
    store.migrate().await.unwrap();
    let topics = store.topics(&TopicQuery::default()).await.unwrap().topics;
    let events = store.events(&EventQuery::default()).await.unwrap().items;
    let first = events.iter().map(|event| event.processed_at).min();
    assert_eq!(topics.len(), 1);
    assert_eq!(Some(topics[0].first_processed_at), first);
    store.take_sample(chrono::Utc::now()).await.unwrap();
    assert!(matches!(store.audit().await, Ok(audit) if audit.is_exact()));
    store.close().await;
}

#[tokio::test]
async fn a_ledger_that_was_dumped_and_restored_is_exact_and_goes_on() {
    let server = OwnPostgres::start().await;
    let store = Postgres::from_url(&server.url(), 2).unwrap();
    store.migrate().await.unwrap();
    let full = Rules {
        bucket_events: 1,
        bucket_age: None,
        retention: None,
    };
    record(&store, &events("closed", 10)).await;
    for _ in 0..2 {
        store.keep(&full).await.unwrap();
    }
    record(&store, &events("open", 10)).await;
    store.close().await;

    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("events.dump");
    let mut admin = PgConnection::connect(&server.url()).await.unwrap();
    raw_sql("CREATE DATABASE restored TEMPLATE template0")
        .execute(&mut admin)
        .await
        .unwrap();
    let url = server.url();
    let (address, _) = url.rsplit_once('/').unwrap();
    let restored = format!("{address}/restored");
    for (program, arguments) in [
        (
            "pg_dump",
            vec![
                "--format=custom",
                "--file",
                dump.to_str().unwrap(),
                &server.url(),
            ],
        ),
        (
            "pg_restore",
            vec![
                "--exit-on-error",
                "--single-transaction",
                "--dbname",
                &restored,
                dump.to_str().unwrap(),
            ],
        ),
    ] {
        let mut command = std::process::Command::new(OwnPostgres::program(program));
        command.args(arguments);
        let ended = programs::run_command(command, &[]).await;
        assert_eq!(ended.code, Some(0), "{program}: {}", ended.err);
    }

    let store = Postgres::from_url(&restored, 2).unwrap();
    store.migrate().await.unwrap();
    assert!(store.audit().await.unwrap().is_exact());
    assert_eq!(
        store.keep(&Rules::NOTHING_DUE).await.unwrap(),
        None,
        "its filter is there"
    );
    assert_eq!(store.filters().unwrap().filters, 1);
    assert_eq!(
        record(&store, &events("closed", 11)).await[..10],
        [Duplicate; 10]
    );
    assert_eq!(record(&store, &events("open", 10)).await, [Duplicate; 10]);
    let mut connection = PgConnection::connect(&restored).await.unwrap();
    let late = "INSERT INTO processed_events_0 (topic, event_id, source, payload, event_timestamp, received_at, receipt_id)
        VALUES ('t', 'late', 's', '{}', now(), now(), gen_random_uuid())";
    let refused = query(late).execute(&mut connection).await;
    assert!(refused.is_err(), "bucket 0 is sealed there, too");
    let closed = store.keep(&full).await.unwrap();
    assert!(
        matches!(closed, Some(Step::Closed { bucket: 1, .. })),
        "{closed:?}"
    );
    assert_eq!(record(&store, &events("open", 10)).await, [Duplicate; 10]);
    assert!(store.audit().await.unwrap().is_exact());
    store.close().await;
}

/// `retention` says what it would forget, forgets it, and then has nothing to forget.
#[tokio::test]
async fn the_command_retention_forgets_what_it_has_said() {
    let database = servers::database().await;
    let store = Postgres::from_url(database.url(), 2).unwrap();
    store.migrate().await.unwrap();
    record(&store, &events("old", 10)).await;
    let full = Rules {
        bucket_events: 1,
        ..Rules::NOTHING_DUE
    };
    store.keep(&full).await.unwrap();
    let settings = [("DATABASE_URL", database.url())];
    let run = async |arguments: &[&str]| programs::run("aggregator", arguments, &settings).await;

    let unset = run(&["retention"]).await;
    assert_eq!(unset.code, Some(1));
    assert!(
        unset.err.contains("RETENTION_DAYS is not set"),
        "{}",
        unset.err
    );
    let young = run(&["--retention-days=1h", "retention"]).await;
    assert!(young.out.contains("Nothing is older"), "{}", young.out);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let said = run(&["--retention-days=1s", "retention", "--dry-run"]).await;
    assert!(said.out.contains("bucket 0: 10 events"), "{}", said.out);
    assert!(
        said.out.contains("10 events would be forgotten"),
        "{}",
        said.out
    );
    assert_eq!(
        record(&store, &events("old", 10)).await,
        [Duplicate; 10],
        "nothing is forgotten"
    );
    let done = run(&["--retention-days=1s", "retention"]).await;
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(
        done.out.contains("10 events were forgotten"),
        "{}",
        done.out
    );
    assert!(store.audit().await.unwrap().is_exact());
    assert_eq!(record(&store, &events("old", 10)).await, [Accepted; 10]);
    store.close().await;
}
