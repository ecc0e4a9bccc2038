//! Bringing the tables up to date.

use std::sync::LazyLock;

use sqlx::{SqlitePool, migrate::Migrator};

use super::{
    begin::BEGIN,
    classify::{commit_failure, failure, migration_failure},
};
use crate::{StoreError, migrations::migrator};

static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    migrator(&[
        (
            1,
            "tables",
            include_str!("../../../../migrations/sqlite/0001_tables.sql"),
        ),
        (
            2,
            "discarded letters",
            include_str!("../../../../migrations/sqlite/0002_discarded_letters.sql"),
        ),
        (
            3,
            "topic beginnings",
            include_str!("../../../../migrations/sqlite/0003_topic_beginnings.sql"),
        ),
        (
            4,
            "history",
            include_str!("../../../../migrations/sqlite/0004_history.sql"),
        ),
        (
            5,
            "ledger",
            include_str!("../../../../migrations/sqlite/0005_ledger.sql"),
        ),
        (
            6,
            "queue layouts",
            include_str!("../../../../migrations/sqlite/0006_queue_layouts.sql"),
        ),
    ])
});

/// All migrations in one transaction. sqlx has no lock for migrations of SQLite; the file's write
/// lock serves as one, and the second process finds all of them done.
pub(super) async fn run(pool: &SqlitePool) -> Result<(), StoreError> {
    let mut transaction = pool.begin_with(BEGIN).await.map_err(failure)?;
    // `Migrator::run` on a borrowed connection gives a future that is not `Send`, as far as the
    // compiler can tell.
    let (all, skip) = (None, false);
    MIGRATIONS
        .run_direct(all, &mut *transaction, skip)
        .await
        .map_err(migration_failure)?;
    transaction.commit().await.map_err(commit_failure)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_migration_is_part_of_the_program() {
        crate::migrations::tests::assert_are_those_in("sqlite", &super::MIGRATIONS);
    }
}
