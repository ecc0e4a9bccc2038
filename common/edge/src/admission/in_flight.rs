//! How many requests and bytes may be in flight. A request over these bounds is refused at once, because letting it wait
//! would hold even more.
//!
//! A request has a place, and its body, its events and its answer count their bytes. Both last until the answer is sent and
//! the events are pushed or stored, also if the client goes away before. No key may hold more than a share of the bytes,
//! so that one caller cannot keep out the others.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use actix_web::{HttpMessage, HttpRequest, web::Data};
use runtime::hold::Hold;
use tokio::sync::Semaphore;

use crate::{
    auth::{Caller, KeyHash},
    problem::{Kind, Problem},
};

/// Bytes are counted in units of this size.
const UNIT: usize = 1024;
/// One key may hold this part of the bytes; so may all callers without a key together.
const SHARES: usize = 4;

/// What goes on in a server, and its bounds.
#[derive(Clone)]
pub(crate) struct InFlight {
    requests: Arc<Semaphore>,
    bytes: Arc<Bytes>,
}

/// The bytes that are in flight.
struct Bytes {
    max: usize,
    share: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_holder: HashMap<Holder, usize>,
}

/// Who holds them; `None` is everybody without a key.
type Holder = Option<KeyHash>;

impl InFlight {
    /// `largest` bytes, the largest body, fit into the share of a key in any case. If `shared` is false no caller has a
    /// key, and all of them together may hold everything.
    pub(crate) fn new(max_requests: usize, max_bytes: usize, largest: usize, shared: bool) -> Self {
        let max = max_bytes.max(largest);
        let share = if shared {
            (max / SHARES).max(largest)
        } else {
            max
        };
        Self {
            requests: Arc::new(Semaphore::new(max_requests)),
            bytes: Arc::new(Bytes {
                max: max.next_multiple_of(UNIT),
                share: share.next_multiple_of(UNIT),
                taken: Mutex::default(),
            }),
        }
    }

    /// A place for a request.
    ///
    /// # Errors
    /// 503 if no place is free.
    pub(crate) fn enter(&self) -> Result<Hold, Problem> {
        let place = self.requests.clone().try_acquire_owned();
        place.map(Hold::of).map_err(|_| {
            let detail = "as many requests are being answered as may be at once \
                          (MAX_REQUESTS_IN_FLIGHT); try again";
            Problem::new(Kind::Overloaded, detail)
        })
    }
}

impl Bytes {
    fn take(&self, holder: Holder, bytes: usize) -> bool {
        let mut taken = self.lock();
        let held = taken.by_holder.get(&holder).copied().unwrap_or_default();
        let fits = |held: usize, bound| held.checked_add(bytes).is_some_and(|sum| sum <= bound);
        if !fits(taken.all, self.max) || !fits(held, self.share) {
            return false;
        }
        taken.all += bytes;
        taken.by_holder.insert(holder, held + bytes);
        true
    }

    fn give_back(&self, holder: Holder, bytes: usize) {
        let mut taken = self.lock();
        taken.all -= bytes;
        if let Some(held) = taken.by_holder.get_mut(&holder) {
            *held -= bytes;
            if *held == 0 {
                taken.by_holder.remove(&holder);
            }
        }
    }

    /// No step under the lock can panic half-way through a change.
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory that belongs to one caller, counted until this is dropped.
pub(crate) struct Held {
    bytes: Option<Arc<Bytes>>,
    holder: Holder,
    taken: usize,
    used: usize,
}

impl Held {
    /// Holds nothing so far. What is added counts for the caller of this request.
    pub(crate) fn by(request: &HttpRequest) -> Self {
        let load = request.app_data::<Data<InFlight>>();
        let caller = request.extensions();
        Self {
            bytes: load.map(|load| load.bytes.clone()),
            holder: caller.get::<Caller>().and_then(Caller::key_hash),
            taken: 0,
            used: 0,
        }
    }

    /// Holds this many bytes more.
    ///
    /// # Errors
    /// [`io::ErrorKind::QuotaExceeded`] if the caller, or all callers, hold too much already.
    pub(crate) fn grow(&mut self, by: usize) -> io::Result<()> {
        let Some(bytes) = &self.bytes else {
            return Ok(());
        };
        let used = self.used.saturating_add(by);
        let missing = used.saturating_sub(self.taken);
        let missing = missing.checked_next_multiple_of(UNIT).unwrap_or(missing);
        if missing > 0 && !bytes.take(self.holder, missing) {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        self.taken += missing;
        self.used = used;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(bytes) = &self.bytes
            && self.taken > 0
        {
            bytes.give_back(self.holder, self.taken);
        }
    }
}

/// Keeps this until the request is answered, and returns what is kept so far, for a caller that needs it for longer.
pub(crate) fn keep(request: &HttpRequest, held: Hold) -> Hold {
    let mut extensions = request.extensions_mut();
    let before = extensions.remove::<Hold>().unwrap_or_default();
    let all = before.and(held);
    extensions.insert(all.clone());
    all
}

/// What [`Held::grow`] says, to the client.
pub(crate) fn overloaded() -> Problem {
    let detail = "the requests in flight take as much memory as they may, or those of this key take its share \
                  (MAX_BYTES_IN_FLIGHT); try again, or send smaller batches";
    Problem::new(Kind::Overloaded, detail)
}

#[cfg(test)]
mod tests {
    use actix_web::{ResponseError, test::TestRequest};

    use super::*;
    use crate::auth::Keyring;

    fn caller(key: &str) -> Caller {
        let hash = KeyHash::of(key);
        let file = format!("[[key]]\nname = \"a\"\nscopes = [\"publish\"]\nhash = \"{hash}\"\n");
        let keys = Keyring::parse(&file).unwrap();
        Caller::Holder(keys.find(key).unwrap().clone())
    }

    #[test]
    fn a_request_without_a_place_is_refused_until_one_is_free() {
        let load = InFlight::new(2, UNIT, UNIT, false);
        let (first, second) = (load.enter(), load.enter());
        let refused = load.enter().unwrap_err();
        assert_eq!(refused.status_code(), 503);
        let answer = refused.error_response();
        assert!(answer.headers().contains_key("retry-after"));
        drop(first);
        assert!(load.enter().is_ok());
        drop(second);
    }

    #[test]
    fn bytes_are_held_together_until_the_last_who_needs_them_has_gone() {
        let load = Data::new(InFlight::new(1, 10 * UNIT, UNIT, false));
        let request = || TestRequest::post().app_data(load.clone()).to_http_request();
        let (one, other) = (request(), request());
        let mut held = Held::by(&one);
        // Small pieces share a unit.
        (0..6 * UNIT).for_each(|_| held.grow(1).unwrap());
        let queued = keep(&one, Hold::of(held));
        let mut more = Held::by(&other);
        more.grow(4 * UNIT).unwrap();
        let full = more.grow(1).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::QuotaExceeded);
        drop(one);
        assert!(more.grow(1).is_err(), "the queue still has the events");
        drop(queued);
        more.grow(6 * UNIT).unwrap();
        assert!(more.grow(1).is_err());
    }

    #[test]
    fn one_key_takes_its_share_and_leaves_the_others_theirs() {
        let load = Data::new(InFlight::new(1, 8 * UNIT, UNIT, true));
        let held = |caller: Option<Caller>| {
            let request = TestRequest::post().app_data(load.clone()).to_http_request();
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            Held::by(&request)
        };
        let mut greedy = [held(Some(caller("a"))), held(Some(caller("a")))];
        greedy[0].grow(UNIT).unwrap();
        greedy[1].grow(UNIT).unwrap();
        assert!(greedy[0].grow(1).is_err());
        for mut other in [held(Some(caller("b"))), held(None)] {
            other.grow(2 * UNIT).unwrap();
            assert!(other.grow(1).is_err());
        }
    }

    #[test]
    fn the_largest_body_fits_into_every_share() {
        let load = Data::new(InFlight::new(1, UNIT, 6 * UNIT, true));
        let request = TestRequest::post().app_data(load).to_http_request();
        assert!(Held::by(&request).grow(6 * UNIT).is_ok());
    }
}
