//! Migrations as part of the program.
//!
//! The macro `sqlx::migrate!` would do the same, but with it sqlx and SQLite are compiled twice: the second time for the
//! compiler.

use std::borrow::Cow;

use sqlx::{
    AssertSqlSafe, SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// Each migration has a version, a description and its statements. They are in a file with a name that sqlx's own tools
/// expect: `0002_what_it_does.sql`.
pub(crate) fn migrator(migrations: &[(i64, &'static str, &'static str)]) -> Migrator {
    let migrations = migrations
        .iter()
        .map(|&(version, description, statements)| {
            let statements = AssertSqlSafe(statements).into_sql_str();
            let (kind, no_transaction) = (MigrationType::Simple, false);
            let description = Cow::Borrowed(description);
            Migration::new(version, description, kind, statements, no_transaction)
        });
    Migrator::with_migrations(migrations.collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use super::Migrator;

    /// Checks that these migrations are the files of a folder under `migrations/`, all of them.
    pub(crate) fn assert_are_those_in(folder: &str, migrator: &Migrator) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../migrations")
            .join(folder);
        let files = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path());
        let files: BTreeMap<String, String> = files
            .filter(|path| path.extension().is_some_and(|end| end == "sql"))
            .map(|path| {
                let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                (name, fs::read_to_string(path).unwrap())
            })
            .collect();
        let migrations: BTreeMap<String, String> = migrator
            .iter()
            .map(|migration| {
                let description = migration.description.replace(' ', "_");
                let name = format!("{:04}_{description}", migration.version);
                (name, migration.sql.as_str().to_owned())
            })
            .collect();
        assert_eq!(migrations, files);
    }
}
