//! The connections of one server thread: how many there may be, and which one has to go when there are more.
//!
//! A connection without a request waits: for a handshake, for its first request, or for its next one. If all places are
//! taken, the connection that has waited the longest loses its place to the new one, as in nginx
//! (`ngx_drain_connections` in its sources). So clients that connect and say nothing keep nobody out, however many they
//! are: a client that sends its request at once is served, and a health check does.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    task::{Context, Waker},
    time::Duration,
};

use runtime::hold::Hold;
use tokio::{sync::Notify, time::timeout};

/// How long a new connection waits for a place while every other connection has a request.
const SEATED_WITHIN: Duration = Duration::from_secs(5);

/// The places of one thread.
pub(crate) struct Places {
    max: usize,
    state: RefCell<State>,
    freed: Notify,
}

#[derive(Default)]
struct State {
    taken: usize,
    /// The connections without a request. The one that has waited the longest comes first.
    waiting: BTreeMap<u64, Rc<Place>>,
    next_rank: u64,
}

/// The place of one connection.
pub(crate) struct Place {
    places: Rc<Places>,
    /// The place among those that wait; none while there is a request.
    rank: Cell<Option<u64>>,
    /// Requests whose answers are not made yet.
    running: Cell<usize>,
    /// Somebody else has the place now.
    lost: Cell<bool>,
    /// Wakes the connection when it loses its place.
    waker: RefCell<Option<Waker>>,
    /// What answers hold that are made and perhaps not sent yet.
    unsent: RefCell<Vec<Hold>>,
}

/// A place that is free again when this is dropped.
pub(crate) struct Taken(Rc<Place>);

/// A request of a connection, until its answer is made.
pub(crate) struct Running(Rc<Place>);

impl Places {
    /// `max` places, at least one.
    pub(crate) fn new(max: usize) -> Rc<Self> {
        Rc::new(Self {
            max: max.max(1),
            state: RefCell::default(),
            freed: Notify::new(),
        })
    }

    /// A place for a new connection. `None`: every other one has a request, and none of these has ended in time.
    pub(crate) async fn enter(self: &Rc<Self>) -> Option<Taken> {
        let seated = async {
            loop {
                if let Some(taken) = self.try_enter() {
                    return taken;
                }
                self.freed.notified().await;
            }
        };
        timeout(SEATED_WITHIN, seated).await.ok()
    }

    fn try_enter(self: &Rc<Self>) -> Option<Taken> {
        let mut state = self.state.borrow_mut();
        if state.taken >= self.max {
            let (_, longest) = state.waiting.pop_first()?;
            longest.lose();
        } else {
            state.taken += 1;
        }
        let place = Rc::new(Place {
            places: Rc::clone(self),
            rank: Cell::new(None),
            running: Cell::new(0),
            lost: Cell::new(false),
            waker: RefCell::default(),
            unsent: RefCell::default(),
        });
        state.wait(&place);
        Some(Taken(place))
    }
}

impl State {
    fn wait(&mut self, place: &Rc<Place>) {
        let rank = self.next_rank;
        self.next_rank += 1;
        place.rank.set(Some(rank));
        self.waiting.insert(rank, Rc::clone(place));
    }

    fn wait_no_more(&mut self, place: &Place) {
        if let Some(rank) = place.rank.take() {
            self.waiting.remove(&rank);
        }
    }
}

impl Place {
    /// A request has come.
    pub(crate) fn begin(self: &Rc<Self>) -> Running {
        self.running.set(self.running.get() + 1);
        self.places.state.borrow_mut().wait_no_more(self);
        Running(Rc::clone(self))
    }

    /// Whether it waits for a request.
    pub(crate) fn waits(&self) -> bool {
        self.rank.get().is_some() || self.lost.get()
    }

    /// Whether the connection has to end. It has, only while it waits; `context` is woken if that changes.
    pub(crate) fn is_lost(&self, context: &Context<'_>) -> bool {
        if self.lost.get() {
            return self.running.get() == 0;
        }
        let mut waker = self.waker.borrow_mut();
        match &*waker {
            Some(known) if known.will_wake(context.waker()) => {}
            _ => *waker = Some(context.waker().clone()),
        }
        false
    }

    /// Waits until the place is lost.
    pub(crate) async fn lost(&self) {
        std::future::poll_fn(|context| {
            if self.is_lost(context) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
    }

    /// Keeps what an answer holds until it is sent.
    pub(crate) fn hold(&self, hold: Hold) {
        self.unsent.borrow_mut().push(hold);
    }

    /// All answers that are made are sent. The connection waits for its next request, if none has come already.
    pub(crate) fn sent(self: &Rc<Self>) {
        if !self.unsent.borrow().is_empty() {
            self.unsent.take();
        }
        if self.running.get() == 0 && !self.waits() {
            self.places.state.borrow_mut().wait(self);
        }
    }

    fn lose(&self) {
        self.rank.set(None);
        self.lost.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Taken {
    /// The place.
    pub(crate) const fn place(&self) -> &Rc<Place> {
        &self.0
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let Place { places, lost, .. } = &*self.0;
        if lost.get() {
            return;
        }
        let mut state = places.state.borrow_mut();
        state.wait_no_more(&self.0);
        state.taken -= 1;
        places.freed.notify_one();
    }
}

impl Running {
    /// Keeps what the answer holds until it is sent.
    pub(crate) fn hold(&self, hold: Hold) {
        self.0.hold(hold);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn is_lost(taken: &Taken) -> bool {
        taken.place().is_lost(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_connection_that_has_waited_the_longest_makes_room() {
        let places = Places::new(2);
        let (first, second) = (places.try_enter().unwrap(), places.try_enter().unwrap());
        // It has had a request since.
        drop(first.place().begin());
        first.place().sent();
        let third = places.try_enter().unwrap();
        assert!(is_lost(&second) && !is_lost(&first) && !is_lost(&third));
        drop(second);
        let fourth = places.try_enter().unwrap();
        assert!(is_lost(&first) && !is_lost(&third) && !is_lost(&fourth));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_a_request_keeps_its_place_until_its_answer_is_sent() {
        let places = Places::new(1);
        let busy = places.enter().await.unwrap();
        let running = busy.place().begin();
        assert!(places.enter().await.is_none());
        drop(running);
        assert!(places.enter().await.is_none(), "the answer is not sent");
        busy.place().sent();
        assert!(places.enter().await.is_some());
        assert!(is_lost(&busy));
    }

    #[test]
    fn a_place_is_free_again_after_its_connection_has_ended() {
        let places = Places::new(1);
        let busy = places.try_enter().unwrap();
        let _running = busy.place().begin();
        assert!(places.try_enter().is_none());
        drop(busy);
        assert!(places.try_enter().is_some());
    }
}
