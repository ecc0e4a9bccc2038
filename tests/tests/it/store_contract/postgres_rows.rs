//! What only PostgreSQL does: rows that others write meanwhile, and rows that are gone.

use event::{
    Event,
    Verdict::{Accepted, DeadLettered, Duplicate},
    frame,
};
use sqlx::{Connection, PgConnection, raw_sql};
use store::{Cursor, Selection};
use tests::{
    SOON,
    events::{event, events},
    eventually,
};

use super::{Tables, Tested, claim, names, verdicts};

#[tokio::test]
async fn a_page_of_postgres_waits_for_ids_that_are_drawn_but_not_committed() {
    let Tables::Postgres(database) = Tables::postgres().await else {
        unreachable!()
    };
    let mut blocker = PgConnection::connect(database.url()).await.unwrap();
    let tested = Tested::over(Tables::Postgres(database)).await;
    let early = event("slow", "0");
    tested.add(std::slice::from_ref(&early)).await;

    // Counting the topic comes after the ids are drawn: there the slow transaction is held.
    let mut held = blocker.begin().await.unwrap();
    let hold = "
        INSERT INTO topic_stats (topic, slot, unique_processed, duplicate_dropped, last_processed_at)
        SELECT 'slow', slot, 0, 0, now() FROM generate_series(1, 16) AS slot
        ON CONFLICT (topic, slot) DO UPDATE SET slot = excluded.slot";
    raw_sql(hold).execute(&mut *held).await.unwrap();
    let (slow, fast) = (events("slow", 3), events("fast", 3));
    let slow_claim = claim(tested.worker().await, &slow);
    let store = tested.store.clone();
    let recording = tokio::spawn(async move { store.record(&slow_claim).await });
    eventually("the slow transaction waits", SOON, async || {
        let waiting = "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
                       WHERE NOT granted AND datname = current_database())";
        let waiting = sqlx::query_scalar::<_, bool>(waiting).fetch_one(&mut *held);
        waiting.await.unwrap()
    })
    .await;
    tested.add(&fast).await;
    assert!(tested.find(&fast[0]).await.is_some());

    let before = tested.page(10, None).await;
    assert_eq!(names(&before.items), [early.key()], "its ids are lower");
    held.rollback().await.unwrap();
    assert_eq!(verdicts(recording.await.unwrap().unwrap()), [Accepted; 3]);

    let last = before.items.last().map(|event| Cursor { id: event.id });
    let after = tested.page(10, last).await;
    let expected: Vec<_> = slow.iter().chain(&fast).map(Event::key).collect();
    assert_eq!(names(&after.items), expected);
    assert!(after.next.is_none());
}

#[tokio::test]
async fn what_postgres_has_forgotten_behind_a_new_connection_is_stored_again() {
    let tested = Tested::over(Tables::postgres().await).await;
    let stored = events("t", 3);
    assert_eq!(tested.add(&stored).await, [Accepted; 3]);

    // Known without asking: a row that is deleted under a living connection is not missed. The pool may still make a
    // connection, and then all is forgotten once more.
    eventually("they are known without asking", SOON, async || {
        tested.tables.run("DELETE FROM processed_events").await;
        tested.add(&stored).await == [Duplicate; 3]
    })
    .await;

    // As when a replica was promoted that had not received them.
    let disconnect = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let claim = claim(tested.worker().await, &stored);
    tested.tables.run(disconnect).await;
    assert_eq!(tested.insist(&claim).await, [Accepted; 3]);
    assert_eq!(tested.all().await.len(), 3);
}

/// The other's row has an id of the same range as this one's.
#[tokio::test]
async fn what_another_worker_stores_while_postgres_keeps_this_one_waiting_is_its_own() {
    let tested = Tested::over(Tables::postgres().await).await;
    let Tables::Postgres(database) = &tested.tables else {
        unreachable!("asked for");
    };
    let mut holder = PgConnection::connect(database.url()).await.unwrap();
    // Within its transaction the holder would always see the same activity.
    let mut observer = PgConnection::connect(database.url()).await.unwrap();
    let hold = "BEGIN;
        INSERT INTO processed_events_0
            (topic, event_id, source, payload, event_timestamp, received_at, receipt_id)
        VALUES ('t', 'a', 's', '{}', now(), now(), gen_random_uuid())";
    raw_sql(hold).execute(&mut holder).await.unwrap();

    let batch = [event("t", "a"), event("t", "b")];
    let meanwhile = async {
        eventually("the batch waits for its first key", SOON, async || {
            let waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock')";
            let waiting = sqlx::query_scalar::<_, bool>(waiting)
                .fetch_one(&mut observer)
                .await;
            waiting.unwrap()
        })
        .await;
        assert_eq!(tested.add(&batch[1..]).await, [Accepted]);
        raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    };
    let (verdicts, ()) = tokio::join!(tested.add(&batch), meanwhile);
    assert_eq!(verdicts, [Accepted, Duplicate]);
    assert_eq!(tested.counters().await, (2, 1, 0));
}

#[tokio::test]
async fn what_a_trigger_of_postgres_changes_or_deletes_is_not_counted_as_stored() {
    let tested = Tested::over(Tables::postgres().await).await;
    for (trigger, body) in [
        ("BEFORE", "NEW.topic := 'another'; RETURN NEW;"),
        (
            "BEFORE",
            "NEW.event_id := NEW.event_id || ' changed'; RETURN NEW;",
        ),
        (
            "AFTER",
            "DELETE FROM processed_events WHERE id = NEW.id; RETURN NEW;",
        ),
    ] {
        let sql = format!(
            "CREATE OR REPLACE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql
             AS $$ BEGIN {body} END $$;
             CREATE TRIGGER meddle {trigger} INSERT ON processed_events
             FOR EACH ROW WHEN (NEW.topic = 'meddled') EXECUTE FUNCTION meddle();"
        );
        tested.tables.run(&sql).await;
        let (unique, ..) = tested.counters().await;
        let batch = [event("good", body), event("meddled", body)];
        assert_eq!(tested.add(&batch).await, [Accepted, DeadLettered], "{body}");
        let after = tested.counters().await;
        assert_eq!(after.0, unique + 1, "{body}");
        assert!(tested.store.audit().await.unwrap().is_exact(), "{body}");
        tested
            .tables
            .run("DROP TRIGGER meddle ON processed_events")
            .await;
    }
}

#[tokio::test]
async fn what_was_stored_in_a_table_that_was_made_anew_is_stored_again() {
    let tested = Tested::over(Tables::postgres().await).await;
    let stored = events("t", 3);
    assert_eq!(tested.add(&stored).await, [Accepted; 3]);
    let anew = "
        ALTER SEQUENCE processed_events_id_seq OWNED BY NONE;
        CREATE TABLE anew (LIKE processed_events INCLUDING ALL) PARTITION BY LIST (bucket);
        CREATE TABLE anew_0 (LIKE processed_events_0 INCLUDING ALL);
        DROP TABLE processed_events;
        ALTER TABLE anew RENAME TO processed_events;
        ALTER TABLE anew_0 RENAME TO processed_events_0;
        ALTER TABLE processed_events ATTACH PARTITION processed_events_0 FOR VALUES IN (0)";
    // Over a living connection, which knows them.
    tested.tables.run(anew).await;
    assert_eq!(tested.add(&stored).await, [Accepted; 3]);
}

#[tokio::test]
async fn a_claim_whose_events_are_waited_for_is_recorded_by_one_statement() {
    for (tables, expected) in [
        (Tables::postgres().await, true),
        (Tables::postgres_in_steps().await, false),
    ] {
        let tested = Tested::over(tables).await;
        let id = tested.worker().await;
        tested.record(id, &events("a", 3)).await;
        let recorded = tested.record(id.next(), &events("a", 5)).await;
        assert_eq!(
            verdicts(recorded),
            [Duplicate, Duplicate, Duplicate, Accepted, Accepted]
        );
        let Tables::Postgres(database) = &tested.tables else {
            panic!("it is one of PostgreSQL");
        };
        let mut connection = PgConnection::connect(database.url()).await.unwrap();
        let last: Vec<String> = sqlx::query_scalar(
            "SELECT query FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap();
        let at_once = last.iter().any(|query| query.contains("advanced AS"));
        assert_eq!(at_once, expected, "{last:?}");
        assert!(tested.store.audit().await.unwrap().is_exact());
    }
}

#[tokio::test]
async fn a_payload_of_a_frame_that_is_not_json_is_a_dead_letter_of_its_own() {
    let tested = Tested::over(Tables::postgres().await).await;
    let batch = events("a", 3);
    let mut element = frame::write(&batch).remove(0).element;
    let at = element.windows(2).rposition(|pair| pair == b"{}").unwrap();
    // A frame is given payloads that its publisher has checked. This one is damaged: it begins with `{` twice.
    element[at - 1] = b'{';
    let records = element.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let last = records + 2 * 31;
    (element[last + 25], element[last + 27]) = (element[last + 25] - 1, 3);
    let opened = event::element::open(element);
    assert_eq!((opened.events.len(), opened.malformed.len()), (3, 0));
    let recorded = tested.record(tested.worker().await, &opened.events).await;
    assert_eq!(verdicts(recorded), [Accepted, Accepted, DeadLettered]);
    let letters = tested.letters().await;
    assert_eq!(
        event::element::open(letters[0].raw.clone()).events,
        opened.events[2..]
    );
    let replayed = tested
        .store
        .replay(&Selection::After(None), false)
        .await
        .unwrap();
    assert_eq!((replayed.accepted, replayed.refused.len()), (0, 1));
    assert!(tested.store.audit().await.unwrap().is_exact());
}
