//! What to do about an error of PostgreSQL, by its SQLSTATE
//! ([appendix A](https://www.postgresql.org/docs/current/errcodes-appendix.html)).

use common::{
    store::{ErrorClass, StoreError},
    tls::trust::Distrust,
};
use sqlx::migrate::MigrateError;

/// Nothing was committed, or the server said so.
pub(super) fn failure(error: sqlx::Error) -> StoreError {
    match Distrust::find(&error) {
        Some(distrust) => {
            StoreError::Untrusted(distrust.advice("sslrootcert in DATABASE_URL", "DATABASE_URL"))
        }
        None => class(&error).wrap(error),
    }
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
            format!("SQLSTATE {code}: {}", database.message())
        }
        None => error.to_string(),
    }
}

fn class(error: &sqlx::Error) -> ErrorClass {
    match error {
        sqlx::Error::Database(database) => database
            .code()
            .map_or(ErrorClass::Unavailable, |code| by_sqlstate(&code)),
        sqlx::Error::Migrate(_)
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnDecode { .. } => ErrorClass::Schema,
        // Connections, time-outs, and all that is not known: trying again loses nothing.
        _ => ErrorClass::Unavailable,
    }
}

/// The commit was sent. Unless the server itself said no, it may have happened.
pub(super) fn commit_failure(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(database)
            if database
                .code()
                .is_some_and(|code| is_about_the_commit(&code)) =>
        {
            failure(error)
        }
        _ => StoreError::Uncertain(Box::new(error)),
    }
}

/// Not if it is about the connection (08) or an operator's intervention (57): a pooler in between,
/// say, tells so that it has lost the server, and not what became of the commit.
fn is_about_the_commit(code: &str) -> bool {
    !matches!(code.get(..2), Some("08" | "57") | None)
}

/// A migration did not run.
pub(super) fn migration_failure(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failure(error),
        other => StoreError::Schema(Box::new(other)),
    }
}

fn by_sqlstate(code: &str) -> ErrorClass {
    match code.get(..2).unwrap_or_default() {
        // Data exceptions, broken constraints, program limits.
        "22" | "23" | "54" => ErrorClass::Refused,
        // Unknown names and types, no right to them, unknown schema.
        "42" | "3F" => ErrorClass::Schema,
        // 40 serialization failure and deadlock, 53 disk full and too many connections, 25 read-only
        // standby, 08 and 57 connections and shutdown, 55 lock not available, 58 the system.
        _ => ErrorClass::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_class_has_its_answer() {
        for (codes, class) in [
            (
                [
                    "40001", "40P01", "53100", "53300", "53200", "25006", "08006", "57P01",
                    "57P03", "57014", "55P03", "58030", "28000", "99999",
                ]
                .as_slice(),
                ErrorClass::Unavailable,
            ),
            (
                &["22P02", "22P05", "22003", "23514", "54000"],
                ErrorClass::Refused,
            ),
            (&["42P01", "42703", "42501", "3F000"], ErrorClass::Schema),
        ] {
            for code in codes {
                assert_eq!(by_sqlstate(code), class, "{code}");
            }
        }
    }

    #[test]
    fn the_end_of_a_connection_says_nothing_about_the_commit() {
        for (code, told) in [
            ("40001", true),
            ("23514", true),
            ("25P03", true),
            ("53100", true),
            ("08006", false),
            ("08P01", false),
            ("57P01", false),
            ("57P02", false),
            ("", false),
        ] {
            assert_eq!(is_about_the_commit(code), told, "{code}");
        }
    }

    #[test]
    fn a_lost_answer_is_uncertain_only_once_the_commit_was_sent() {
        let lost = || sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(matches!(failure(lost()), StoreError::Unavailable(_)));
        assert!(matches!(commit_failure(lost()), StoreError::Uncertain(_)));
    }
}
