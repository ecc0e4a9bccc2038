//! Looking at what waits, without taking it.

use std::time::Duration;

use event::element::Opened;

use super::{Address, failure::Failure, queue::MAX_ELEMENT_BYTES, scripts::Scripts};
use crate::QueueError;

/// How long the server may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

impl Address {
    /// The events that wait longest in each shard, oldest first: so many a shard, and what else is in their frames. Nothing is
    /// taken. Elements behind more than [`MAX_ELEMENT_BYTES`] are not looked at.
    ///
    /// # Errors
    /// If the server does not do it.
    pub async fn peek(&self, events: usize) -> Result<Opened, QueueError> {
        let elements = self.elements(events).await?;
        Ok(Opened::from_iter(elements))
    }

    async fn elements(&self, events: usize) -> Result<Vec<Vec<u8>>, Failure> {
        let scripts = Scripts::new();
        let mut elements = Vec::new();
        for server in self.servers() {
            let mut redis = server.peer.connect(ANSWER_WITHIN).await?;
            let peek = scripts.peek(&server.keys, events, MAX_ELEMENT_BYTES);
            let found: Vec<Vec<u8>> = peek.invoke_async(&mut redis).await?;
            elements.extend(found);
        }
        Ok(elements)
    }
}
