//! Problems and headers, as answers of an operation.

use std::{borrow::Cow, collections::BTreeMap};

use event::schema::from_json;
use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ContentBuilder, Header, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Responses,
        Schema, Type,
    },
};

use crate::problem::{Kind, MAX_REPORTED_ERRORS, Problem};

/// Answers by status.
pub type Answers = BTreeMap<String, RefOr<Response>>;

/// The answers that say one of these problems.
#[must_use]
pub fn problems(kinds: &[Kind]) -> Answers {
    let mut by_status: BTreeMap<u16, Vec<Kind>> = BTreeMap::new();
    for &kind in kinds {
        let (_, _, status) = kind.facts();
        by_status.entry(status.as_u16()).or_default().push(kind);
    }
    by_status
        .into_iter()
        .map(|(status, kinds)| (status.to_string(), problem(status, &kinds).into()))
        .collect()
}

/// Every problem has the same schema, so that generated clients have one type for it.
fn problem(status: u16, kinds: &[Kind]) -> Response {
    let kinds: Vec<_> = kinds.iter().map(|kind| kind.facts()).collect();
    let named: Vec<_> = kinds
        .iter()
        .map(|(name, title, _)| format!("{title} (`{name}`)"))
        .collect();
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Problem::name())))
        .build();
    let response = ResponseBuilder::new()
        .description(named.join(", or "))
        .content("application/problem+json", content);
    let response = headers(status)
        .into_iter()
        .fold(response, |response, (name, of, about)| {
            response.header(name, header(of, about))
        });
    response.build()
}

/// What a problem of this status says in headers.
fn headers(status: u16) -> Vec<(&'static str, Type, &'static str)> {
    let retry_after = (
        "Retry-After",
        Type::Integer,
        "Try again, with the same ids, after so many seconds",
    );
    match status {
        401 => vec![("WWW-Authenticate", Type::String, "`Bearer`")],
        415 => vec![
            (
                "Accept",
                Type::String,
                "The media types that are read, if it was that",
            ),
            (
                "Accept-Encoding",
                Type::String,
                "The encodings that are read, if it was that",
            ),
        ],
        429 | 503 => vec![retry_after],
        _ => Vec::new(),
    }
}

fn header(of: Type, about: &str) -> Header {
    let mut header = Header::new(ObjectBuilder::new().schema_type(of));
    header.description = Some(about.to_owned());
    header
}

/// Every answer has an id.
pub(super) fn add_request_id(responses: &mut Responses) {
    add(responses, "X-Request-Id", "The request's id, or a new one");
}

/// Every answer to a key that has a rate tells what is left of it.
pub(super) fn add_rate(responses: &mut Responses) {
    add(
        responses,
        "RateLimit",
        "What the key may still send, if it has a rate",
    );
    add(
        responses,
        "RateLimit-Policy",
        "The rate of the key, if it has one",
    );
}

fn add(responses: &mut Responses, name: &str, about: &str) {
    for response in responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            let header = header(Type::String, about);
            response.headers.insert(name.to_owned(), header.into());
        }
    }
}

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        from_json(json!({
            "type": "object",
            "description": "An error ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)). `type` never changes.",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": {
                    "type": "string",
                    "format": "uri",
                    "description": "`urn:event-aggregator:problem:` and the name that the answer's description has"
                },
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string", "description": "What is wrong, and what would be right"},
                "errors": {
                    "type": "array",
                    "description": "What is wrong with single events of a batch",
                    "items": {"$ref": "#/components/schemas/BatchItem"},
                    "minItems": 1,
                    "maxItems": MAX_REPORTED_ERRORS
                }
            },
            "examples": [{
                "type": Kind::InvalidEvent.type_uri(),
                "title": "Invalid event",
                "status": 400,
                "detail": "event 1: /1/event_id event_id must be a string, got a number",
                "errors": [{
                    "index": 1,
                    "pointer": "/1/event_id",
                    "detail": "event_id must be a string, got a number"
                }]
            }]
        }))
    }
}

impl ToSchema for Problem {
    fn name() -> Cow<'static, str> {
        "Problem".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        use crate::problem::BatchItem;
        schemas.push((BatchItem::name().into_owned(), BatchItem::schema()));
    }
}
