//! What to do about an error of PostgreSQL, by its SQLSTATE
//! ([appendix A](https://www.postgresql.org/docs/current/errcodes-appendix.html)).

use sqlx::{error::DatabaseError, migrate::MigrateError};
use tls::trust::Distrust;

use crate::{
    StoreError,
    failure::{self, ErrorClass, ErrorCodes},
};

/// SQLSTATEs.
pub(super) enum SqlStates {}

impl ErrorCodes for SqlStates {
    const NAME: &str = "SQLSTATE";

    fn class(error: &dyn DatabaseError) -> ErrorClass {
        let code = error.code();
        code.map_or(ErrorClass::Unavailable, |code| by_sqlstate(&code))
    }

    fn is_about_the_commit(error: &dyn DatabaseError) -> bool {
        is_said_by_the_commit(&error.code().unwrap_or_default())
    }

    fn wrap(error: sqlx::Error) -> StoreError {
        match Distrust::find(&error) {
            Some(distrust) => StoreError::Untrusted(
                distrust.advice("sslrootcert in DATABASE_URL", "DATABASE_URL"),
            ),
            None => failure::class::<Self>(&error).wrap(error),
        }
    }
}

/// Nothing was committed, or the server said so.
pub(super) fn failure(error: sqlx::Error) -> StoreError {
    SqlStates::wrap(error)
}

/// Not if it is about the connection (08), an operator's intervention (57), the system (58) or something internal (XX): a
/// pooler in between, say, tells so that it has lost the server, and not what became of the commit.
fn is_said_by_the_commit(code: &str) -> bool {
    !matches!(code.get(..2), Some("08" | "57" | "58" | "XX") | None)
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
        // The connection (08, 26, 28, 3D), the transaction (25, 2D, 3B, 40), resources and full disks (53), locks that were
        // not had (55), operators and time-outs (57), the system (58), something internal (XX), no code: whatever the
        // events are, this may come and go.
        "08" | "25" | "26" | "28" | "2D" | "3B" | "3D" | "40" | "53" | "55" | "57" | "58"
        | "XX" | "" => ErrorClass::Unavailable,
        // What triggers raise (P0), what the database cannot do with these characters (0A), and everything else.
        _ => ErrorClass::Unexplained,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::commit_failure;

    #[test]
    fn every_known_class_has_its_answer() {
        for (codes, class) in [
            (
                [
                    "40001", "40P01", "53100", "53300", "53200", "25006", "08006", "57P01",
                    "57P03", "57014", "55P03", "58030", "28000", "XX000", "",
                ]
                .as_slice(),
                ErrorClass::Unavailable,
            ),
            (
                &["22P02", "22P05", "22003", "23514", "54000"],
                ErrorClass::Refused,
            ),
            (&["42P01", "42703", "42501", "3F000"], ErrorClass::Schema),
            (
                &["0A000", "P0001", "38000", "44000", "HV000", "99999"],
                ErrorClass::Unexplained,
            ),
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
            ("58000", false),
            ("58030", false),
            ("XX000", false),
            ("XX001", false),
            ("", false),
        ] {
            assert_eq!(is_said_by_the_commit(code), told, "{code}");
        }
    }

    #[test]
    fn a_lost_answer_is_uncertain_only_once_the_commit_was_sent() {
        let lost = || sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(matches!(failure(lost()), StoreError::Unavailable(_)));
        assert!(matches!(
            commit_failure::<SqlStates>(lost()),
            StoreError::Uncertain(_)
        ));
    }
}
