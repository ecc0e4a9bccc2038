//! What to do about an error of SQLite, by its [result code](https://www.sqlite.org/rescode.html).

use common::store::{ErrorClass, StoreError};
use sqlx::migrate::MigrateError;

/// Nothing was committed.
pub(super) fn failure(error: sqlx::Error) -> StoreError {
    class(&error).wrap(error)
}

/// The data is at fault: without it, the rest may go through.
pub(super) fn is_refusal(error: &sqlx::Error) -> bool {
    class(error) == ErrorClass::Refused
}

/// Why the data was refused, for whoever reads the dead letter.
pub(super) fn reason(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(database) => {
            let code = database.code().unwrap_or_default();
            format!("SQLite result code {code}: {}", database.message())
        }
        None => error.to_string(),
    }
}

fn class(error: &sqlx::Error) -> ErrorClass {
    match error {
        sqlx::Error::Database(database) => database
            .code()
            .and_then(|code| code.parse().ok())
            .map_or(ErrorClass::Unavailable, by_result_code),
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

/// Extended codes carry the primary one in their low byte.
fn by_result_code(code: u32) -> ErrorClass {
    match code & 0xff {
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
            // BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN, IOERR_FSYNC, BUSY_SNAPSHOT
            (
                [5, 6, 8, 10, 13, 14, 1034, 517].as_slice(),
                ErrorClass::Unavailable,
            ),
            // TOOBIG, CONSTRAINT, MISMATCH, CONSTRAINT_CHECK
            (&[18, 19, 20, 275], ErrorClass::Refused),
            (&[1, 11, 26], ErrorClass::Schema),
        ] {
            for code in codes {
                assert_eq!(by_result_code(*code), class, "{code}");
            }
        }
    }
}
