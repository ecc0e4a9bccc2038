//! From a request to the events in it.
//!
//! - `media`: what the request says its body is
//! - `body`, `decode`: its bytes, decompressed, within limits
//! - `work`: where long work is done
//! - `admitted`: what becomes of it, and the only way into a queue; `meter`: how many there are
//! - [`event`]: the formats
//!
//! Memory for one request, with B for `MAX_BODY_BYTES`: up to 3 B for the body, while the buffer that
//! doubles is moved; up to B for the payloads of its events, and less than 1 KiB for everything else
//! of an event or for what is wrong with it. NDJSON has one line instead of the body. Decompression
//! adds less than 9 MiB. The bodies of all requests together are bounded by `MAX_BYTES_IN_FLIGHT`.

mod admitted;
mod body;
#[cfg(test)]
mod cost;
mod decode;
mod media;
mod meter;
mod work;

use std::{io, sync::Arc};

use actix_web::{HttpRequest, ResponseError, http::header, web::Payload};
use event::{
    Event,
    clock::{Clock, Ids},
    cloudevents,
    ndjson::Lines,
    parse::{self, BatchError, EventError, Invalid, Limits, Parsed, Receipts, Shape},
    schema::{CloudEventBatch, EventLines, Events, from_json},
};
use runtime::hold::Hold;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{
    IntoParams, IntoResponses, ToSchema,
    openapi::{
        Required,
        path::{Parameter, ParameterBuilder, ParameterIn},
    },
};

pub use admitted::{Admitted, Ingestion, Intake};
pub(crate) use meter::Meter;

use self::{body::Body, decode::Sink, media::Format};
#[cfg(doc)]
use crate::problem::MAX_REPORTED_ERRORS;
use crate::{
    admission::in_flight::{self, Held},
    auth::Caller,
    description::openapi::{Answers, problems},
    parameters::{flag, query},
    problem::{BatchItem, Kind, Problem},
    routes::Routes,
    settings::LimitArgs,
};

/// What a client sent and may publish now.
#[derive(Debug)]
pub struct Batch {
    /// One event alone, or several.
    pub shape: Shape,
    /// The events that are accepted.
    pub admitted: Admitted,
    /// What was not valid; nothing, unless the client asked for `?partial=true`.
    pub rejected: Rejected,
}

/// The events of a batch that are not accepted with the others.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Rejected {
    /// How many were not valid; more than 0 only with `partial`.
    #[serde(rename = "rejected")]
    pub count: usize,
    /// What is wrong with them, up to [`MAX_REPORTED_ERRORS`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub errors: Vec<BatchItem>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    partial: Option<String>,
}

/// How events may be written, for descriptions.
pub const BODY: &str = "\
Events. `application/ndjson` and `application/jsonl` mean the same as `application/x-ndjson`: an event a line. Without a \
`Content-Type` the body is JSON. `MAX_BODY_BYTES` (16777216), `MAX_BATCH_EVENTS` (10000) and `MAX_EVENT_BYTES` (262144) hold \
for all.

A CloudEvent in binary mode is a body of any type, which is its data, with the headers `ce-specversion: 1.0`, `ce-id`, \
`ce-source` and `ce-type`; optional are `ce-time`, `ce-subject`, `ce-dataschema`, and extensions as `ce-` headers.";

/// What a route that reads a batch takes beside the body; as a description has it.
pub struct Beside;

impl IntoParams for Beside {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut parameters = Encoded::into_params(|| None);
        let about = "Accept the events that are valid, and list the others";
        let schema = json!({"type": "boolean", "default": false});
        parameters.push(optional("partial", ParameterIn::Query, about, schema));
        parameters
    }
}

/// What a route that reads a body takes beside it; as a description has it.
pub struct Encoded;

impl IntoParams for Encoded {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let about = "How the body is compressed. Its limits hold before and after.";
        let schema = json!({"type": "string", "enum": ["gzip", "zstd", "identity"]});
        vec![optional(
            "Content-Encoding",
            ParameterIn::Header,
            about,
            schema,
        )]
    }
}

fn optional(name: &str, place: ParameterIn, about: &str, schema: Value) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(about))
        .schema(Some(from_json(schema)))
        .build()
}

/// What a batch is refused for, and why it is not taken now; as a description has it.
pub struct Problems;

impl IntoResponses for Problems {
    fn responses() -> Answers {
        problems(&[
            Kind::MalformedBody,
            Kind::InvalidBatch,
            Kind::InvalidEvent,
            Kind::InvalidParameter,
            Kind::RequestTimeout,
            Kind::TooLarge,
            Kind::UnsupportedMediaType,
            Kind::QueueFull,
            Kind::Overloaded,
            Kind::Unavailable,
            Kind::ShuttingDown,
        ])
    }
}

/// Adds what descriptions of routes that read a batch refer to.
#[must_use]
pub fn described(routes: Routes) -> Routes {
    routes
        .schema::<Events>()
        .schema::<EventLines>()
        .schema::<CloudEventBatch>()
}

/// Reads a batch that the caller may publish now: every event is valid, or at least one with `?partial=true`; the topics
/// are the caller's; and their rate allows it.
///
/// The events of NDJSON are accepted at the time when the body begins, others when it has ended.
///
/// What it takes from the caller's rate of events: as many as the batch has, valid or not, and at least one for each full
/// [`LimitArgs::max_event_bytes`] of the body. What is refused because of its events, or as a whole, costs at least one,
/// and may leave a debt. What the rate does not allow costs only what its bytes do.
///
/// # Errors
/// The problem to answer: a parameter, the media type, the size, the body, every event that is not valid, a topic, the
/// rate.
pub async fn read(
    request: &HttpRequest,
    payload: Payload,
    caller: &Caller,
    limits: &LimitArgs,
    clock: &dyn Clock,
    ids: &Arc<Ids>,
) -> Result<Batch, Problem> {
    let meter = Meter::in_use(request);
    let batch = read_measured(request, payload, caller, limits, clock, ids, &meter).await;
    match &batch {
        Ok(batch) => meter.refused(Kind::InvalidEvent.facts().0, batch.rejected.count),
        Err(problem) => meter.refused(problem.slug(), 1),
    }
    batch
}

async fn read_measured(
    request: &HttpRequest,
    payload: Payload,
    caller: &Caller,
    limits: &LimitArgs,
    clock: &dyn Clock,
    ids: &Arc<Ids>,
    meter: &Meter,
) -> Result<Batch, Problem> {
    let parameters: Parameters = query(request)?;
    let partial = flag("partial", parameters.partial)?;
    let format = Format::of(request)?;
    caller.check_events(request)?;
    let body = Body::of(request, payload, limits.max_body_bytes as usize)?;
    let limits = limits.parser_limits();

    let size = body.size();
    let parsed = parse(request, body, format, limits, clock, ids).await;
    let least = size.bytes() / limits.max_event_bytes.max(1);
    let count = parsed.as_ref().map_or(1, |(parsed, _)| parsed.count());
    let count = count.max(least);
    let batch = parsed.and_then(|(parsed, mut held)| {
        let (shape, events, rejected) = judge(parsed, partial)?;
        caller.check_topics(&events)?;
        let grown = held.grow(events.len() * Event::OVERHEAD);
        grown.map_err(|_| in_flight::overloaded())?;
        let hold = in_flight::keep(request, Hold::of(held));
        Ok((shape, events, hold, rejected))
    });
    match batch {
        Ok((shape, events, hold, rejected)) => {
            caller.spend_events(request, count, least)?;
            Ok(Batch {
                shape,
                admitted: Admitted::new(events, hold, meter.clone()),
                rejected,
            })
        }
        Err(problem) => {
            if !problem.status_code().is_server_error() {
                caller.owe_events(request, count.max(1));
            }
            Err(problem)
        }
    }
}

/// Reads a body that is there as a whole.
type Parser = Box<dyn FnOnce(Vec<u8>, &Limits, &Receipts) -> Result<Parsed, BatchError> + Send>;

/// The events, and what holds the memory that they take.
async fn parse(
    request: &HttpRequest,
    body: Body,
    format: Format,
    limits: Limits,
    clock: &dyn Clock,
    ids: &Arc<Ids>,
) -> Result<(Parsed, Held), Problem> {
    let parser: Parser = match format {
        Format::Ndjson => {
            let lines = Lines::new(limits, Receipts::new(clock, ids));
            let (lines, held) = body.feed(lines).await?;
            let finishing = work::run(lines.kept(), || (lines.finish(), held));
            let (parsed, held) = finishing.await?;
            return Ok((parsed?, held));
        }
        Format::Json => Box::new(parse::parse),
        Format::CloudEvent => {
            Box::new(|body, limits, receipts| cloudevents::structured(&body, limits, receipts))
        }
        Format::CloudEvents => {
            Box::new(|body, limits, receipts| cloudevents::batch(&body, limits, receipts))
        }
        Format::BinaryCloudEvent => {
            let headers = request.headers().clone();
            let media_type = media::text(request, &header::CONTENT_TYPE).map(str::to_owned);
            Box::new(move |body, limits, receipts| {
                let headers = headers.iter();
                let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
                cloudevents::binary(headers, media_type.as_deref(), &body, limits, receipts)
            })
        }
    };
    let (body, held) = body.whole().await?;
    let receipts = Receipts::new(clock, ids);
    // The work goes on if the client goes away, and then still has the body.
    let parsing = work::run(body.len(), move || (parser(body, &limits, &receipts), held));
    let (parsed, held) = parsing.await?;
    Ok((parsed?, held))
}

impl Sink for Lines {
    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        self.push(piece);
        Ok(())
    }

    fn kept(&self) -> usize {
        self.kept()
    }
}

/// Reads a body that says it is JSON.
///
/// # Errors
/// The problem to answer: the media type, the encoding, or more than `limit` bytes.
pub async fn read_json(
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
) -> Result<Vec<u8>, Problem> {
    media::require_json(request)?;
    let (body, held) = Body::of(request, payload, limit)?.whole().await?;
    in_flight::keep(request, Hold::of(held));
    Ok(body)
}

/// The events that can be accepted: all of them or, if `partial`, those that are valid.
fn judge(parsed: Parsed, partial: bool) -> Result<(Shape, Vec<Event>, Rejected), Problem> {
    let count = parsed.count();
    let Parsed {
        shape,
        events,
        invalid,
    } = parsed;
    if invalid.count == 0 || partial && !events.is_empty() {
        let rejected = Rejected {
            count: invalid.count,
            errors: items(invalid.first),
        };
        Ok((shape, events, rejected))
    } else {
        Err(refuse(shape, count, invalid))
    }
}

/// One problem for all events that are not valid.
fn refuse(shape: Shape, count: usize, invalid: Invalid) -> Problem {
    let kind = if invalid.too_large == invalid.count {
        Kind::TooLarge
    } else {
        Kind::InvalidEvent
    };
    let first = invalid.first.first();
    let first = first.map(|(index, error)| (index, &*error.detail));
    let detail = match (shape, first) {
        (_, None) => String::new(),
        (Shape::One, Some((_, first))) => first.to_owned(),
        (Shape::Many, Some((index, first))) if invalid.count == 1 => {
            format!("event {index}: {first}")
        }
        (Shape::Many, Some((index, first))) => {
            let wrong = invalid.count;
            format!("{wrong} events of {count} are not valid; the first is event {index}: {first}")
        }
    };
    Problem::new(kind, detail).with_errors(items(invalid.first))
}

fn items(errors: Vec<(usize, EventError)>) -> Vec<BatchItem> {
    let items = errors.into_iter().map(|(index, error)| BatchItem {
        index,
        pointer: error.pointer,
        detail: error.detail,
    });
    items.collect()
}

impl From<BatchError> for Problem {
    fn from(error: BatchError) -> Self {
        let kind = match &error {
            BatchError::TooMany { .. } => Kind::TooLarge,
            BatchError::Empty
            | BatchError::NotUtf8 { .. }
            | BatchError::Malformed { .. }
            | BatchError::SeveralValues => Kind::MalformedBody,
            _ => Kind::InvalidBatch,
        };
        Self::new(kind, error.to_string())
    }
}
