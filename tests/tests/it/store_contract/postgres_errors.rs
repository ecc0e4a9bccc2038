//! What only PostgreSQL does: errors, and what each of them means for a claim.

use event::Verdict::{Accepted, DeadLettered};
use store::{Selection, StoreError};
use tests::events::{event, events};

use super::{Tables, Tested, claim, verdicts};

#[tokio::test]
async fn an_error_of_postgres_at_the_commit_is_told_from_a_lost_answer() {
    let tested = Tested::over(Tables::postgres().await).await;
    tested
        .tables
        .run(
            "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.topic = 'end' THEN
                     PERFORM pg_terminate_backend(pg_backend_pid());
                 ELSE
                     RAISE EXCEPTION USING ERRCODE = NEW.topic;
                 END IF;
                 RETURN NEW;
             END $$;
             CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON processed_events
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit();",
        )
        .await;
    let id = tested.worker().await;
    let failure = async |topic| {
        let claim = claim(id, &[event(topic, "1")]);
        tested.store.record(&claim).await.unwrap_err()
    };
    let lost = failure("end").await;
    assert!(matches!(lost, StoreError::Uncertain(_)), "{lost:?}");
    let conflict = failure("40001").await;
    assert!(
        matches!(conflict, StoreError::Unavailable(_)),
        "{conflict:?}"
    );
    for code in ["58030", "XX000", "08006", "57P01"] {
        let lost = failure(code).await;
        assert!(matches!(lost, StoreError::Uncertain(_)), "{code}: {lost:?}");
    }

    tested
        .tables
        .run("DROP TRIGGER at_commit ON processed_events")
        .await;
    let recorded = tested.record(id, &[event("end", "1")]).await;
    assert_eq!(verdicts(recorded), [Accepted]);
    assert_eq!(tested.counters().await, (1, 0, 0));
}

/// Raises the SQLSTATE that an event has as its topic, `when` it is inserted or committed.
const RAISE_ITS_TOPIC: &str = r"
    CREATE FUNCTION raise_its_topic() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.topic ~ '^[0-9A-Z]{5}$' THEN
            RAISE EXCEPTION 'made up for a test' USING ERRCODE = NEW.topic;
        END IF;
        RETURN NEW;
    END $$;";
const WHEN_INSERTED: &str = "
    CREATE TRIGGER raise_its_topic BEFORE INSERT ON processed_events
    FOR EACH ROW EXECUTE FUNCTION raise_its_topic();";
const WHEN_COMMITTED: &str = "
    CREATE CONSTRAINT TRIGGER raise_its_topic AFTER INSERT ON processed_events
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION raise_its_topic();";
const RAISE_NO_MORE: &str = "DROP TRIGGER raise_its_topic ON processed_events";

#[tokio::test]
async fn an_error_of_postgres_that_comes_again_with_its_event_is_a_refusal_whatever_its_class() {
    let tested = Tested::over(Tables::postgres().await).await;
    tested.tables.run(RAISE_ITS_TOPIC).await;
    for (trigger, when) in [(WHEN_INSERTED, "insert"), (WHEN_COMMITTED, "commit")] {
        tested.tables.run(trigger).await;
        // Characters the encoding does not have, RAISE EXCEPTION, a function's own, a view's check, another server's, and
        // one that nobody knows; data; and what a trigger meets whose table is missing for this event only.
        for code in [
            "0A000", "P0001", "38001", "44000", "HV000", "ZZ999", "22P05", "23514", "54000",
            "42P01",
        ] {
            let good = events(&format!("good with {code} {when}"), 9);
            let mut batch = good.clone();
            batch.insert(4, event(code, when));
            let mut expected = vec![Accepted; 10];
            expected[4] = DeadLettered;
            assert_eq!(tested.add(&batch).await, expected, "{code}");
            let letters = tested.tables.dead_letters().await;
            let reason = &letters.last().unwrap().1;
            assert!(reason.contains(code), "{reason}");
        }
        let alone = tested
            .add(&[event("P0001", when), event("0A000", when)])
            .await;
        assert_eq!(alone, [DeadLettered; 2]);
        tested.tables.run(RAISE_NO_MORE).await;
    }
    assert_eq!(tested.counters().await, (180, 0, 24));
    let replayed = tested.store.replay(&Selection::After(None), false).await;
    let replayed = replayed.unwrap();
    assert_eq!((replayed.accepted, replayed.duplicates), (20, 4));
    assert_eq!(tested.counters().await, (200, 4, 0));
    assert!(tested.store.audit().await.unwrap().is_exact());
}

#[tokio::test]
async fn no_trouble_of_postgres_itself_turns_an_event_into_a_dead_letter() {
    let tested = Tested::over(Tables::postgres().await).await;
    tested.tables.run(RAISE_ITS_TOPIC).await;
    tested.tables.run(WHEN_INSERTED).await;
    let id = tested.worker().await;
    let failure = async |topic: &str| {
        let mut batch = events("good", 3);
        batch.push(event(topic, "1"));
        tested.store.record(&claim(id, &batch)).await.unwrap_err()
    };
    for code in [
        "08006", "25006", "28000", "40001", "40P01", "53100", "53200", "53300", "55P03", "57014",
        "57P01", "58030", "XX000", "XX001",
    ] {
        let error = failure(code).await;
        assert!(
            matches!(error, StoreError::Unavailable(_)),
            "{code}: {error:?}"
        );
    }
    tested.tables.run(RAISE_NO_MORE).await;
    // Each event meets it: something is missing, and the events are good.
    for fault in [
        "CREATE FUNCTION to_nowhere() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO nowhere VALUES (NEW.topic);
             RETURN NEW;
         END $$;
         CREATE TRIGGER fault BEFORE INSERT ON processed_events
         FOR EACH ROW EXECUTE FUNCTION to_nowhere();",
        // It needs no event to fail.
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             RAISE EXCEPTION 'made up for a test';
         END $$;
         CREATE TRIGGER fault BEFORE INSERT ON processed_events_0 EXECUTE FUNCTION fail();",
    ] {
        tested.tables.run(fault).await;
        let error = failure("good").await;
        let expected = matches!(error, StoreError::Schema(_) | StoreError::Unavailable(_));
        assert!(expected, "{error:?}");
        let mended = "
            DROP TRIGGER IF EXISTS fault ON processed_events;
            DROP TRIGGER IF EXISTS fault ON processed_events_0";
        tested.tables.run(mended).await;
    }
    assert_eq!(tested.counters().await, (0, 0, 0));
    assert!(tested.letters().await.is_empty());
    let recorded = tested.record(id, &events("good", 3)).await;
    assert_eq!(verdicts(recorded), [Accepted; 3]);
}
