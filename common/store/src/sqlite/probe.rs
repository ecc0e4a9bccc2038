//! What events need of the file, tried while none come, and what is wrong with it, in words.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use futures_util::TryFutureExt;
use runtime::readiness::{Probe, Trouble};

use super::{Sqlite, classify};
use crate::StoreError;

impl Sqlite {
    /// Takes the lock for writing, and writes nothing: a probe is not worth a write to the disk.
    pub(super) async fn try_to_write(&self) -> Result<(), StoreError> {
        let writing = sqlx::query("UPDATE agg_stats SET id = id WHERE FALSE").execute(&self.writer);
        self.durably(writing.map_err(classify::write_failure))
            .await?;
        Ok(())
    }

    /// Notes a failure of what events need for `/ready`.
    pub(super) fn noted<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        outcome.inspect_err(|error| self.dependency.fails(trouble(error)))
    }
}

#[async_trait]
impl Probe for Sqlite {
    async fn probe(&self) -> Result<(), Trouble> {
        let written = self.try_to_write().await;
        written.map_err(|error| trouble(&error))?;
        if self.migrated.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(Trouble::new(
                "its tables are not up to date yet",
                "the migrations have not run",
            ))
        }
    }
}

fn trouble(error: &StoreError) -> Trouble {
    let shown = match error {
        StoreError::ReadOnly(_)
        | StoreError::Untrusted(_)
        | StoreError::Forbidden(_)
        | StoreError::Unfit(_) => error.to_string(),
        StoreError::Schema(_) => "its tables are not up to date yet".to_owned(),
        StoreError::Unavailable(_) | StoreError::Uncertain(_) | StoreError::Refused(_) => {
            "does not answer".to_owned()
        }
    };
    Trouble::new(shown, error)
}
