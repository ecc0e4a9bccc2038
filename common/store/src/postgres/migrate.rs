//! Bringing the tables up to date.
//!
//! Whether there is something to do is read first, so a role that may only read the list of migrations can start the
//! program once the owner has run them.

use std::{collections::BTreeMap, sync::LazyLock};

use sqlx::{
    AssertSqlSafe, PgConnection,
    migrate::{MigrateError, Migrator},
    query_as, query_scalar, raw_sql,
};

use super::{
    classify::{failure, migration_failure},
    rights,
};
use crate::{StoreError, migrations::migrator};

static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    migrator(&[
        (
            1,
            "tables",
            include_str!("../../../../migrations/0001_tables.sql"),
        ),
        (
            2,
            "discarded letters",
            include_str!("../../../../migrations/0002_discarded_letters.sql"),
        ),
        (
            3,
            "topic beginnings",
            include_str!("../../../../migrations/0003_topic_beginnings.sql"),
        ),
        (
            4,
            "beginnings of known topics",
            include_str!("../../../../migrations/0004_beginnings_of_known_topics.sql"),
        ),
        (
            5,
            "history",
            include_str!("../../../../migrations/0005_history.sql"),
        ),
        (
            6,
            "bucket of known events",
            include_str!("../../../../migrations/0006_bucket_of_known_events.sql"),
        ),
        (
            7,
            "bucket of known events is known",
            include_str!("../../../../migrations/0007_bucket_of_known_events_is_known.sql"),
        ),
        (
            8,
            "ledger",
            include_str!("../../../../migrations/0008_ledger.sql"),
        ),
        (
            9,
            "queue layouts",
            include_str!("../../../../migrations/0009_queue_layouts.sql"),
        ),
    ])
});

const NOT_ALLOWED: &str = "the tables are not up to date, and this role may not change them; run `aggregator migrate` \
    as their owner";
/// What lists them, if any ever ran.
const HAS_LIST: &str = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
const APPLIED: &str = "SELECT version, checksum FROM _sqlx_migrations WHERE success";

/// Does what is missing, under the migrator's lock, and then says what the role of this connection must still be allowed.
/// The connection must be closed afterwards: after an error it may hold that lock.
pub(super) async fn run(connection: &mut PgConnection) -> Result<(), StoreError> {
    if !is_done(connection).await? {
        // `Migrator::run` on a borrowed connection gives a future that is not `Send`, as far as the compiler can tell.
        let (all, skip) = (None, false);
        let done = MIGRATIONS.run_direct(all, connection, skip).await;
        match done.map_err(migration_failure) {
            Err(StoreError::Schema(cause)) if rights::are_missing(&*cause) => {
                return Err(StoreError::Forbidden(NOT_ALLOWED.to_owned()));
            }
            done => done?,
        }
    }
    match rights::missing(connection).await.map_err(failure)? {
        None => Ok(()),
        Some(missing) => Err(rights::forbidden(&missing)),
    }
}

/// Gives a role rights.
pub(super) async fn grant(
    connection: &mut PgConnection,
    statements: String,
) -> Result<(), StoreError> {
    let granting = raw_sql(AssertSqlSafe(statements));
    granting.execute(connection).await.map_err(failure)?;
    Ok(())
}

/// Whether all migrations of this program have run.
async fn is_done(connection: &mut PgConnection) -> Result<bool, StoreError> {
    if !query_scalar(HAS_LIST)
        .fetch_one(&mut *connection)
        .await
        .map_err(failure)?
    {
        return Ok(false);
    }
    let applied = query_as(APPLIED).fetch_all(connection).await;
    let applied: Vec<(i64, Vec<u8>)> = match applied {
        Err(error) if rights::are_missing(&error) => {
            return Err(rights::forbidden("SELECT on _sqlx_migrations"));
        }
        applied => applied.map_err(failure)?,
    };
    let mut wanted: BTreeMap<i64, &[u8]> = MIGRATIONS
        .iter()
        .map(|migration| (migration.version, &*migration.checksum))
        .collect();
    for (version, checksum) in &applied {
        match wanted.remove(version) {
            Some(wanted) if wanted == checksum => {}
            Some(_) => return Err(migration_failure(MigrateError::VersionMismatch(*version))),
            None => return Err(migration_failure(MigrateError::VersionMissing(*version))),
        }
    }
    Ok(wanted.is_empty())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_migration_is_part_of_the_program() {
        crate::migrations::tests::assert_are_those_in("", &super::MIGRATIONS);
    }
}
