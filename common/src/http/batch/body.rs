//! The bytes of a body: bounded as they are sent and as they are meant.

use std::{io, time::Duration};

use actix_web::{HttpRequest, http::header, web::Payload};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::{
    decode::Decoder,
    media::{self, Encoding},
};
use crate::http::{
    load::{self, Held},
    problem::{Kind, Problem},
};

/// How long a body may take to arrive, besides the time that its bytes earn it.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// How many bytes earn a body another second: slower clients are cut off in the end.
const BYTES_A_SECOND: u64 = 4096;

/// A body that has not been read yet.
pub(super) struct Body {
    request: HttpRequest,
    payload: Payload,
    encoding: Encoding,
    limit: usize,
}

impl Body {
    /// The body of a request, of at most `limit` bytes compressed and at most `limit` not so.
    pub(super) fn of(
        request: &HttpRequest,
        payload: Payload,
        limit: usize,
    ) -> Result<Self, Problem> {
        let encoding = Encoding::of(request)?;
        let declared = media::text(request, &header::CONTENT_LENGTH);
        let declared: Option<u64> = declared.and_then(|text| text.parse().ok());
        if declared.is_some_and(|length| length > limit as u64) {
            return Err(too_large(limit));
        }
        Ok(Self {
            request: request.clone(),
            payload,
            encoding,
            limit,
        })
    }

    /// All of it.
    pub(super) async fn whole(self) -> Result<Vec<u8>, Problem> {
        let mut body = Vec::new();
        self.feed(|piece| body.extend_from_slice(piece)).await?;
        Ok(body)
    }

    /// Hands it to `take` while it arrives, in pieces.
    pub(super) async fn feed(mut self, mut take: impl FnMut(&[u8])) -> Result<(), Problem> {
        let limit = self.limit;
        let refuse = |error: io::Error| match error.kind() {
            io::ErrorKind::FileTooLarge => too_large(limit),
            io::ErrorKind::QuotaExceeded => load::overloaded(),
            _ => Problem::new(
                Kind::MalformedBody,
                format!("the body is not what Content-Encoding says: {error}"),
            ),
        };
        let mut held = Held::by(&self.request);
        let take = |piece: &[u8]| {
            held.grow(piece.len())?;
            take(piece);
            Ok(())
        };
        let mut decoder = Decoder::new(self.encoding, limit, take).map_err(refuse)?;
        // Compressed, nothing at all can take any number of bytes.
        let mut left = limit;
        let mut deadline = Instant::now() + BODY_WITHIN;
        while let Some(chunk) = timeout_at(deadline, self.payload.next())
            .await
            .map_err(|_| too_slow())?
        {
            let chunk = chunk.map_err(|error| {
                let detail = format!("the body did not arrive whole: {error}");
                Problem::new(Kind::MalformedBody, detail)
            })?;
            left = left
                .checked_sub(chunk.len())
                .ok_or_else(|| too_large(limit))?;
            deadline += Duration::from_millis(chunk.len() as u64 * 1000 / BYTES_A_SECOND);
            decoder.push(&chunk).map_err(refuse)?;
        }
        decoder.finish().map_err(refuse)?;
        held.until_answered(&self.request);
        Ok(())
    }
}

fn too_slow() -> Problem {
    let detail = format!(
        "the body did not arrive in time; send at least {BYTES_A_SECOND} bytes a second, or smaller batches"
    );
    Problem::new(Kind::RequestTimeout, detail)
}

fn too_large(limit: usize) -> Problem {
    let detail = format!("the body has more than {limit} bytes; send smaller batches");
    Problem::new(Kind::TooLarge, detail)
}

#[cfg(test)]
mod tests {
    use actix_web::{
        FromRequest, ResponseError, dev, error::PayloadError, test::TestRequest, web::Bytes,
    };
    use futures_util::{Stream, stream};

    use super::*;

    const LIMIT: usize = 1 << 20;

    /// What becomes of a body that arrives like this, and how long that takes.
    async fn arrived(
        chunks: impl Stream<Item = Result<Bytes, PayloadError>> + 'static,
    ) -> (Result<Vec<u8>, Problem>, Duration) {
        let request = TestRequest::post().to_http_request();
        let mut payload = dev::Payload::Stream {
            payload: chunks.boxed_local(),
        };
        let payload = Payload::from_request(&request, &mut payload).await.unwrap();
        let started = Instant::now();
        let body = Body::of(&request, payload, LIMIT).unwrap().whole().await;
        (body, started.elapsed())
    }

    /// So many pieces of so many bytes, one after each pause.
    fn drip(
        pieces: usize,
        bytes: usize,
        pause: Duration,
    ) -> impl Stream<Item = Result<Bytes, PayloadError>> {
        stream::iter(0..pieces).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok(Bytes::from(vec![b'x'; bytes]))
        })
    }

    #[actix_web::test]
    async fn a_body_that_stops_or_drips_is_not_waited_for() {
        tokio::time::pause();
        let second = Duration::from_secs(1);
        for (body, took) in [
            arrived(stream::pending()).await,
            arrived(drip(100, 1, second)).await,
        ] {
            assert_eq!(body.unwrap_err().error_response().status(), 408);
            assert!(
                (BODY_WITHIN..BODY_WITHIN + second).contains(&took),
                "{took:?}"
            );
        }
    }

    #[actix_web::test]
    async fn a_long_body_may_take_long() {
        tokio::time::pause();
        let bytes = usize::try_from(BYTES_A_SECOND).unwrap();
        let (body, took) = arrived(drip(100, bytes, Duration::from_secs(1))).await;
        assert_eq!(body.unwrap().len(), 100 * bytes);
        assert_eq!(took.as_secs(), 100);
    }
}
