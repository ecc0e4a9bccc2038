//! Dead letters that are replayed and discarded.

use event::{Claim, envelope};
use store::Selection;
use tests::events::event;

use super::{Tested, claim};

contract![
    replayed_letters_move_from_one_counter_to_the_other_once,
    a_dry_run_of_a_replay_changes_nothing,
    a_discarded_letter_stays_counted,
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
