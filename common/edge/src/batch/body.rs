//! The bytes of a body: bounded as they are sent and as they are meant.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{HttpRequest, http::header, web::Payload};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::{
    decode::{Decoder, Sink},
    media::{self, Encoding},
    work,
};
use crate::{
    admission::in_flight::{self, Held},
    connection::pace::{BYTES_A_SECOND, Pace, WINDOW},
    problem::{Kind, Problem},
};

/// How slowly a body of the largest allowed length may arrive, in bytes a second. No body may take longer than that one,
/// and a window of [`Pace`], so none holds its memory for longer.
const WHOLE_BYTES_A_SECOND: u64 = 128 * 1024;

/// Most bytes that are set aside for a body that only says how long it is. Until they arrive, they are only addresses.
const MOST_RESERVED: usize = 1024 * 1024;

/// A body that has not been read yet.
pub(super) struct Body {
    request: HttpRequest,
    payload: Payload,
    encoding: Encoding,
    limit: usize,
    /// As long as it says that it is.
    declared: Option<u64>,
    size: Arc<Size>,
}

/// How long a body is, as far as it was read.
#[derive(Default)]
pub(super) struct Size {
    sent: AtomicUsize,
    meant: AtomicUsize,
}

impl Size {
    /// In bytes, as it was sent or as it was meant, whichever is longer: both take work.
    pub(super) fn bytes(&self) -> usize {
        let [sent, meant] = [&self.sent, &self.meant].map(|bytes| bytes.load(Ordering::Relaxed));
        sent.max(meant)
    }
}

/// Counts the memory and the work that a body takes on its way to where it is wanted.
struct Counted<S> {
    sink: S,
    held: Held,
    size: Arc<Size>,
}

impl<S: Sink> Sink for Counted<S> {
    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        self.held.grow(piece.len())?;
        self.size.meant.fetch_add(piece.len(), Ordering::Relaxed);
        self.sink.take(piece)
    }

    fn kept(&self) -> usize {
        self.sink.kept()
    }
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
            declared,
            size: Arc::default(),
        })
    }

    /// How long it is, however it ends.
    pub(super) fn size(&self) -> Arc<Size> {
        self.size.clone()
    }

    /// All of it, and what holds the memory that it takes.
    pub(super) async fn whole(self) -> Result<(Vec<u8>, Held), Problem> {
        let plain = self
            .declared
            .filter(|_| self.encoding == Encoding::Identity);
        let len = plain.and_then(|len| usize::try_from(len).ok());
        let place = Vec::with_capacity(len.map_or(0, |len| len.min(MOST_RESERVED)));
        self.feed(place).await
    }

    /// Hands it to `sink` while it arrives, in pieces.
    pub(super) async fn feed<S: Sink + Send + 'static>(
        mut self,
        sink: S,
    ) -> Result<(S, Held), Problem> {
        let limit = self.limit;
        let refuse = |error: io::Error| match error.kind() {
            io::ErrorKind::FileTooLarge => too_large(limit),
            io::ErrorKind::QuotaExceeded => in_flight::overloaded(),
            _ => Problem::new(
                Kind::MalformedBody,
                format!("the body cannot be decompressed as Content-Encoding says: {error}"),
            ),
        };
        let counted = Counted {
            sink,
            held: Held::by(&self.request),
            size: self.size.clone(),
        };
        let mut decoder = Decoder::new(self.encoding, limit, counted).map_err(refuse)?;
        // Compressed, nothing at all can take any number of bytes.
        let mut left = limit;
        let longest = Duration::from_secs(limit as u64 / WHOLE_BYTES_A_SECOND);
        let ends = Instant::now() + WINDOW + longest;
        let mut pace = Pace::start();
        loop {
            let next = timeout_at(pace.deadline().min(ends), self.payload.next());
            let chunk = match next.await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(_) if Instant::now() < ends && pace.goes_on() => continue,
                Err(_) => return Err(too_slow(longest + WINDOW)),
            };
            let chunk = chunk.map_err(|error| {
                let detail = format!("the body did not arrive whole: {error}");
                Problem::new(Kind::MalformedBody, detail)
            })?;
            left = left
                .checked_sub(chunk.len())
                .ok_or_else(|| too_large(limit))?;
            pace.add(chunk.len());
            self.size.sent.fetch_add(chunk.len(), Ordering::Relaxed);
            decoder = work::run(decoder.work(chunk.len()), move || decoder.push(&chunk))
                .await?
                .map_err(refuse)?;
        }
        let counted = decoder.finish().map_err(refuse)?;
        Ok((counted.sink, counted.held))
    }
}

fn too_slow(longest: Duration) -> Problem {
    let detail = format!(
        "the body did not arrive in time; send at least {BYTES_A_SECOND} bytes a second, all of it within {} s, or send \
         smaller batches",
        longest.as_secs()
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
        (body.map(|(body, _)| body), started.elapsed())
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
            assert!((WINDOW..WINDOW + second).contains(&took), "{took:?}");
        }
    }

    #[actix_web::test]
    async fn a_fast_start_allows_no_slow_end() {
        tokio::time::pause();
        let start = stream::iter([Ok(Bytes::from(vec![b'x'; LIMIT / 2]))]);
        let (body, took) = arrived(start.chain(drip(100, 1, Duration::from_secs(1)))).await;
        assert_eq!(body.unwrap_err().error_response().status(), 408);
        assert!(took <= 2 * WINDOW, "{took:?}");
    }

    #[actix_web::test]
    async fn a_long_body_may_take_long_but_not_longer_than_the_longest() {
        tokio::time::pause();
        let bytes = 2 * usize::try_from(BYTES_A_SECOND).unwrap();
        let second = Duration::from_secs(1);
        let (body, took) = arrived(drip(15, bytes, second)).await;
        assert_eq!(body.unwrap().len(), 15 * bytes);
        assert_eq!(took.as_secs(), 15);
        let (body, took) = arrived(drip(100, bytes, second)).await;
        assert_eq!(body.unwrap_err().error_response().status(), 408);
        let most = WINDOW + Duration::from_secs(LIMIT as u64 / WHOLE_BYTES_A_SECOND);
        assert!((most..most + second).contains(&took), "{took:?}");
    }
}
