//! Pushing: batches that arrive at the same time are sent in one command.
//!
//! As in Nagle's algorithm ([RFC 896](https://www.rfc-editor.org/rfc/rfc896)) the first batch is sent at once. Batches that
//! arrive while it is under way are gathered. They are sent when it is answered, or over another connection as soon as they
//! are a full group. Redis writes what it finds on all its connections to disk together, but it reads only up to 16 KiB from
//! each connection at a time (`readQueryFromClient`, `beforeSleep` in its sources). So small batches share a command, and
//! large ones have a connection of their own.

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use event::{Event, envelope};
use redis::{RedisError, RedisResult, RedisWrite};
use runtime::{
    faults::{Point, crash_at},
    hold::Hold,
};
use tokio::sync::oneshot;

use super::{backpressure::LengthLimit, connections::Connections};

/// The most groups that are under way at a time, each on a connection of its own.
pub(super) const MAX_GROUPS: NonZeroUsize = NonZeroUsize::new(16).unwrap();
/// A group is full once it has so many bytes.
const GROUP_BYTES: usize = 16 * 1024;
/// About how many bytes an envelope has beside its payload. So much memory is reserved at first.
const ENVELOPE_BYTES: usize = 256;

/// Pushes to one list.
pub(super) struct Pushes {
    connections: Arc<Connections>,
    key: String,
    limit: Arc<LengthLimit>,
    gathered: Mutex<Gathered>,
}

#[derive(Default)]
struct Gathered {
    /// Oldest first. Bounded by what their requests hold.
    batches: VecDeque<Batch>,
    bytes: usize,
    /// Groups that are not answered yet.
    under_way: usize,
}

struct Batch {
    elements: Elements,
    /// Kept until the group is answered.
    _hold: Hold,
    answer: oneshot::Sender<RedisResult<()>>,
}

/// Envelopes, one after the other.
struct Elements {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Pushes {
    pub(super) fn new(connections: Arc<Connections>, key: String, limit: Arc<LengthLimit>) -> Self {
        Self {
            connections,
            key,
            limit,
            gathered: Mutex::default(),
        }
    }

    /// Pushes a batch, alone or with others. It goes on if the caller gives up waiting.
    ///
    /// # Errors
    /// If the server refuses the group or does not answer, or if the group before it failed. In the last case the server is
    /// probably away, so callers do not wait to find it out one by one.
    pub(super) async fn push(self: &Arc<Self>, events: Vec<Event>, hold: Hold) -> RedisResult<()> {
        let (answer, answered) = oneshot::channel();
        let batch = Batch {
            elements: Elements::of(&events),
            _hold: hold,
            answer,
        };
        drop(events);
        let group = {
            let mut gathered = self.lock();
            gathered.add(batch);
            gathered.next_group()
        };
        if let Some(group) = group {
            let pushes = self.clone();
            self.connections
                .spawn(async move { pushes.run(group).await });
        }
        // Nobody answers only if the runtime of the connections has ended, and then the process ends, too.
        answered.await.unwrap_or_else(|_| {
            let gone = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
            Err(RedisError::from(gone))
        })
    }

    /// Sends groups until no group is left.
    async fn run(&self, mut group: Vec<Batch>) {
        loop {
            let sent = self.send(&group).await;
            let (next, failed) = self.lock().after(sent.is_ok());
            for batch in group.into_iter().chain(failed) {
                // A caller that has gone away needs no answer.
                let _ = batch.answer.send(sent.clone());
            }
            match next {
                Some(next) => group = next,
                None => return,
            }
        }
    }

    async fn send(&self, group: &[Batch]) -> RedisResult<()> {
        crash_at(Point::BeforePush);
        let elements = || group.iter().flat_map(|batch| batch.elements.iter());
        let mut push = redis::cmd("LPUSH");
        push.arg(&self.key);
        push.reserve_space_for_args(elements().map(<[u8]>::len));
        for element in elements() {
            push.arg(element);
        }
        let pushing = async |redis: &mut _| push.query_async(redis).await;
        let len = self.connections.run(pushing).await?;
        crash_at(Point::AfterPush);
        self.limit.set_len(len);
        Ok(())
    }

    /// No step under the lock can panic half-way through a change.
    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gathered {
    fn add(&mut self, batch: Batch) {
        self.bytes += batch.elements.bytes.len();
        self.batches.push_back(batch);
    }

    /// A group to send now, if there is one. The caller calls [`Self::after`] when it is answered.
    fn next_group(&mut self) -> Option<Vec<Batch>> {
        let full = self.bytes >= GROUP_BYTES && self.under_way < MAX_GROUPS.get();
        let first = self.under_way == 0 && !self.batches.is_empty();
        if !full && !first {
            return None;
        }
        let (mut group, mut bytes) = (Vec::new(), 0);
        while bytes < GROUP_BYTES
            && let Some(batch) = self.batches.pop_front()
        {
            bytes += batch.elements.bytes.len();
            group.push(batch);
        }
        self.bytes -= bytes;
        self.under_way += 1;
        Some(group)
    }

    /// After a group: the next group to send, or the batches that are not sent any more because the group failed.
    fn after(&mut self, succeeded: bool) -> (Option<Vec<Batch>>, VecDeque<Batch>) {
        self.under_way -= 1;
        if succeeded {
            (self.next_group(), VecDeque::new())
        } else {
            self.bytes = 0;
            (None, std::mem::take(&mut self.batches))
        }
    }
}

impl Elements {
    fn of(events: &[Event]) -> Self {
        let payloads: usize = events
            .iter()
            .map(|event| event.payload.as_str().len())
            .sum();
        let mut elements = Self {
            bytes: Vec::with_capacity(payloads + events.len() * ENVELOPE_BYTES),
            ends: Vec::with_capacity(events.len()),
        };
        for event in events {
            envelope::append(event, &mut elements.bytes);
            elements.ends.push(elements.bytes.len());
        }
        elements
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.bytes[start..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(bytes: usize) -> Batch {
        Batch {
            elements: Elements {
                bytes: vec![b'x'; bytes],
                ends: vec![bytes],
            },
            _hold: Hold::nothing(),
            answer: oneshot::channel().0,
        }
    }

    /// What is to be sent when a batch of so many bytes comes: the bytes of each batch of the group.
    fn come(gathered: &mut Gathered, bytes: usize) -> Option<Vec<usize>> {
        gathered.add(batch(bytes));
        sizes(gathered.next_group())
    }

    fn sizes(group: Option<Vec<Batch>>) -> Option<Vec<usize>> {
        let size = |batch: &Batch| batch.elements.bytes.len();
        Some(group?.iter().map(size).collect())
    }

    #[test]
    fn the_first_goes_at_once_and_small_ones_behind_it_together() {
        let mut gathered = Gathered::default();
        assert_eq!(come(&mut gathered, 10), Some(vec![10]));
        assert_eq!(come(&mut gathered, 20), None);
        assert_eq!(come(&mut gathered, 30), None);
        assert_eq!(sizes(gathered.after(true).0), Some(vec![20, 30]));
        assert_eq!(sizes(gathered.after(true).0), None);
        assert_eq!((gathered.bytes, gathered.under_way), (0, 0));
    }

    #[test]
    fn full_groups_go_beside_each_other_as_far_as_there_are_connections() {
        let mut gathered = Gathered::default();
        for _ in 0..MAX_GROUPS.get() {
            assert_eq!(come(&mut gathered, GROUP_BYTES), Some(vec![GROUP_BYTES]));
        }
        assert_eq!(come(&mut gathered, GROUP_BYTES), None);
        assert_eq!(come(&mut gathered, 2 * GROUP_BYTES), None);
        assert_eq!(sizes(gathered.after(true).0), Some(vec![GROUP_BYTES]));
        assert_eq!(sizes(gathered.after(true).0), Some(vec![2 * GROUP_BYTES]));
        assert_eq!(sizes(gathered.after(true).0), None);
    }

    #[test]
    fn what_waits_behind_a_group_that_fails_fails_with_it() {
        let mut gathered = Gathered::default();
        come(&mut gathered, 10);
        come(&mut gathered, 20);
        let (next, failed) = gathered.after(false);
        assert_eq!((next.is_none(), failed.len()), (true, 1));
        assert_eq!(come(&mut gathered, 30), Some(vec![30]));
    }
}
