//! What to do about an error of SQLite, by its [result code](https://www.sqlite.org/rescode.html).

use sqlx::migrate::MigrateError;

use crate::{ErrorClass, StoreError, Unsound};

/// `SQLITE_READONLY`.
const READONLY: u32 = 8;

/// Nothing was committed.
pub(super) fn failure(error: sqlx::Error) -> StoreError {
    class(&error).wrap(error)
}

/// The same of a statement that changes nothing: the file itself is at fault.
pub(super) fn write_failure(error: sqlx::Error) -> StoreError {
    if result_code(&error) == Some(READONLY) {
        StoreError::ReadOnly("give this user the right to write the file, or choose another")
    } else {
        failure(error)
    }
}

/// Why a transaction was not committed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Unsound(#[from] Unsound),
    /// The commit was sent. A failed sync, say, leaves open what is on the disk.
    #[error(transparent)]
    Commit(sqlx::Error),
}

impl Failure {
    pub(super) fn class(&self) -> ErrorClass {
        match self {
            Self::Database(error) => class(error),
            Self::Unsound(unsound) => unsound.class(),
            Self::Commit(_) => ErrorClass::Unavailable,
        }
    }

    /// For whoever reads the dead letter.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Database(sqlx::Error::Database(error)) => {
                let code = error.code().unwrap_or_default();
                format!("SQLite result code {code}: {}", error.message())
            }
            other => other.to_string(),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(error: Failure) -> Self {
        match error {
            Failure::Database(error) => failure(error),
            Failure::Unsound(unsound) => unsound.class().wrap(unsound),
            Failure::Commit(error) => Self::Uncertain(Box::new(error)),
        }
    }
}

fn class(error: &sqlx::Error) -> ErrorClass {
    match error {
        sqlx::Error::Database(_) => {
            result_code(error).map_or(ErrorClass::Unavailable, by_result_code)
        }
        sqlx::Error::Migrate(_)
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnDecode { .. } => ErrorClass::Schema,
        // Connections, time-outs, and all that is not known: trying again loses nothing.
        _ => ErrorClass::Unavailable,
    }
}

/// The commit was sent. A failed sync, say, leaves open what is on the disk.
pub(super) fn commit_failure(error: sqlx::Error) -> StoreError {
    StoreError::Uncertain(Box::new(error))
}

/// A migration did not run.
pub(super) fn migration_failure(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failure(error),
        other => StoreError::Schema(Box::new(other)),
    }
}

/// The primary result code; extended ones carry it in their low byte.
fn result_code(error: &sqlx::Error) -> Option<u32> {
    let code: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

fn by_result_code(code: u32) -> ErrorClass {
    match code {
        // TOOBIG, CONSTRAINT, MISMATCH.
        18..=20 => ErrorClass::Refused,
        // ERROR (unknown names), CORRUPT, NOTADB.
        1 | 11 | 26 => ErrorClass::Schema,
        // BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN and the rest.
        _ => ErrorClass::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_code_has_its_answer() {
        for (codes, class) in [
            // BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN
            ([5, 6, 8, 10, 13, 14].as_slice(), ErrorClass::Unavailable),
            // TOOBIG, CONSTRAINT, MISMATCH
            (&[18, 19, 20], ErrorClass::Refused),
            (&[1, 11, 26], ErrorClass::Schema),
        ] {
            for code in codes {
                assert_eq!(by_result_code(*code), class, "{code}");
            }
        }
    }
}
