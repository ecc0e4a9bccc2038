//! What clients send, as JSON Schema: the rules of the parsers in [`crate::event`], as far as they can
//! be said there.

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

use crate::{
    event::{Event, EventId, EventTime, Payload, Source, Topic, name::MAX_NAME_BYTES},
    store::Cursor,
};

/// A schema that is written as JSON has it.
#[must_use]
pub fn written(schema: Value) -> RefOr<Schema> {
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

/// JSON that can be stored.
struct Json;

/// An event in the long form, and in the short one.
struct Full;
struct Short;

macro_rules! schema {
    ($type:ty, $name:literal, [$($refers_to:ty),*], $schema:expr) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                written($schema)
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
    Cursor,
    "Cursor",
    [],
    json!({
        "type": "string",
        "description": "A place in a list: a `next_cursor` as it was answered. Its text may change with any version",
        "pattern": "^01[0-7][0-9a-f]{15}$",
        "examples": ["01000000000000002a"]
    })
);

schema!(
    Json,
    "Json",
    [],
    json!({
        "description": "Any JSON that can be stored: without U+0000, without half a surrogate pair, without a name twice \
            in an object, nested at most 128 deep, numbers of at most 131072 digits before and 16383 after the point",
        "anyOf": [
            {"type": ["null", "boolean", "number"]},
            {"type": "string", "pattern": r"^[^\u0000]*$"},
            {"type": "array", "items": to("Json")},
            to("Payload")
        ]
    })
);

schema!(
    Payload,
    "Payload",
    [Json],
    json!({
        "type": "object",
        "description": "The client's data",
        "propertyNames": {"pattern": r"^[^\u0000]*$"},
        "additionalProperties": to("Json"),
        "examples": [{"total": 10}]
    })
);

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
            "timestamp": to("Time"),
            "source": to("Source"),
            "payload": to("Payload")
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
        "description": "`id` stands for `event_id`",
        "required": ["id"],
        "properties": {
            "id": to("EventId"),
            "topic": {"description": "If absent: `default`", "$ref": "#/components/schemas/Topic"},
            "timestamp": to("Time"),
            "source": to("Source"),
            "payload": to("Payload")
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
            `source` is `unknown`, `payload` is `{}`. MAX_EVENT_BYTES (262144) at most, with its numbers written out",
        "anyOf": [to("FullEvent"), to("ShortEvent")]
    })
);

schema!(
    Events,
    "Events",
    [Event],
    json!({
        "description": "One event, an array of events, or an object with one; MAX_BATCH_EVENTS (10000) at most",
        "anyOf": [
            to("Event"),
            {"type": "array", "items": to("Event"), "minItems": 1},
            {
                "type": "object",
                "required": ["events"],
                "properties": {"events": {"type": "array", "items": to("Event"), "minItems": 1}},
                "additionalProperties": false
            }
        ],
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
    CloudEvent,
    "CloudEvent",
    [Topic, EventId, Source, EventTime, Json, Payload],
    json!({
        "description": "A CloudEvent 1.0 in its JSON format: `type` becomes the topic, `id` the event id, `data` the \
            payload. Optional attributes that are null are absent. Other attributes are kept in `payload.cloudevents`",
        "type": "object",
        "required": ["specversion", "id", "source", "type"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": to("EventId"),
            "source": to("Source"),
            "type": to("Topic"),
            "time": {"anyOf": [to("Time"), {"type": "null"}]},
            "subject": text(),
            "dataschema": text(),
            "datacontenttype": text(),
            "data": to("Json"),
            "data_base64": {
                "type": "string",
                "description": "Instead of `data`: bytes",
                "contentEncoding": "base64",
                "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"
            }
        },
        "not": {"required": ["data", "data_base64"]},
        "propertyNames": {"pattern": "^([a-z0-9]{1,64}|data_base64)$"},
        "additionalProperties": {
            "description": "An extension",
            "anyOf": [
                {"type": ["null", "boolean"]},
                {"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX},
                {"type": "string", "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$"}
            ]
        },
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

/// An attribute that says something if it is there.
fn text() -> Value {
    json!({"type": ["string", "null"], "minLength": 1, "pattern": r"^[^\u0000-\u001f\u007f-\u009f]+$"})
}
