//! Dead letters that are replayed and discarded.

use event::{Claim, Malformed, envelope, frame};
use store::Selection;
use tests::events::{event, events};

use super::{Tested, claim};

contract![
    replayed_letters_move_from_one_counter_to_the_other_once,
    a_dry_run_of_a_replay_changes_nothing,
    a_discarded_letter_stays_counted,
    a_frame_that_an_older_aggregator_put_aside_is_replayed_event_by_event,
];

/// A store with two dead letters that can be stored now, one of them a duplicate, and one that
/// never can.
async fn with_letters(tested: &Tested) -> Vec<i64> {
    tested.tables.refuse().await;
    let id = tested.worker().await;
    let claimed = Claim {
        malformed: vec![envelope::decode(b"hello").unwrap_err()],
        ..claim(
            id,
            &[
                event("refused", "1"),
                event("refused", "2"),
                event("a", "1"),
            ],
        )
    };
    tested.store.record(&claimed).await.unwrap();
    tested.tables.refuse_no_more().await;
    tested.record(id.next(), &[event("refused", "2")]).await;
    assert_eq!(tested.counters().await, (2, 0, 3));
    tested
        .letters()
        .await
        .iter()
        .map(|letter| letter.id)
        .collect()
}

async fn replayed_letters_move_from_one_counter_to_the_other_once(tested: Tested) {
    let ids = with_letters(&tested).await;
    let replayed = tested
        .store
        .replay(&Selection::After(None), false)
        .await
        .unwrap();
    assert_eq!((replayed.accepted, replayed.duplicates), (1, 1));
    assert_eq!(replayed.refused.len(), 1);
    assert_eq!(replayed.refused[0].0, ids[2]);
    assert_eq!(tested.counters().await, (3, 1, 1));
    assert!(tested.store.audit().await.unwrap().is_exact());

    let again = tested
        .store
        .replay(&Selection::Ids(ids), false)
        .await
        .unwrap();
    assert_eq!(
        (again.accepted, again.duplicates, again.refused.len()),
        (0, 0, 1)
    );
    assert_eq!(tested.counters().await, (3, 1, 1));
}

async fn a_dry_run_of_a_replay_changes_nothing(tested: Tested) {
    let ids = with_letters(&tested).await;
    let dry = tested
        .store
        .replay(&Selection::Ids(ids.clone()), true)
        .await
        .unwrap();
    assert_eq!((dry.accepted, dry.duplicates, dry.refused.len()), (1, 1, 1));
    assert_eq!(tested.counters().await, (2, 0, 3));
    assert_eq!(tested.letters().await.len(), ids.len());
}

async fn a_discarded_letter_stays_counted(tested: Tested) {
    let ids = with_letters(&tested).await;
    assert!(tested.store.discard(ids[0]).await.unwrap());
    assert!(!tested.store.discard(ids[0]).await.unwrap());
    assert!(!tested.store.discard(i64::MAX).await.unwrap());
    assert_eq!(tested.letters().await.len(), ids.len() - 1);
    assert_eq!(tested.counters().await, (2, 0, 3));
    assert!(tested.store.audit().await.unwrap().is_exact());
    let replayed = tested
        .store
        .replay(&Selection::Ids(ids), false)
        .await
        .unwrap();
    assert_eq!(replayed.accepted, 0, "it cannot be replayed any more");
}

async fn a_frame_that_an_older_aggregator_put_aside_is_replayed_event_by_event(tested: Tested) {
    let mut batch = events("a", 5);
    batch.extend([event("refused", "1"), event("a", "000000")]);
    let id = tested.worker().await;
    let raw = frame::write(&batch).remove(0).element;
    let reason = "is not an envelope".to_owned();
    let claimed = Claim {
        malformed: vec![Malformed { raw, reason }],
        ..claim(id, &[event("a", "000001")])
    };
    tested.store.record(&claimed).await.unwrap();
    assert_eq!(tested.counters().await, (1, 0, 1));

    tested.tables.refuse().await;
    let all = Selection::After(None);
    let replayed = tested.store.replay(&all, false).await.unwrap();
    assert_eq!((replayed.accepted, replayed.duplicates), (4, 2));
    assert_eq!(replayed.refused.len(), 1);
    let letters = tested.letters().await;
    assert_eq!(
        letters.len(),
        1,
        "what is still refused is a letter of its own"
    );
    assert_eq!(envelope::decode(letters[0].raw.clone()).unwrap(), batch[5]);
    assert_eq!(tested.counters().await, (5, 2, 1));
    assert!(tested.store.audit().await.unwrap().is_exact());

    tested.tables.refuse_no_more().await;
    let replayed = tested.store.replay(&all, false).await.unwrap();
    assert_eq!((replayed.accepted, replayed.duplicates), (1, 0));
    assert_eq!(tested.counters().await, (6, 2, 0));
    assert!(tested.letters().await.is_empty());
    assert!(tested.store.audit().await.unwrap().is_exact());
}
