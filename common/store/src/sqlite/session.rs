//! How a claim is recorded in a SQLite file.

use event::Claim;
use sqlx::SqlitePool;

use super::{classify::ResultCodes, transaction::Transaction};
use crate::{
    Recorded,
    failure::Failure,
    record::{self, Insert},
};

/// The pool has one connection, which has no state that could be at fault.
pub(super) struct Session<'s> {
    pub(super) writer: &'s SqlitePool,
    /// The moment, in microseconds since 1970, that the rows get.
    pub(super) now: i64,
}

impl record::Session for Session<'_> {
    type Errors = ResultCodes;

    async fn attempt(&mut self, claim: &Claim, how: Insert) -> Result<Recorded, Failure> {
        let transaction = Transaction::begin(self.writer, self.now).await?;
        record::attempt(transaction, claim, how).await
    }

    async fn renew(&mut self) -> sqlx::Result<()> {
        Ok(())
    }
}
