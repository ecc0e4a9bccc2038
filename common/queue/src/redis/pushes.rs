//! Pushing: batches that arrive at the same time are sent together, in as few frames as they fit into.
//!
//! As in Nagle's algorithm ([RFC 896](https://www.rfc-editor.org/rfc/rfc896)) the first batch is sent at once, and the second.
//! Batches that arrive while two are under way are gathered. They are sent when one is answered, or over another connection as
//! soon as they are a full group. Redis writes what it finds on all its connections to disk together, but it reads only up to 16 KiB from
//! each connection at a time (`readQueryFromClient`, `beforeSleep` in its sources). So small batches share a frame, and
//! large ones have a connection of their own.
//!
//! A transaction ([`MULTI`](https://redis.io/docs/latest/develop/using-commands/transactions/)) pushes the frames and counts
//! the events in them. A script would do the same, but it takes twice as long for a frame of 25 KB, because it copies it into
//! Lua and back.

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use event::{
    Event,
    frame::{self, Frame},
};
use redis::{RedisError, RedisResult, Value, aio::MultiplexedConnection, from_redis_value};
use runtime::{
    faults::{Point, crash_at},
    hold::Hold,
};
use tokio::sync::oneshot;

use super::{backpressure::LengthLimit, connections::Connections, server::Server};

/// The most groups that are under way at a time, each on a connection of its own.
pub(super) const MAX_GROUPS: NonZeroUsize = NonZeroUsize::new(16).unwrap();
/// So many groups go on their way however small they are. While Redis writes one to disk, the next one is with it already.
const EAGER_GROUPS: usize = 2;
/// A group is full once its events have so many bytes.
const GROUP_BYTES: usize = 16 * 1024;

/// Pushes to one shard.
pub(super) struct Pushes {
    connections: Arc<Connections>,
    server: Arc<Server>,
    limit: Arc<LengthLimit>,
    /// The number of the shard among those that the limit is for.
    number: usize,
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
    load: Load,
    /// Of the events, about.
    bytes: usize,
    /// Kept until the group is answered.
    hold: Hold,
    answer: oneshot::Sender<RedisResult<()>>,
}

enum Load {
    /// They share frames with those of other batches.
    Events(Vec<Event>),
    /// A full group by itself. It is written at once, because it takes less memory while it waits.
    Frames(Vec<Frame>),
}

impl Pushes {
    pub(super) fn new(
        connections: Arc<Connections>,
        server: Arc<Server>,
        limit: Arc<LengthLimit>,
        number: usize,
    ) -> Self {
        Self {
            connections,
            server,
            limit,
            number,
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
        let bytes = events.iter().map(Event::text_len).sum();
        let load = if bytes < GROUP_BYTES {
            Load::Events(events)
        } else {
            Load::Frames(frame::write(&events))
        };
        let batch = Batch {
            load,
            bytes,
            hold,
            answer,
        };
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
            let sent = self.send(frames(&mut group)).await;
            let (next, failed) = self.lock().after(sent.is_ok());
            for Batch { answer, hold, .. } in group.into_iter().chain(failed) {
                // A caller that has gone away needs no answer.
                let _ = answer.send(sent.clone());
                drop(hold);
            }
            match next {
                Some(next) => group = next,
                None => return,
            }
        }
    }

    async fn send(&self, frames: Vec<Frame>) -> RedisResult<()> {
        crash_at(Point::BeforePush);
        let events: usize = frames.iter().map(|frame| frame.events).sum();
        let elements = frames.len();
        let (queue, extra, handoff) = self.transact(frames, events).await?;
        crash_at(Point::AfterPush);
        let len = length(queue as u64 + handoff, extra);
        // What an empty queue was said to hold more than nothing was wrong.
        let was_empty = queue == elements && handoff == 0;
        let len = if was_empty { events as u64 } else { len };
        self.limit.set_len(self.number, len);
        Ok(())
    }

    /// Answers the elements in `queue`, how many more events there are than elements, and the elements in `handoff`.
    async fn transact(&self, frames: Vec<Frame>, events: usize) -> RedisResult<(usize, i64, u64)> {
        let (keys, replicas) = (&self.server.keys, self.server.replicas);
        let more = events - frames.len();
        let mut push = redis::pipe();
        // The driver's own transactions take nothing behind them.
        push.cmd("MULTI").ignore().cmd("LPUSH").arg(&keys.queue);
        for frame in frames {
            push.arg(frame.element);
        }
        push.ignore().incr(&keys.extra, more).ignore();
        push.llen(&keys.handoff).ignore().cmd("EXEC");
        if replicas.are_asked() {
            replicas.ask(&mut push);
        }
        let pushing = async |redis: &mut MultiplexedConnection| -> RedisResult<Vec<Value>> {
            push.query_async(redis).await
        };
        let mut answers = self.connections.run(pushing).await?.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Nil);
        let pushed = from_redis_value(next())?;
        if replicas.are_asked() {
            replicas.check(from_redis_value(next())?)?;
        }
        Ok(pushed)
    }

    /// No step under the lock can panic half-way through a change.
    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gathered {
    fn add(&mut self, batch: Batch) {
        self.bytes += batch.bytes;
        self.batches.push_back(batch);
    }

    /// A group to send now, if there is one. The caller calls [`Self::after`] when it is answered.
    fn next_group(&mut self) -> Option<Vec<Batch>> {
        let full = self.bytes >= GROUP_BYTES && self.under_way < MAX_GROUPS.get();
        let eager = self.under_way < EAGER_GROUPS && !self.batches.is_empty();
        if !full && !eager {
            return None;
        }
        let (mut group, mut bytes) = (Vec::new(), 0);
        while bytes < GROUP_BYTES
            && let Some(batch) = self.batches.pop_front()
        {
            bytes += batch.bytes;
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

/// The frames of a group. What they were written from is dropped.
fn frames(group: &mut [Batch]) -> Vec<Frame> {
    let (mut frames, mut events) = (Vec::new(), Vec::new());
    for batch in group {
        match std::mem::replace(&mut batch.load, Load::Events(Vec::new())) {
            Load::Events(some) => events.push(some),
            Load::Frames(mut ready) => frames.append(&mut ready),
        }
    }
    frames.append(&mut frame::write(events.iter().flatten()));
    frames
}

/// How many events there are in so many elements, of which there are so many fewer. Without elements there are none, whatever
/// the count says.
pub(super) fn length(elements: u64, extra: i64) -> u64 {
    match elements {
        0 => 0,
        elements => elements.saturating_add_signed(extra.max(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(bytes: usize) -> Batch {
        Batch {
            load: Load::Events(Vec::new()),
            bytes,
            hold: Hold::nothing(),
            answer: oneshot::channel().0,
        }
    }

    /// What is to be sent when a batch of so many bytes comes: the bytes of each batch of the group.
    fn come(gathered: &mut Gathered, bytes: usize) -> Option<Vec<usize>> {
        gathered.add(batch(bytes));
        sizes(gathered.next_group())
    }

    fn sizes(group: Option<Vec<Batch>>) -> Option<Vec<usize>> {
        let size = |batch: &Batch| batch.bytes;
        Some(group?.iter().map(size).collect())
    }

    #[test]
    fn the_first_two_go_at_once_and_small_ones_behind_them_together() {
        let mut gathered = Gathered::default();
        assert_eq!(come(&mut gathered, 10), Some(vec![10]));
        assert_eq!(come(&mut gathered, 15), Some(vec![15]));
        assert_eq!(come(&mut gathered, 20), None);
        assert_eq!(come(&mut gathered, 30), None);
        assert_eq!(sizes(gathered.after(true).0), Some(vec![20, 30]));
        assert_eq!(sizes(gathered.after(true).0), None);
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
        come(&mut gathered, 15);
        come(&mut gathered, 20);
        let (next, failed) = gathered.after(false);
        assert_eq!((next.is_none(), failed.len()), (true, 1));
        assert_eq!(come(&mut gathered, 30), Some(vec![30]));
    }
}
