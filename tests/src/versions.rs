//! Databases of older versions.

use std::{borrow::Cow, fs, path::Path};

use sqlx::{
    AssertSqlSafe, Connection, PgConnection, SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// Makes the tables in PostgreSQL as the version made them whose last migration has this number.
///
/// # Panics
/// If that fails.
pub async fn migrate_to(url: &str, last: i64) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let files = fs::read_dir(folder).expect("the migrations").flatten();
    let migrations = files.filter_map(|file| {
        let path = file.path();
        let (version, description) = path.file_stem()?.to_str()?.split_once('_')?;
        let version: i64 = version.parse().ok()?;
        let sql = fs::read_to_string(&path).expect("a migration");
        let description = Cow::Owned(description.replace('_', " "));
        let sql = AssertSqlSafe(sql).into_sql_str();
        let migration = Migration::new(version, description, MigrationType::Simple, sql, false);
        (version <= last).then_some(migration)
    });
    let mut migrations: Vec<Migration> = migrations.collect();
    migrations.sort_by_key(|migration| migration.version);
    let mut connection = PgConnection::connect(url).await.expect("a database");
    let migrator = Migrator::with_migrations(migrations);
    let migrated = migrator.run_direct(None, &mut connection, false).await;
    migrated.expect("migrations that are as they were");
}
