//! The queue inside one process. A push returns once the store has committed its events, so what
//! is lost with the process was never acknowledged. Many pushes are claimed, and so committed,
//! together: this is also how `POST /ingest` commits concurrent requests as a group.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use event::Event;
use runtime::{hold::Hold, readiness::Watched};
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};

use super::{
    Claim, ClaimId, Consumer, Depth, Holder, Producer, PushError, Queue, QueueError, Shards, Taken,
    Verdict, WorkerId,
};

/// How long a push waits for its commit. After that the client is told to try again.
const COMMIT_WITHIN: Duration = Duration::from_secs(10);
/// Why a push is not confirmed if its events were left.
const GAVE_WAY: &str = "the store failed on these events again and again";
/// How long a worker waits at a time.
const WAIT: Duration = Duration::from_secs(1);

/// What became of a push, event by event, in order. `None` where the event was committed in an
/// attempt whose answer was lost.
pub type Verdicts = Vec<Option<Verdict>>;

/// The queue, shared by those who push and the workers.
pub struct MemoryQueue {
    state: Mutex<State>,
    arrived: Notify,
    max_len: u64,
}

#[derive(Default)]
struct State {
    pending: VecDeque<(Event, Place)>,
    claims: HashMap<ClaimId, Claimed>,
    tickets: HashMap<u64, Ticket>,
    next_ticket: u64,
}

/// The push that an event is part of, and its position there.
struct Place {
    ticket: u64,
    position: usize,
    /// Kept until the event has left the queue.
    _hold: Hold,
}

/// What a claim has taken, in order. The events are shared with the worker that records them.
struct Claimed {
    events: Arc<Vec<Event>>,
    places: Vec<Place>,
}

/// A push that is waiting.
struct Ticket {
    verdicts: Verdicts,
    unsettled: usize,
    answer: oneshot::Sender<Verdicts>,
}

impl MemoryQueue {
    /// At most `max_len` events wait in it.
    #[must_use]
    pub fn new(max_len: u64) -> Self {
        Self {
            state: Mutex::default(),
            arrived: Notify::new(),
            max_len,
        }
    }

    /// How many events may wait in it.
    #[must_use]
    pub const fn max_len(&self) -> u64 {
        self.max_len
    }

    /// Pushes a batch and waits for its commit.
    ///
    /// # Errors
    /// [`PushError::Full`]; [`PushError::Unconfirmed`] if it was not committed in time: what no
    /// worker had taken by then is withdrawn.
    pub async fn submit(&self, batch: Vec<Event>, hold: Hold) -> Result<Verdicts, PushError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let (ticket, answer) = self.enqueue(batch, &hold)?;
        self.arrived.notify_one();
        match timeout(COMMIT_WITHIN, answer).await {
            Ok(Ok(verdicts)) => Ok(verdicts),
            Ok(Err(_)) => Err(PushError::Unconfirmed(QueueError::new(GAVE_WAY))),
            Err(_) => {
                self.withdraw(ticket);
                let late = format!("no answer within {} ms", COMMIT_WITHIN.as_millis());
                Err(PushError::Unconfirmed(QueueError::new(late)))
            }
        }
    }

    fn enqueue(
        &self,
        batch: Vec<Event>,
        hold: &Hold,
    ) -> Result<(u64, oneshot::Receiver<Verdicts>), PushError> {
        let mut state = self.lock();
        let len = state.pending.len() as u64;
        if len + batch.len() as u64 > self.max_len {
            return Err(PushError::Full {
                len,
                max: self.max_len,
            });
        }
        let (sender, answer) = oneshot::channel();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.tickets.insert(
            ticket,
            Ticket {
                verdicts: vec![None; batch.len()],
                unsettled: batch.len(),
                answer: sender,
            },
        );
        let places = (0..).map(|position| Place {
            ticket,
            position,
            _hold: hold.clone(),
        });
        state.pending.extend(batch.into_iter().zip(places));
        Ok((ticket, answer))
    }

    fn withdraw(&self, ticket: u64) {
        let mut state = self.lock();
        state.tickets.remove(&ticket);
        state.pending.retain(|(_, place)| place.ticket != ticket);
    }

    /// No step under the lock can panic half-way through a change.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Removes a committed claim, and tells those who wait for its events.
    fn end(&mut self, id: ClaimId, verdict: impl Fn(usize) -> Option<Verdict>) {
        let claimed = self.claims.remove(&id);
        let places = claimed.map_or_else(Vec::new, |claimed| claimed.places);
        for (at, place) in places.iter().enumerate() {
            self.note(place, verdict(at));
        }
    }

    fn note(&mut self, place: &Place, verdict: Option<Verdict>) {
        let Some(ticket) = self.tickets.get_mut(&place.ticket) else {
            return;
        };
        ticket.verdicts[place.position] = verdict;
        ticket.unsettled -= 1;
        if ticket.unsettled == 0
            && let Some(ticket) = self.tickets.remove(&place.ticket)
        {
            // The one who pushed may have gone away; the events are stored all the same.
            let _ = ticket.answer.send(ticket.verdicts);
        }
    }
}

#[async_trait]
impl Producer for MemoryQueue {
    async fn push(&self, batch: Vec<Event>, hold: Hold) -> Result<(), PushError> {
        self.submit(batch, hold).await.map(|_| ())
    }

    fn watched(&self) -> Vec<Watched> {
        Vec::new()
    }
}

/// A worker's end.
struct MemoryConsumer(Arc<MemoryQueue>);

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn wait(&self) -> Result<(), QueueError> {
        let arrived = self.0.arrived.notified();
        if self.0.lock().pending.is_empty() {
            // Running out of time is as good an answer as an event: the caller looks again.
            let _ = timeout(WAIT, arrived).await;
        }
        Ok(())
    }

    async fn claim(&self, id: ClaimId, max: usize) -> Result<Option<Taken>, QueueError> {
        let claim = self.0.claim(id, max);
        Ok(claim.map(|claim| Taken {
            claim,
            from: self.0.clone(),
        }))
    }
}

/// It has one shard, and no other process sees it.
struct OnlyShard(Arc<MemoryQueue>);

impl Shards for OnlyShard {
    fn all(&self) -> Vec<Arc<dyn Queue>> {
        vec![self.0.clone()]
    }

    fn layout(&self) -> Option<(String, u16)> {
        None
    }

    fn serve_also(&self, _shards: u16) {}
}

impl MemoryQueue {
    /// A worker's end.
    #[must_use]
    pub fn consumer(self: Arc<Self>) -> Arc<dyn Consumer> {
        Arc::new(MemoryConsumer(self))
    }

    /// The queue as a whole.
    #[must_use]
    pub fn shards(self: Arc<Self>) -> Arc<dyn Shards> {
        Arc::new(OnlyShard(self))
    }

    fn claim(&self, id: ClaimId, max: usize) -> Option<Claim> {
        let mut state = self.lock();
        let count = state.pending.len().min(max);
        if count == 0 {
            return None;
        }
        let (events, places): (Vec<Event>, Vec<Place>) = state.pending.drain(..count).unzip();
        if !state.pending.is_empty() {
            self.arrived.notify_one();
        }
        let events = Arc::new(events);
        let claimed = Claimed {
            events: events.clone(),
            places,
        };
        state.claims.insert(id, claimed);
        Some(Claim {
            id,
            events,
            malformed: Vec::new(),
            judged: true,
        })
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn renew(&self, id: ClaimId) -> Result<bool, QueueError> {
        Ok(self.lock().claims.contains_key(&id))
    }

    fn recorded(&self, id: ClaimId, verdicts: &[Verdict]) {
        self.lock().end(id, |at| verdicts.get(at).copied());
    }

    async fn settle(&self, id: ClaimId) -> Result<(), QueueError> {
        // Unless it was recorded here, the verdicts are not known.
        self.lock().end(id, |_| None);
        Ok(())
    }

    async fn release(&self, id: ClaimId, _holder: Holder) -> Result<bool, QueueError> {
        let mut state = self.lock();
        let Some(Claimed { events, places }) = state.claims.remove(&id) else {
            return Ok(false);
        };
        // The worker may not have dropped its claim yet.
        let events = Arc::unwrap_or_clone(events);
        for entry in events.into_iter().zip(places).rev() {
            state.pending.push_front(entry);
        }
        self.arrived.notify_one();
        Ok(true)
    }

    /// Nobody adopts it. None of its events was acknowledged, and those who pushed them are told to do it again.
    fn leave(&self, id: ClaimId) {
        let claimed = self.lock().claims.remove(&id);
        let places = claimed.map_or_else(Vec::new, |claimed| claimed.places);
        let tickets: HashSet<u64> = places.iter().map(|place| place.ticket).collect();
        for ticket in tickets {
            self.withdraw(ticket);
        }
    }

    /// Claims in memory end with their process.
    async fn adopt(&self) -> Result<Option<Claim>, QueueError> {
        Ok(None)
    }

    async fn holders(&self) -> Result<HashSet<WorkerId>, QueueError> {
        Ok(self.lock().claims.keys().map(|id| id.worker).collect())
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let state = self.lock();
        Ok(Depth {
            pending: state.pending.len() as u64,
            processing: state
                .claims
                .values()
                .map(|claimed| claimed.events.len())
                .sum::<usize>() as u64,
            oldest: state
                .pending
                .front()
                .map(|(event, _)| event.receipt_id.received_at()),
        })
    }

    fn shard(&self) -> String {
        "memory".to_owned()
    }

    fn watched(&self) -> Option<Watched> {
        None
    }
}
