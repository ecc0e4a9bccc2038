//! Bringing the tables up to date.

use sqlx::{SqlitePool, migrate::Migrator};

use super::{
    classify::{commit_failure, failure, migration_failure},
    record::BEGIN,
};
use crate::StoreError;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// All migrations in one transaction. sqlx has no lock for migrations of SQLite; the file's write
/// lock serves as one, and whoever comes second finds all of them done.
pub(super) async fn run(pool: &SqlitePool) -> Result<(), StoreError> {
    let mut transaction = pool.begin_with(BEGIN).await.map_err(failure)?;
    // `Migrator::run` on a borrowed connection gives a future that is not `Send`, to the compiler's
    // mind; sqlx has this for just that.
    let (all, skip) = (None, false);
    MIGRATIONS
        .run_direct(all, &mut *transaction, skip)
        .await
        .map_err(migration_failure)?;
    transaction.commit().await.map_err(commit_failure)
}
