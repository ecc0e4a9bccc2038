//! What cannot be stored becomes a dead letter, and the rest is stored.

use event::{
    Claim, Event, Malformed,
    Verdict::{Accepted, DeadLettered, Duplicate},
    envelope,
};
use store::{Recorded, Selection, StoreError};
use tests::events::{event, events};

use super::{Tables, Tested, claim, verdicts};

contract![
    what_is_not_an_event_becomes_a_dead_letter,
    what_the_database_refuses_is_put_aside_and_the_rest_is_stored,
    if_the_first_delivery_is_refused_a_later_one_counts,
    what_a_trigger_drops_is_neither_unique_nor_a_duplicate_but_a_dead_letter,
    a_trigger_that_keeps_counters_from_counting_stops_the_commit,
];

async fn what_is_not_an_event_becomes_a_dead_letter(tested: Tested) {
    let elements: [&[u8]; 4] = [
        b"hello",
        b"\xff\x00",
        b"",
        // Its reason repeats a character that PostgreSQL's text does not hold.
        br#"{"v":1,"receipt_id":"\u0000","topic":"t","event_id":"e","timestamp":"","source":"","payload":{}}"#,
    ];
    let malformed: Vec<Malformed> = elements
        .iter()
        .map(|element| envelope::decode(*element).unwrap_err())
        .collect();
    let reasons: Vec<String> = malformed
        .iter()
        .map(|letter| letter.reason.clone())
        .collect();
    assert!(reasons[3].contains('\0'), "{reasons:?}");
    let claim = Claim {
        malformed,
        ..claim(tested.worker().await, &[event("a", "1"), event("a", "1")])
    };

    let recorded = tested.store.record(&claim).await.unwrap();
    assert_eq!(verdicts(recorded), [Accepted, Duplicate]);
    let again = tested.store.record(&claim).await.unwrap();
    assert_eq!(again, Recorded::AlreadyCommitted);

    assert_eq!(tested.counters().await, (1, 1, 4));
    let letters = tested.tables.dead_letters().await;
    assert_eq!(letters.len(), elements.len());
    for (letter, (element, reason)) in letters.iter().zip(elements.iter().zip(&reasons)) {
        assert_eq!(letter.0, *element);
        let expected = match tested.tables {
            Tables::Postgres(_) => reason.replace('\0', "\u{fffd}"),
            Tables::Sqlite(_) => reason.clone(),
        };
        assert_eq!(letter.1, expected);
    }
}

async fn what_the_database_refuses_is_put_aside_and_the_rest_is_stored(tested: Tested) {
    tested.tables.refuse().await;
    let id = tested.worker().await;
    let mut batch = events("good", 20);
    batch.insert(7, event("refused", "1"));
    batch.push(event("refused", "2"));
    let claimed = Claim {
        malformed: vec![envelope::decode(b"hello").unwrap_err()],
        ..claim(id, &batch)
    };
    let recorded = verdicts(tested.store.record(&claimed).await.unwrap());
    let expected = |event: &Event| match event.topic.as_str() {
        "refused" => DeadLettered,
        _ => Accepted,
    };
    assert_eq!(recorded, batch.iter().map(expected).collect::<Vec<_>>());
    assert_eq!(tested.counters().await, (20, 0, 3));
    assert_eq!(tested.all().await.len(), 20);

    let letters = tested.letters().await;
    assert_eq!(letters.len(), 3);
    assert_eq!(envelope::decode(&letters[0].raw).unwrap(), batch[7]);
    assert_eq!(letters[0].receipt_id, Some(batch[7].receipt_id.0));
    assert!(letters[0].reason.contains("code") || letters[0].reason.contains("SQLSTATE 22"));
    assert_eq!(letters[2].raw, b"hello");
    assert!(tested.store.audit().await.unwrap().is_exact());
    let again = tested.store.record(&claimed).await.unwrap();
    assert_eq!(again, Recorded::AlreadyCommitted);
}

async fn if_the_first_delivery_is_refused_a_later_one_counts(tested: Tested) {
    tested.tables.refuse_source("bad").await;
    let id = tested.worker().await;
    let mut bad = event("t", "1");
    bad.source = "bad".try_into().unwrap();
    let batch = [bad, event("t", "1"), event("t", "1")];
    let recorded = verdicts(tested.store.record(&claim(id, &batch)).await.unwrap());
    assert_eq!(recorded, [DeadLettered, Accepted, Duplicate]);
    assert_eq!(tested.counters().await, (1, 1, 1));
    assert!(tested.store.audit().await.unwrap().is_exact());
}

async fn what_a_trigger_drops_is_neither_unique_nor_a_duplicate_but_a_dead_letter(tested: Tested) {
    tested
        .tables
        .run(match tested.tables {
            Tables::Postgres(_) => {
                "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                     RETURN NULL;
                 END $$;
                 CREATE TRIGGER swallow BEFORE INSERT ON processed_events
                 FOR EACH ROW WHEN (NEW.topic = 'swallowed') EXECUTE FUNCTION swallow();"
            }
            Tables::Sqlite(_) => {
                "CREATE TRIGGER swallow BEFORE INSERT ON processed_events
                 WHEN NEW.topic = 'swallowed' BEGIN SELECT RAISE(IGNORE); END"
            }
        })
        .await;
    let id = tested.worker().await;
    tested.record(id, &[event("a", "1")]).await;
    let batch = [
        event("a", "1"),
        event("swallowed", "1"),
        event("a", "2"),
        event("swallowed", "1"),
    ];
    let recorded = verdicts(tested.record(id.next(), &batch).await);
    assert_eq!(recorded, [Duplicate, DeadLettered, Accepted, DeadLettered]);
    assert_eq!(tested.counters().await, (2, 1, 2));
    assert!(tested.store.audit().await.unwrap().is_exact());
    let reason = &tested.letters().await[0].reason;
    assert!(reason.contains("trigger"), "{reason}");

    let replay = async || {
        let replayed = tested.store.replay(&Selection::After(None), false).await;
        let replayed = replayed.unwrap();
        (
            replayed.accepted,
            replayed.duplicates,
            replayed.refused.len(),
        )
    };
    assert_eq!(replay().await, (0, 0, 2), "the trigger is still there");
    tested
        .tables
        .run(match tested.tables {
            Tables::Postgres(_) => "DROP TRIGGER swallow ON processed_events",
            Tables::Sqlite(_) => "DROP TRIGGER swallow",
        })
        .await;
    assert_eq!(replay().await, (1, 1, 0));
    assert_eq!(tested.counters().await, (3, 2, 0));
    assert!(tested.store.audit().await.unwrap().is_exact());
}

async fn a_trigger_that_keeps_counters_from_counting_stops_the_commit(tested: Tested) {
    for (table, change) in [
        ("agg_stats", "UPDATE"),
        ("topic_stats", "INSERT"),
        ("dead_letters", "INSERT"),
    ] {
        tested
            .tables
            .run(&match tested.tables {
                Tables::Postgres(_) => format!(
                    "CREATE OR REPLACE FUNCTION keep_out() RETURNS trigger LANGUAGE plpgsql
                     AS $$ BEGIN RETURN NULL; END $$;
                     CREATE TRIGGER keep_out BEFORE {change} ON {table}
                     FOR EACH ROW EXECUTE FUNCTION keep_out();"
                ),
                Tables::Sqlite(_) => format!(
                    "CREATE TRIGGER keep_out BEFORE {change} ON {table}
                     BEGIN SELECT RAISE(IGNORE); END"
                ),
            })
            .await;
        let before = tested.counters().await;
        let claim = Claim {
            malformed: vec![envelope::decode(b"hello").unwrap_err()],
            ..claim(tested.worker().await, &[event(table, "1")])
        };
        let error = tested.store.record(&claim).await.unwrap_err();
        assert!(matches!(error, StoreError::Schema(_)), "{table}: {error:?}");
        assert!(error.to_string().contains(table), "{error}");
        assert_eq!(tested.counters().await, before);
        assert!(tested.find(&event(table, "1")).await.is_none());

        tested
            .tables
            .run(&match tested.tables {
                Tables::Postgres(_) => format!("DROP TRIGGER keep_out ON {table}"),
                Tables::Sqlite(_) => "DROP TRIGGER keep_out".to_owned(),
            })
            .await;
        let recorded = tested.store.record(&claim).await.unwrap();
        assert_eq!(verdicts(recorded), [Accepted]);
        assert!(tested.store.audit().await.unwrap().is_exact());
    }
}
