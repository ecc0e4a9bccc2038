//! What only SQLite does: a file that others use, or that is something else.

use event::Verdict::Accepted;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, raw_sql};
use store::sqlite::Sqlite;
use store::{Store, StoreError};
use tests::events::event;

use super::{Tables, Tested, claim, file, verdicts};

#[tokio::test]
async fn a_sqlite_file_that_another_process_writes_to_is_unavailable_until_it_is_done() {
    let tables = Tables::sqlite();
    let Tables::Sqlite(folder) = &tables else {
        unreachable!()
    };
    let mut other = SqliteConnection::connect_with(
        &sqlx::sqlite::SqliteConnectOptions::new()
            .filename(folder.path().join("unused.db"))
            .create_if_missing(true),
    )
    .await
    .unwrap();
    let file = file(folder).display().to_string();
    let tested = Tested::over(tables).await;
    tested.add(&[event("a", "1")]).await;
    let claim = claim(tested.worker().await, &[event("a", "2")]);
    for sql in [
        format!("ATTACH '{file}' AS shared"),
        "BEGIN; UPDATE shared.agg_stats SET id = 1".to_owned(),
    ] {
        let sql = raw_sql(AssertSqlSafe(sql));
        sql.execute(&mut other).await.unwrap();
    }

    let locked = tested.store.record(&claim).await.unwrap_err();
    assert!(matches!(locked, StoreError::Unavailable(_)), "{locked:?}");
    assert_eq!(tested.counters().await, (1, 0, 0), "reading goes on");

    raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    let recorded = tested.store.record(&claim).await.unwrap();
    assert_eq!(verdicts(recorded), [Accepted]);
}

#[tokio::test]
async fn a_file_that_is_not_a_sqlite_database_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let text = "These are not tables.\n".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let store = Sqlite::open(&format!("sqlite://{}", path.display())).unwrap();
    let error = store.migrate().await.unwrap_err();
    assert!(matches!(error, StoreError::Schema(_)), "{error:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}
