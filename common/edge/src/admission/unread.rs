//! Bodies that are not read to their end.
//!
//! If the body is still held when the answer is made, actix closes the connection after the answer. If a chunked body was
//! dropped before, actix reads it to its end, however slowly it arrives, and also from clients without a key.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::header::TRANSFER_ENCODING,
    middleware::Next,
    web::Bytes,
};
use futures_util::{Stream, StreamExt};

/// How long it is held: longer than its answer takes to be made.
const HELD_FOR: Duration = Duration::from_secs(1);

/// Holds the body of a request until the answer is made, if it is not read to its end.
pub(crate) async fn hold(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if request.headers().contains_key(TRANSFER_ENCODING) {
        let body = Held(Some(request.take_payload()));
        request.set_payload(Payload::Stream {
            payload: body.boxed_local(),
        });
    }
    next.call(request).await
}

/// A body; `None` after its end was read.
struct Held(Option<Payload>);

impl Stream for Held {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let next = body.poll_next_unpin(context);
        if let Poll::Ready(None) = next {
            self.0 = None;
        }
        next
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(body) = self.0.take() {
            actix_web::rt::spawn(async move {
                tokio::time::sleep(HELD_FOR).await;
                drop(body);
            });
        }
    }
}
