//! What to do about an error of SQLite, by its [result code](https://www.sqlite.org/rescode.html).

use sqlx::{error::DatabaseError, migrate::MigrateError};

use crate::{
    StoreError,
    failure::{self, ErrorClass, ErrorCodes},
};

/// `SQLITE_READONLY`.
const READONLY: u32 = 8;

/// SQLite's result codes.
pub(super) enum ResultCodes {}

impl ErrorCodes for ResultCodes {
    const NAME: &str = "SQLite result code";

    fn class(error: &dyn DatabaseError) -> ErrorClass {
        result_code(error).map_or(ErrorClass::Unavailable, by_result_code)
    }
}

/// Nothing was committed.
pub(super) fn failure(error: sqlx::Error) -> StoreError {
    ResultCodes::wrap(error)
}

/// The commit was sent. A failed sync, say, leaves open what is on the disk.
pub(super) fn commit_failure(error: sqlx::Error) -> StoreError {
    failure::commit_failure::<ResultCodes>(error)
}

/// The same of a statement that changes nothing: the file itself is at fault.
pub(super) fn write_failure(error: sqlx::Error) -> StoreError {
    if error.as_database_error().and_then(result_code) == Some(READONLY) {
        StoreError::ReadOnly("give this user the right to write the file, or choose another")
    } else {
        failure(error)
    }
}

/// A migration did not run.
pub(super) fn migration_failure(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failure(error),
        other => StoreError::Schema(Box::new(other)),
    }
}

/// The primary result code; extended ones carry it in their low byte.
fn result_code(error: &dyn DatabaseError) -> Option<u32> {
    let code: u32 = error.code()?.parse().ok()?;
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
