//! Answers count until they are sent: what their requests hold, and their own bytes.
//!
//! The server copies an answer into its buffer a portion at a time, as the client takes it. So an answer that waits costs
//! its bytes once, and one whose bytes are part of the program costs a portion.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    Error, ResponseError,
    body::{BodySize, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web::Bytes,
};
use runtime::hold::Hold;

use crate::{
    admission::{
        in_flight::{self, Held},
        rate,
    },
    connection::places::{Place, Running},
};

/// The most of an answer that the server copies at a time, in bytes.
pub(crate) const PORTION: usize = 16 * 1024;
/// An answer up to this size is not counted: the bound on connections is enough for it.
const SMALL: u64 = 8 * 1024;

/// Put into the extensions of an answer whose bytes are part of the program.
pub(crate) struct Uncopied;

/// Holds what the request holds, and the bytes of its answer, until that is sent.
pub(crate) async fn hold(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let running = request.conn_data::<Rc<Place>>().map(Place::begin);
    let response = next.call(request).await?;
    let bytes = match response.response().body().size() {
        BodySize::Sized(size) if size <= SMALL => 0,
        _ if response.response().extensions().contains::<Uncopied>() => 2 * PORTION,
        BodySize::Sized(size) => usize::try_from(size).unwrap_or(usize::MAX),
        // Nothing here streams; it would come in portions.
        BodySize::Stream => 2 * PORTION,
        BodySize::None => 0,
    };
    let mut held = Held::by(response.request());
    if held.grow(bytes).is_err() {
        let refusal = in_flight::overloaded().error_response();
        let mut refused = response.into_response(refusal);
        // What its caller has spent is given back.
        rate::conclude(&mut refused);
        return Ok(refused.map_into_right_body());
    }
    let hold = in_flight::keep(response.request(), Hold::of(held));
    Ok(response
        .map_body(|_, body| Portions {
            body: Box::pin(body),
            rest: Bytes::new(),
            _sending: Sending { hold, running },
        })
        .map_into_left_body())
}

/// A body that is handed on in portions.
struct Portions<B> {
    body: Pin<Box<B>>,
    rest: Bytes,
    _sending: Sending,
}

/// What is held until the answer is sent, or its connection is gone.
struct Sending {
    hold: Hold,
    running: Option<Running>,
}

impl<B: MessageBody> MessageBody for Portions<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if self.rest.is_empty() {
            match std::task::ready!(self.body.as_mut().poll_next(context)) {
                Some(Ok(bytes)) => self.rest = bytes,
                ended => return Poll::Ready(ended),
            }
        }
        let portion = self.rest.len().min(PORTION);
        Poll::Ready(Some(Ok(self.rest.split_to(portion))))
    }
}

impl Drop for Sending {
    /// All of the answer is in the buffer of the connection now.
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.hold(std::mem::take(&mut self.hold));
        }
    }
}
