//! What clients send, as JSON Schema: the rules of the parsers, as far as JSON Schema can say them.

use std::borrow::Cow;

use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        extensions::Extensions,
        schema::{Object, SchemaType},
    },
};

use crate::{Event, EventId, EventTime, Payload, Source, Topic, name::MAX_NAME_BYTES};

/// A schema that is written as JSON has it.
#[must_use]
pub fn from_json(schema: Value) -> RefOr<Schema> {
    let Value::Object(members) = schema else {
        unreachable!("a schema is an object");
    };
    let mut object = Object::new();
    object.schema_type = SchemaType::AnyValue;
    // What no type of the library has would be lost in any of them.
    object.extensions = Some(members.into_iter().collect::<Extensions>());
    object.into()
}

/// A body of events as JSON.
pub struct Events;

/// A body of events as lines of JSON.
pub struct EventLines;

/// A CloudEvent as JSON.
pub struct CloudEvent;

/// Several of them.
pub struct CloudEventBatch;

/// The members of a CloudEvent.
struct CloudEventMembers;

/// An array of events, and an object with events.
struct EventList;
struct EventBatch;

/// An event in the long form, and in the short one.
struct Full;
struct Short;

macro_rules! schema {
    ($type:ty, $name:literal, [$($refers_to:ty),*], $schema:expr) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                from_json($schema)
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                $name.into()
            }

            fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                $(
                    schemas.push((<$refers_to>::name().into_owned(), <$refers_to>::schema()));
                    <$refers_to>::schemas(schemas);
                )*
                let _ = schemas;
            }
        }
    };
}

fn to(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// What a client may also send as null. A list of types with null in it stops many generators of clients.
#[must_use]
pub fn or_null(schema: &Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

fn name(about: &str, example: &str) -> Value {
    json!({
        "type": "string",
        "description": format!(
            "{about}. 1 to {MAX_NAME_BYTES} bytes of UTF-8 without control characters (Unicode category Cc)"
        ),
        "minLength": 1,
        "maxLength": MAX_NAME_BYTES,
        "pattern": r"^[^\u0000-\u001f\u007f-\u009f]+$",
        "examples": [example]
    })
}

schema!(
    Topic,
    "Topic",
    [],
    name("The stream an event belongs to", "orders")
);
schema!(
    EventId,
    "EventId",
    [],
    name("A client's id of an event, unique within its topic", "o-1")
);
schema!(Source, "Source", [], name("Who sent an event", "shop"));

schema!(
    EventTime,
    "Time",
    [],
    json!({
        "type": "string",
        "format": "date-time",
        "description": "A point in time in the years 0001 to 9999 UTC, kept to the microsecond. Answers have it in RFC \
            3339, in UTC, with `Z`. Also read: other forms of ISO 8601 date and time, such as `2026-01-31 12:30` \
            (without an offset it is UTC)",
        "examples": ["2026-01-01T12:00:00Z"]
    })
);

schema!(
    Payload,
    "Payload",
    [],
    json!({
        "type": "object",
        "description": format!(
            "The client's data: any JSON object. {STORABLE}, is refused with what is wrong"
        ),
        "additionalProperties": true,
        "examples": [{"total": 10}]
    })
);

/// What generators of clients could not express, so that the schema of free-form JSON says it in words.
const STORABLE: &str = "What cannot be stored, U+0000, half a surrogate pair, a name twice in one object, more than 128 \
    levels, a number of more than 131072 digits before or 16383 after the point";

schema!(
    Full,
    "FullEvent",
    [Topic, EventId, Source, EventTime, Payload],
    json!({
        "type": "object",
        "required": ["topic", "event_id"],
        "properties": {
            "topic": to("Topic"),
            "event_id": to("EventId"),
            "timestamp": or_null(&to("Time")),
            "source": or_null(&to("Source")),
            "payload": or_null(&to("Payload"))
        },
        "additionalProperties": false,
        "examples": [{
            "topic": "orders",
            "event_id": "o-1",
            "timestamp": "2026-01-01T12:00:00Z",
            "source": "shop",
            "payload": {"total": 10}
        }]
    })
);

schema!(
    Short,
    "ShortEvent",
    [],
    json!({
        "type": "object",
        "description": "`id` stands for `event_id`; without a `topic` it is `default`",
        "required": ["id"],
        "properties": {
            "id": to("EventId"),
            "topic": or_null(&to("Topic")),
            "timestamp": or_null(&to("Time")),
            "source": or_null(&to("Source")),
            "payload": or_null(&to("Payload"))
        },
        "additionalProperties": false,
        "examples": [{"id": "o-1", "payload": {"total": 10}}]
    })
);

schema!(
    Event,
    "Event",
    [Full, Short],
    json!({
        "description": "An event; its identity is (topic, event_id). If absent, `timestamp` is the time of acceptance, \
            `source` is `unknown`, `payload` is `{}`; an optional member that is null is absent. \
            MAX_EVENT_BYTES (262144) at most, with its numbers written out",
        "anyOf": [to("FullEvent"), to("ShortEvent")]
    })
);

schema!(
    EventList,
    "EventList",
    [Event],
    json!({"type": "array", "items": to("Event"), "minItems": 1})
);

schema!(
    EventBatch,
    "EventBatch",
    [],
    json!({
        "type": "object",
        "description": "A batch as an object. `events` may also be one event instead of an array; generators of clients \
            know no such choice",
        "required": ["events"],
        "properties": {"events": to("EventList")},
        "additionalProperties": false
    })
);

schema!(
    Events,
    "Events",
    [EventList, EventBatch],
    json!({
        "description": "One event, an array of events, or an object with them; MAX_BATCH_EVENTS (10000) at most",
        "anyOf": [to("Event"), to("EventList"), to("EventBatch")],
        "examples": [
            {"topic": "orders", "event_id": "o-1", "payload": {"total": 10}},
            [{"topic": "orders", "event_id": "o-1"}, {"id": "a"}],
            {"events": [{"topic": "orders", "event_id": "o-1"}]}
        ]
    })
);

schema!(
    EventLines,
    "EventLines",
    [Event],
    json!({
        "description": "An event a line",
        "type": "array",
        "items": to("Event"),
        "minItems": 1
    })
);

schema!(
    CloudEventMembers,
    "CloudEventMembers",
    [Topic, EventId, Source, EventTime],
    json!({
        "description": "A CloudEvent 1.0 in its JSON format: `type` becomes the topic, `id` the event id, `data` the \
            payload. Optional attributes that are null are absent. Other members are extensions, which are kept in \
            `payload.cloudevents`: their names have up to 64 lower-case letters and digits, their values are strings \
            without control characters, booleans, whole numbers of 32 bits, or null",
        "type": "object",
        "required": ["specversion", "id", "source", "type"],
        "properties": {
            "specversion": {"type": "string"},
            "id": to("EventId"),
            "source": to("Source"),
            "type": to("Topic"),
            "time": or_null(&to("Time")),
            "subject": or_null(&attribute()),
            "dataschema": or_null(&attribute()),
            "datacontenttype": or_null(&attribute()),
            "data": {"description": format!("Any JSON. {STORABLE}, is refused with what is wrong")},
            "data_base64": or_null(&json!({
                "type": "string",
                "description": "Instead of `data`: bytes",
                "contentEncoding": "base64",
                "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"
            }))
        },
        "not": {"required": ["data", "data_base64"]},
        "propertyNames": {"pattern": "^([a-z0-9]{1,64}|data_base64)$"},
        "additionalProperties": true,
        "examples": [{
            "specversion": "1.0",
            "type": "order.placed",
            "source": "/shop",
            "id": "1",
            "subject": "o-1",
            "data": {"total": 10}
        }]
    })
);

// In two parts, of which openapi-python-client (0.29) cannot make one class: it then leaves CloudEvents out, with a warning.
// A method of its clients that took lists of two media types would fail at each call.
schema!(
    CloudEvent,
    "CloudEvent",
    [CloudEventMembers],
    json!({
        "description": "A CloudEvent of the one version that there is",
        "allOf": [
            to("CloudEventMembers"),
            {"type": "object", "properties": {"specversion": {"type": "string", "const": "1.0"}}}
        ]
    })
);

schema!(
    CloudEventBatch,
    "CloudEventBatch",
    [CloudEvent],
    json!({"description": "An array of CloudEvents; it may be empty", "type": "array", "items": to("CloudEvent")})
);

/// An attribute that says something if it is there.
fn attribute() -> Value {
    json!({"type": "string", "minLength": 1, "pattern": r"^[^\u0000-\u001f\u007f-\u009f]+$"})
}
