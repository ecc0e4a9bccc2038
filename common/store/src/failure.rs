//! Why a transaction was not committed, and what that asks of the caller.

use sqlx::error::DatabaseError;

use crate::{BoxError, StoreError};

/// What an error of the database asks of the caller; each store sorts its own codes into these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorClass {
    /// Try again later.
    Unavailable,
    /// Not with this data.
    Refused,
    /// Not with these tables.
    Schema,
    /// The error alone does not tell whether the data is at fault: it is if its statement fails again where other
    /// statements do not.
    Unexplained,
}

impl ErrorClass {
    /// The error of this class; not for one whose commit may have happened.
    pub(crate) fn wrap(self, error: impl Into<BoxError>) -> StoreError {
        let error = error.into();
        match self {
            Self::Unavailable | Self::Unexplained => StoreError::Unavailable(error),
            Self::Refused => StoreError::Refused(error),
            Self::Schema => StoreError::Schema(error),
        }
    }
}

/// The database took a statement without an error, and did not do all of it: a trigger or a rule is in the way.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsound {
    /// The rows of `processed_events` are not those that were inserted.
    #[error(
        "a trigger of the table processed_events did not store the event, or changed its topic or event_id; \
         remove the trigger, then replay this dead letter"
    )]
    Events,
    /// Rows of this table, which count or keep what was received, were not written.
    #[error(
        "a trigger or a rule keeps rows out of the table {0}, so the counters would be wrong; remove it"
    )]
    Rows(&'static str),
}

impl Unsound {
    /// What it asks of the caller.
    #[must_use]
    pub(crate) const fn class(&self) -> ErrorClass {
        match self {
            Self::Events => ErrorClass::Refused,
            Self::Rows(_) => ErrorClass::Schema,
        }
    }

    /// Nothing is wrong if a statement has written as many rows of `table` as it was to write.
    ///
    /// # Errors
    /// [`Unsound::Rows`] else.
    pub(crate) const fn unless_written(
        table: &'static str,
        written: u64,
        meant: usize,
    ) -> Result<(), Self> {
        if written == meant as u64 {
            Ok(())
        } else {
            Err(Self::Rows(table))
        }
    }
}

/// What the error codes of a database mean.
pub(crate) trait ErrorCodes {
    /// What an error of the server asks of the caller.
    fn class(error: &dyn DatabaseError) -> ErrorClass;

    /// The kind of code, for people: `SQLSTATE`.
    const NAME: &str;

    /// Whether the database itself answers a commit with this error, so that it has not happened. If not, it may have.
    fn is_about_the_commit(_: &dyn DatabaseError) -> bool {
        false
    }

    /// The error for the caller, of a statement that has committed nothing.
    fn wrap(error: sqlx::Error) -> StoreError {
        class::<Self>(&error).wrap(error)
    }
}

/// Why a transaction was not committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A statement did not do all that it was to do.
    #[error(transparent)]
    Unsound(#[from] Unsound),
    /// The commit was sent.
    #[error(transparent)]
    Commit(sqlx::Error),
}

impl Failure {
    pub(crate) fn class<E: ErrorCodes + ?Sized>(&self) -> ErrorClass {
        match self {
            Self::Database(error) => class::<E>(error),
            Self::Unsound(unsound) => unsound.class(),
            Self::Commit(error) if is_about_the_commit::<E>(error) => class::<E>(error),
            Self::Commit(_) => ErrorClass::Unavailable,
        }
    }

    /// For people who read the dead letter.
    pub(crate) fn reason<E: ErrorCodes + ?Sized>(&self) -> String {
        match self {
            Self::Database(error) => reason::<E>(error),
            other => other.to_string(),
        }
    }

    /// For the caller of the store.
    pub(crate) fn into_error<E: ErrorCodes + ?Sized>(self) -> StoreError {
        match self {
            Self::Database(error) => E::wrap(error),
            Self::Unsound(unsound) => unsound.class().wrap(unsound),
            Self::Commit(error) => commit_failure::<E>(error),
        }
    }
}

/// The commit was sent. Unless the database itself said no, it may have happened.
pub(crate) fn commit_failure<E: ErrorCodes + ?Sized>(error: sqlx::Error) -> StoreError {
    if is_about_the_commit::<E>(&error) {
        E::wrap(error)
    } else {
        StoreError::Uncertain(Box::new(error))
    }
}

/// What the database said, with its code.
pub(crate) fn reason<E: ErrorCodes + ?Sized>(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            format!("{} {code}: {}", E::NAME, error.message())
        }
        other => other.to_string(),
    }
}

pub(crate) fn class<E: ErrorCodes + ?Sized>(error: &sqlx::Error) -> ErrorClass {
    match error {
        sqlx::Error::Database(error) => E::class(&**error),
        sqlx::Error::Migrate(_)
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnDecode { .. } => ErrorClass::Schema,
        // Connections, time-outs, and all that is not known: trying again loses nothing.
        _ => ErrorClass::Unavailable,
    }
}

fn is_about_the_commit<E: ErrorCodes + ?Sized>(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(E::is_about_the_commit)
}
