//! How much may go on at once. What is too much is refused at once: waiting would only hold more.

use std::{io, sync::Arc};

use actix_web::{HttpMessage, HttpRequest, web::Data};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::{Kind, Problem};

/// Bodies are counted in pieces of so many bytes.
const UNIT: usize = 1024;

/// What goes on in a server, and its bounds.
#[derive(Clone)]
pub(super) struct Load {
    requests: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
}

impl Load {
    pub(super) fn new(max_requests: usize, max_body_bytes: usize) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(max_requests)),
            bodies: Arc::new(Semaphore::new(max_body_bytes.div_ceil(UNIT))),
        }
    }

    /// A place for a request, free again when it is dropped.
    ///
    /// # Errors
    /// 503 if there is none.
    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.requests.clone().try_acquire_owned().map_err(|_| {
            let detail =
                "as many requests are being answered as may be (MAX_REQUESTS_IN_FLIGHT); try again";
            Problem::new(Kind::Overloaded, detail)
        })
    }
}

/// Memory that a body takes, counted as long as its request lives.
pub(super) struct Held {
    load: Option<Load>,
    permit: Option<OwnedSemaphorePermit>,
    /// What of the permit is not used yet.
    left: usize,
}

impl Held {
    /// Nothing so far, of what the server of this request may hold.
    pub(super) fn by(request: &HttpRequest) -> Self {
        let load = request.app_data::<Data<Load>>();
        Self {
            load: load.map(|load| load.get_ref().clone()),
            permit: None,
            left: 0,
        }
    }

    /// So much more.
    ///
    /// # Errors
    /// [`io::ErrorKind::QuotaExceeded`] if the server holds too much already.
    pub(super) fn grow(&mut self, bytes: usize) -> io::Result<()> {
        let Some(load) = &self.load else {
            return Ok(());
        };
        let units = bytes.saturating_sub(self.left).div_ceil(UNIT);
        let more = u32::try_from(units)
            .ok()
            .and_then(|units| load.bodies.clone().try_acquire_many_owned(units).ok())
            .ok_or(io::ErrorKind::QuotaExceeded)?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        self.left = self.left + units * UNIT - bytes;
        Ok(())
    }

    /// Goes on counting until the request is answered.
    pub(super) fn until_answered(self, request: &HttpRequest) {
        request.extensions_mut().insert(self);
    }
}

/// What [`Held::grow`] says, to the client.
pub(super) fn overloaded() -> Problem {
    let detail =
        "the bodies of requests take as much memory as they may (MAX_BYTES_IN_FLIGHT); try again";
    Problem::new(Kind::Overloaded, detail)
}

#[cfg(test)]
mod tests {
    use actix_web::{ResponseError, test::TestRequest};

    use super::*;

    #[test]
    fn a_request_without_a_place_is_refused_until_one_is_free() {
        let load = Load::new(2, UNIT);
        let (first, second) = (load.enter(), load.enter());
        let refused = load.enter().unwrap_err();
        assert_eq!(refused.status_code(), 503);
        assert!(
            refused
                .error_response()
                .headers()
                .contains_key("retry-after")
        );
        drop(first);
        assert!(load.enter().is_ok());
        drop(second);
    }

    #[test]
    fn bodies_are_held_together_until_their_requests_are_answered() {
        let load = Data::new(Load::new(1, 10 * UNIT));
        let request = || TestRequest::post().app_data(load.clone()).to_http_request();
        let (one, other) = (request(), request());
        let mut held = Held::by(&one);
        // Small pieces share a unit.
        (0..6 * UNIT).for_each(|_| held.grow(1).unwrap());
        held.until_answered(&one);
        let mut more = Held::by(&other);
        more.grow(4 * UNIT).unwrap();
        assert_eq!(
            more.grow(1).unwrap_err().kind(),
            io::ErrorKind::QuotaExceeded
        );
        drop(one);
        more.grow(6 * UNIT).unwrap();
        assert!(more.grow(1).is_err());
    }
}
