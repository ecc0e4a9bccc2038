//! The bytes of a body: bounded as they are sent and as they are meant.

use std::io;

use actix_web::{HttpRequest, http::header, web::Payload};
use futures_util::StreamExt;

use super::{
    decode::Decoder,
    media::{self, Encoding},
};
use crate::http::problem::{Kind, Problem};

/// A body that has not been read yet.
pub(super) struct Body {
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
    pub(super) async fn feed(mut self, take: impl FnMut(&[u8])) -> Result<(), Problem> {
        let limit = self.limit;
        let refuse = |error: io::Error| match error.kind() {
            io::ErrorKind::FileTooLarge => too_large(limit),
            _ => Problem::new(
                Kind::MalformedBody,
                format!("the body is not what Content-Encoding says: {error}"),
            ),
        };
        let mut decoder = Decoder::new(self.encoding, limit, take).map_err(refuse)?;
        // Compressed, nothing at all can take any number of bytes.
        let mut left = limit;
        while let Some(chunk) = self.payload.next().await {
            let chunk = chunk.map_err(|error| {
                let detail = format!("the body did not arrive whole: {error}");
                Problem::new(Kind::MalformedBody, detail)
            })?;
            left = left
                .checked_sub(chunk.len())
                .ok_or_else(|| too_large(limit))?;
            decoder.push(&chunk).map_err(refuse)?;
        }
        decoder.finish().map_err(refuse)
    }
}

fn too_large(limit: usize) -> Problem {
    let detail = format!("the body has more than {limit} bytes; send smaller batches");
    Problem::new(Kind::TooLarge, detail)
}
