//! From a request to the events in it.

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderName},
    web::{Bytes, Payload},
};

use super::problem::{BatchItem, Kind, Problem};
use crate::{
    clock::{Clock, Ids},
    config::LimitArgs,
    event::{
        Event,
        parse::{self, BatchError, EventError, EventErrorKind, Receipts, Shape},
    },
};

/// What a client sent, each event valid.
#[derive(Debug)]
pub struct Batch {
    /// One event alone, or several.
    pub shape: Shape,
    /// In the client's order.
    pub events: Vec<Event>,
}

/// Reads a batch in which every event is valid.
///
/// # Errors
/// The problem to answer: the media type, the size, the JSON, or every event that is not valid.
pub async fn read(
    request: &HttpRequest,
    payload: Payload,
    limits: &LimitArgs,
    clock: &dyn Clock,
    ids: &Ids,
) -> Result<Batch, Problem> {
    let body = read_json(request, payload, limits.max_body_bytes as usize).await?;
    let parsed = parse::parse(&body, &limits.parser_limits(), &Receipts::new(clock, ids))?;
    let mut events = Vec::with_capacity(parsed.events.len());
    let mut errors = Vec::new();
    for (index, result) in parsed.events.into_iter().enumerate() {
        match result {
            Ok(event) => events.push(event),
            Err(error) => errors.push((index, error)),
        }
    }
    if errors.is_empty() {
        Ok(Batch {
            shape: parsed.shape,
            events,
        })
    } else {
        Err(refuse(errors))
    }
}

/// Reads a body that says it is JSON.
///
/// # Errors
/// The problem to answer: the media type, or more than `limit` bytes.
pub async fn read_json(
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
) -> Result<Bytes, Problem> {
    check_media_type(request)?;
    read_body(request, payload, limit).await
}

fn check_media_type(request: &HttpRequest) -> Result<(), Problem> {
    let unsupported = |detail| Err(Problem::new(Kind::UnsupportedMediaType, detail));
    if let Some(encoding) = text(request, &header::CONTENT_ENCODING)
        && !encoding.eq_ignore_ascii_case("identity")
    {
        return unsupported("Content-Encoding is not supported; send the body as it is");
    }
    // A client that names no media type means the only one there is.
    let Some(media_type) = text(request, &header::CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        unsupported("Content-Type must be application/json")
    }
}

/// A header that is not text is like none that is known.
fn text<'a>(request: &'a HttpRequest, name: &HeaderName) -> Option<&'a str> {
    let value = request.headers().get(name)?;
    Some(value.to_str().unwrap_or("(not text)"))
}

async fn read_body(
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!("the body has more than {limit} bytes; send smaller batches");
        Problem::new(Kind::TooLarge, detail)
    };
    let declared = text(request, &header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
    if declared.is_some_and(|length: u64| length > limit as u64) {
        return Err(too_large());
    }
    match payload.to_bytes_limited(limit).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) => Err(Problem::new(
            Kind::MalformedBody,
            format!("the body did not arrive whole: {error}"),
        )),
        Err(_) => Err(too_large()),
    }
}

/// One problem for all events that are not valid.
fn refuse(errors: Vec<(usize, EventError)>) -> Problem {
    let too_large = |(_, error): &(usize, EventError)| error.kind == EventErrorKind::TooLarge;
    let kind = if errors.iter().all(too_large) {
        Kind::TooLarge
    } else {
        Kind::InvalidEvent
    };
    let (index, first) = &errors[0];
    let detail = match errors.len() {
        1 => format!("event {index}: {} {}", first.pointer, first.detail),
        count => format!(
            "{count} events are not valid, first event {index}: {} {}",
            first.pointer, first.detail
        ),
    };
    let items = errors.into_iter().map(|(index, error)| BatchItem {
        index,
        pointer: error.pointer,
        detail: error.detail,
    });
    Problem::new(kind, detail).with_errors(items.collect())
}

impl From<BatchError> for Problem {
    fn from(error: BatchError) -> Self {
        let kind = match &error {
            BatchError::TooMany { .. } => Kind::TooLarge,
            BatchError::Empty | BatchError::NotUtf8 { .. } | BatchError::Malformed { .. } => {
                Kind::MalformedBody
            }
            _ => Kind::InvalidBatch,
        };
        Self::new(kind, error.to_string())
    }
}
