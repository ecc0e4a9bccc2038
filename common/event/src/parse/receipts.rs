//! What each event of a batch gets when it is accepted.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::{
    EventTime, ReceiptId,
    clock::{Clock, Ids},
};

/// Gives each event of one batch its receipt. All of them are accepted at the same time.
#[derive(Debug)]
pub struct Receipts {
    now: DateTime<Utc>,
    ids: Arc<Ids>,
}

impl Receipts {
    /// Receipts for a batch that is accepted now.
    #[must_use]
    pub fn new(clock: &dyn Clock, ids: &Arc<Ids>) -> Self {
        Self {
            now: clock.now(),
            ids: ids.clone(),
        }
    }

    /// The time of acceptance.
    #[must_use]
    pub fn time(&self) -> EventTime {
        self.now.into()
    }

    pub(crate) fn next(&self) -> ReceiptId {
        ReceiptId(self.ids.next(self.now))
    }
}
