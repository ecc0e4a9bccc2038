//! From a request to the events in it.
//!
//! - `media`: what the request says its body is
//! - `body`, `decode`: its bytes, decompressed, within limits
//! - [`crate::event`]: the formats
//!
//! Memory for one request, with B for `MAX_BODY_BYTES`: up to 3 B for the body, while the buffer that
//! doubles is moved; up to B for the payloads of its events, and less than 1 KiB for everything else
//! of an event or for what is wrong with it. NDJSON has one line instead of the body. Decompression
//! adds less than 9 MiB. The bodies of all requests together are bounded by `MAX_BYTES_IN_FLIGHT`.

mod body;
mod decode;
mod media;

use actix_web::{HttpRequest, http::header, web::Payload};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{
    IntoParams, IntoResponses, ToSchema,
    openapi::{
        Required,
        path::{Parameter, ParameterBuilder, ParameterIn},
    },
};

use self::{body::Body, media::Format};
use super::{
    openapi::{Answers, CloudEventBatch, EventLines, Events, problems, written},
    parameters::{flag, query},
    problem::{BatchItem, Kind, MAX_REPORTED_ERRORS, Problem},
    routes::Routes,
};
use crate::{
    clock::{Clock, Ids},
    config::LimitArgs,
    event::{
        Event, cloudevents,
        ndjson::Lines,
        parse::{self, BatchError, EventError, EventErrorKind, Parsed, Receipts, Shape},
    },
};

/// What a client sent, each event valid.
#[derive(Debug)]
pub struct Batch {
    /// One event alone, or several.
    pub shape: Shape,
    /// In the client's order.
    pub events: Vec<Event>,
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
        .schema(Some(written(schema)))
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

/// Reads a batch in which every event is valid; with `?partial=true`, in which at least one is.
///
/// The events of NDJSON are accepted at the time when the body begins, others when it has ended.
///
/// # Errors
/// The problem to answer: a parameter, the media type, the size, the body, or every event that is
/// not valid.
pub async fn read(
    request: &HttpRequest,
    payload: Payload,
    limits: &LimitArgs,
    clock: &dyn Clock,
    ids: &Ids,
) -> Result<Batch, Problem> {
    let parameters: Parameters = query(request)?;
    let partial = flag("partial", parameters.partial)?;
    let format = Format::of(request)?;
    let body = Body::of(request, payload, limits.max_body_bytes as usize)?;
    let limits = limits.parser_limits();
    let receipts = || Receipts::new(clock, ids);
    let parsed = match format {
        Format::Json => parse::parse(&body.whole().await?, &limits, &receipts()),
        Format::Ndjson => {
            let receipts = receipts();
            let mut lines = Lines::new(limits, &receipts);
            body.feed(|piece| lines.push(piece)).await?;
            lines.finish()
        }
        Format::CloudEvent => cloudevents::structured(&body.whole().await?, &limits, &receipts()),
        Format::CloudEvents => cloudevents::batch(&body.whole().await?, &limits, &receipts()),
        Format::BinaryCloudEvent => {
            let headers = request.headers().iter();
            let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
            let media_type = media::text(request, &header::CONTENT_TYPE);
            let body = body.whole().await?;
            cloudevents::binary(headers, media_type, &body, &limits, &receipts())
        }
    };
    judge(parsed?, partial)
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
    Body::of(request, payload, limit)?.whole().await
}

/// Accepts all events or, if `partial`, those that are valid.
fn judge(parsed: Parsed, partial: bool) -> Result<Batch, Problem> {
    let mut events = Vec::with_capacity(parsed.events.len());
    let mut errors = Vec::new();
    for (index, result) in parsed.events.into_iter().enumerate() {
        match result {
            Ok(event) => events.push(event),
            Err(error) => errors.push((index, error)),
        }
    }
    if errors.is_empty() || partial && !events.is_empty() {
        Ok(Batch {
            shape: parsed.shape,
            events,
            rejected: Rejected {
                count: errors.len(),
                errors: items(errors),
            },
        })
    } else {
        Err(refuse(errors))
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
    let first = [&*first.pointer, &*first.detail].join(" ");
    let first = first.trim_start();
    let detail = match errors.len() {
        1 => format!("event {index}: {first}"),
        count => format!("{count} events are not valid, first event {index}: {first}"),
    };
    Problem::new(kind, detail).with_errors(items(errors))
}

fn items(errors: Vec<(usize, EventError)>) -> Vec<BatchItem> {
    let items = errors.into_iter().map(|(index, error)| BatchItem {
        index,
        pointer: error.pointer,
        detail: error.detail,
    });
    items.take(MAX_REPORTED_ERRORS).collect()
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
