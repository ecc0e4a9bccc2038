//! What is wrong with the database, as `/ready` says it. What the server says itself goes to the log only.

use std::{error::Error, io};

use runtime::readiness::Trouble;

use super::classify::SqlStates;
use crate::{StoreError, failure::reason};

/// What a failure of the store says about the database.
pub(super) fn of(error: &StoreError) -> Trouble {
    let Some(driver) = driver(error) else {
        return Trouble::new(said_by_store(error), error);
    };
    let shown = by_driver(driver).unwrap_or_else(|| said_by_store(error));
    Trouble::new(shown, reason::<SqlStates>(driver))
}

/// The driver's error behind it, if it comes from there.
pub(super) fn driver(error: &StoreError) -> Option<&sqlx::Error> {
    error.source()?.downcast_ref()
}

fn said_by_store(error: &StoreError) -> String {
    match error {
        StoreError::ReadOnly(_) | StoreError::Untrusted(_) => error.to_string(),
        StoreError::Forbidden(advice) | StoreError::Unfit(advice) => advice.clone(),
        StoreError::Schema(_) => "its tables are not those that this version needs".to_owned(),
        StoreError::Unavailable(_) | StoreError::Uncertain(_) | StoreError::Refused(_) => {
            "it does not answer as it should".to_owned()
        }
    }
}

fn by_driver(error: &sqlx::Error) -> Option<String> {
    Some(match error {
        sqlx::Error::Database(database) => by_sqlstate(&database.code()?),
        sqlx::Error::Io(error) => by_io(error).to_owned(),
        sqlx::Error::Tls(_) => {
            "TLS with it fails; check sslmode and the certificates in DATABASE_URL".to_owned()
        }
        sqlx::Error::Protocol(_) => {
            "it does not speak PostgreSQL's protocol; check host and port in DATABASE_URL"
                .to_owned()
        }
        sqlx::Error::PoolTimedOut => {
            "all connections that this program may have are in use".to_owned()
        }
        sqlx::Error::PoolClosed => "this program is stopping".to_owned(),
        _ => return None,
    })
}

/// By its [code](https://www.postgresql.org/docs/current/errcodes-appendix.html).
fn by_sqlstate(code: &str) -> String {
    let known = match code {
        "28P01" => "it refuses the password; check user and password in DATABASE_URL",
        "28000" => {
            "it does not let this user in; check the user in DATABASE_URL, that the role may log in, and pg_hba.conf"
        }
        "3D000" => "it has no such database; create it, or correct DATABASE_URL",
        "53300" => {
            "it has no connection to spare; raise max_connections or the role's limit, or start fewer workers"
        }
        "53100" => "its disk is full; make room",
        "53200" => "it is out of memory; give it more, or raise max_locks_per_transaction",
        "57P03" => "it is starting, stopping or recovering; wait",
        "57P01" | "57P02" => "it is stopping, or has ended this connection; wait",
        "57P04" => "its database was dropped; create it again",
        "57014" => "it has cancelled a statement, or the statement took too long",
        "25006" => {
            "it takes no writes: it is a standby, or read-only; point DATABASE_URL at its primary"
        }
        "25P03" => "it has ended a transaction that paused for too long",
        "42501" => {
            "its role lacks a right; `aggregator grants ROLE` prints what the owner must run"
        }
        "42P01" | "3F000" => {
            "its tables are missing, or its role may not use their schema; run `aggregator migrate` as their owner"
        }
        "55P03" => "somebody else holds a lock for too long",
        code => {
            return match code.get(..2).unwrap_or_default() {
                "08" => "the connection to it was lost".to_owned(),
                "40" => "transactions conflict; they are tried again".to_owned(),
                "42" => "its tables are not those that this version needs".to_owned(),
                _ => format!("it answers with SQLSTATE {code}; its log says more"),
            };
        }
    };
    known.to_owned()
}

fn by_io(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nobody answers at its address; start it, or correct host and port in DATABASE_URL"
        }
        io::ErrorKind::TimedOut => "it does not answer in time; check the network",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "its address cannot be reached; check the network, or correct DATABASE_URL"
        }
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
            "its socket cannot be used; check the path in DATABASE_URL and its rights"
        }
        // The standard library has no kind for this one.
        _ if error.to_string().contains("lookup address") => {
            "its host name is not known; correct it in DATABASE_URL, or check the name service"
        }
        _ => "the connection to it was lost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_said_is_for_the_log_only() {
        let cause = io::Error::new(io::ErrorKind::ConnectionRefused, "s3cret");
        let trouble = of(&super::super::classify::failure(sqlx::Error::Io(cause)));
        assert!(trouble.shown.contains("nobody answers"), "{trouble:?}");
        assert!(!trouble.shown.contains("s3cret"), "{trouble:?}");
        assert!(trouble.detail.contains("s3cret"), "{trouble:?}");
    }

    #[test]
    fn a_code_without_words_is_told_as_it_is() {
        assert!(by_sqlstate("P0001").contains("SQLSTATE P0001"));
    }
}
