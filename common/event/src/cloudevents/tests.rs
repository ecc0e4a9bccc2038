//! What the specification says and shows, and what is decided here.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::{
    clock::ManualClock,
    parse::{BatchError, EventErrorKind, Parsed, Shape},
};

const LIMITS: Limits = Limits {
    max_events: 3,
    max_event_bytes: 1024,
};
const NOW: &str = "2026-01-01T00:00:00Z";

fn receipts() -> Receipts {
    let now: EventTime = NOW.parse().unwrap();
    Receipts::new(&ManualClock::new(now.as_datetime()), &Arc::default())
}

fn from_json(body: impl AsRef<[u8]>) -> Result<Event, EventError> {
    let parsed = structured(body.as_ref(), &LIMITS, &receipts()).unwrap();
    assert_eq!(parsed.shape, Shape::One);
    parsed.in_order().remove(0)
}

fn from_batch(body: &str) -> Result<Parsed, BatchError> {
    batch(body.as_bytes(), &LIMITS, &receipts())
}

fn read_http(
    headers: &[(&str, &str)],
    media_type: Option<&str>,
    body: impl AsRef<[u8]>,
) -> Result<Parsed, BatchError> {
    let headers = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()));
    binary(headers, media_type, body.as_ref(), &LIMITS, &receipts())
}

fn from_http(
    headers: &[(&str, &str)],
    media_type: Option<&str>,
    body: impl AsRef<[u8]>,
) -> Result<Event, EventError> {
    let parsed = read_http(headers, media_type, body).unwrap();
    assert_eq!(parsed.shape, Shape::One);
    parsed.in_order().remove(0)
}

fn payload(event: &Event) -> Value {
    serde_json::from_str(event.payload.as_str()).unwrap()
}

/// The members every CloudEvent has, and others.
fn with(others: &Value) -> String {
    let mut event = json!({"specversion": "1.0", "type": "t", "source": "/s", "id": "1"});
    let event_members = event.as_object_mut().unwrap();
    event_members.extend(others.as_object().unwrap().clone());
    event.to_string()
}

const HEADERS: [(&str, &str); 4] = [
    ("ce-specversion", "1.0"),
    ("ce-type", "t"),
    ("ce-source", "/s"),
    ("ce-id", "1"),
];

/// Why the CloudEvent with these members is none: pointer and detail.
fn refused(others: &Value) -> (String, String) {
    let error = from_json(with(others)).expect_err(&others.to_string());
    assert_eq!(error.kind, EventErrorKind::Invalid);
    (error.pointer, error.detail)
}

/// The examples of the JSON format's section 3.2, each also in its binary form: members beside the
/// required ones, media type and body of the binary form, payload.
fn examples() -> Vec<(Value, Option<&'static str>, &'static str, Value)> {
    vec![
        (
            json!({"datacontenttype": "application/vnd.apache.thrift.binary", "data_base64": "AAH/"}),
            Some("application/vnd.apache.thrift.binary"),
            "\0\u{1}",
            json!({"data_base64": "AAH/"}),
        ),
        (
            json!({"unsetextension": null, "datacontenttype": "application/xml", "data": "<much wow=\"xml\"/>"}),
            Some("application/xml"),
            "<much wow=\"xml\"/>",
            json!({"data": "<much wow=\"xml\"/>"}),
        ),
        (
            json!({"subject": null, "datacontenttype": "application/json", "data": {"a": "abc", "b": 123, "c": true}}),
            Some("application/json"),
            "{\n \"a\": \"abc\",\n \"b\": 123, \"c\": true }",
            json!({"a": "abc", "b": 123, "c": true}),
        ),
        (
            json!({"datacontenttype": "application/json", "data": 1.5}),
            Some("application/json"),
            "1.5",
            json!({"data": 1.5}),
        ),
        (
            json!({"data": "I'm just a string"}),
            Some("application/json"),
            "\"I'm just a string\"",
            json!({"data": "I'm just a string"}),
        ),
        (
            json!({"data_base64": "AAH/"}),
            None,
            "\0\u{1}",
            json!({"data_base64": "AAH/"}),
        ),
        (
            json!({"data": {"xyz": 123}}),
            None,
            "{ \"xyz\": 123 }",
            json!({"xyz": 123}),
        ),
    ]
}

#[test]
fn the_examples_of_the_specification_mean_the_same_in_both_modes() {
    for (others, media_type, body, expected) in examples() {
        let mut members = json!({
            "time": "2018-04-05T17:31:00Z",
            "comexampleextension1": "value", "comexampleothervalue": 5,
        });
        members
            .as_object_mut()
            .unwrap()
            .extend(others.as_object().unwrap().clone());
        let mut headers = HEADERS.to_vec();
        headers.extend([
            ("ce-time", "2018-04-05T17:31:00Z"),
            ("ce-comexampleextension1", "value"),
            ("ce-comexampleothervalue", "5"),
        ]);
        let thrift = body.starts_with('\0');
        let body: &[u8] = if thrift {
            b"\0\x01\xff"
        } else {
            body.as_bytes()
        };
        for (event, number) in [
            (from_json(with(&members)).unwrap(), json!(5)),
            (from_http(&headers, media_type, body).unwrap(), json!("5")),
        ] {
            assert_eq!(event.key(), ("t", "1"));
            assert_eq!(event.source.as_str(), "/s");
            assert_eq!(event.timestamp.to_string(), "2018-04-05T17:31:00Z");
            let mut attributes =
                json!({"comexampleextension1": "value", "comexampleothervalue": number});
            if let Some(media_type) = media_type.filter(|name| *name != "application/json") {
                attributes["datacontenttype"] = media_type.into();
            }
            let mut expected = expected.clone();
            expected["cloudevents"] = attributes;
            assert_eq!(payload(&event), expected, "{media_type:?}");
        }
    }
}

#[test]
fn an_array_is_a_batch_and_may_be_empty() {
    let thrift = with(&json!({"datacontenttype": "x/y", "data_base64": "AA=="}));
    let object = with(&json!({"id": "2", "data": {"a": 1}}));
    let parsed = from_batch(&format!("\u{feff} [{thrift}, {object}, 3]")).unwrap();
    assert_eq!(parsed.shape, Shape::Many);
    let [Ok(first), Ok(second), Err(third)] = &parsed.in_order()[..] else {
        panic!("two events and an error");
    };
    assert_eq!(
        payload(first),
        json!({"data_base64": "AA==", "cloudevents": {"datacontenttype": "x/y"}})
    );
    assert_eq!(payload(second), json!({"a": 1}));
    assert_eq!(third.pointer, "/2");
    assert_eq!(from_batch("[]").unwrap().count(), 0);
    assert_eq!(
        from_batch("{}"),
        Err(BatchError::NotAnArray(crate::json::JsonType::Object))
    );
    assert_eq!(
        from_batch("[1,2,3,4]"),
        Err(BatchError::TooMany { count: 4, max: 3 })
    );
    assert!(matches!(from_batch(""), Err(BatchError::Malformed { .. })));
}

#[test]
fn data_that_is_an_object_is_the_payload_byte_for_byte() {
    let text = r#"{ "b" : 1.50, "a":"\u00e9" }"#;
    let event =
        format!(r#"{{"specversion":"1.0","type":"t","source":"/s","id":"1","data": {text} }}"#);
    assert_eq!(from_json(event).unwrap().payload.as_str(), text);
    let event = from_http(&HEADERS, Some("application/json; charset=utf-8"), text).unwrap();
    assert_eq!(event.payload.as_str(), text);
}

#[test]
fn what_data_and_attributes_become() {
    for (others, expected) in [
        (json!({}), json!({})),
        (json!({"data": {}}), json!({})),
        (json!({"data": null}), json!({"data": null})),
        (
            json!({"data": null, "data_base64": null}),
            json!({"data": null}),
        ),
        (json!({"data_base64": null}), json!({})),
        (
            json!({"data": {"a": 1}, "data_base64": null}),
            json!({"a": 1}),
        ),
        (
            json!({"data": null, "data_base64": "AA=="}),
            json!({"data_base64": "AA=="}),
        ),
        (json!({"data": [1]}), json!({"data": [1]})),
        (
            json!({"data": {}, "subject": "x"}),
            json!({"cloudevents": {"subject": "x"}}),
        ),
        (
            json!({"subject": "x", "dataschema": "/y", "flag": true, "n": -1}),
            json!({"cloudevents": {"subject": "x", "dataschema": "/y", "flag": true, "n": -1}}),
        ),
        (
            json!({"data": {"a": 1}, "datacontenttype": "Application/JSON; charset=utf-8"}),
            json!({"a": 1}),
        ),
        (
            json!({"data": {"a": 1}, "datacontenttype": "text/json"}),
            json!({"a": 1, "cloudevents": {"datacontenttype": "text/json"}}),
        ),
        (
            json!({"data": {"cloudevents": 1}}),
            json!({"data": {"cloudevents": 1}}),
        ),
        (
            json!({"data": {"cloudevents": 1}, "subject": "x"}),
            json!({"data": {"cloudevents": 1}, "cloudevents": {"subject": "x"}}),
        ),
        (
            json!({"data": "\"\u{1}\\", "ext": "\"\\"}),
            json!({"data": "\"\u{1}\\", "cloudevents": {"ext": "\"\\"}}),
        ),
    ] {
        let event = from_json(with(&others)).unwrap();
        assert_eq!(payload(&event), expected, "{others}");
        assert_eq!(event.timestamp.to_string(), NOW);
    }
}

#[test]
fn the_type_of_a_body_tells_what_its_bytes_are() {
    for (media_type, body, expected) in [
        (
            "text/plain",
            &b"plain \"text\""[..],
            json!({"data": "plain \"text\""}),
        ),
        (
            "text/plain",
            b"latin \xe9",
            json!({"data_base64": "bGF0aW4g6Q=="}),
        ),
        ("text/plain", b"nul \0", json!({"data_base64": "bnVsIAA="})),
        ("image/svg+xml", b"<svg/>", json!({"data": "<svg/>"})),
        (
            "application/octet-stream",
            b"plain",
            json!({"data_base64": "cGxhaW4="}),
        ),
        ("application/notjson", b"{}", json!({"data_base64": "e30="})),
        ("nonsense", b"{}", json!({"data_base64": "e30="})),
        ("application/vnd.x+json", b"[1]", json!({"data": [1]})),
        ("text/json", b"\xef\xbb\xbf{\"a\":1}", json!({"a": 1})),
        ("text/plain", b"", json!({})),
    ] {
        let event = from_http(&HEADERS, Some(media_type), body).unwrap();
        let mut found = payload(&event);
        let attributes = found.as_object_mut().unwrap().remove("cloudevents");
        assert_eq!(attributes, Some(json!({"datacontenttype": media_type})));
        assert_eq!(found, expected, "{media_type}");
    }
    for body in ["{", "", "{} {}"] {
        let malformed = read_http(&HEADERS, Some("application/json"), body);
        assert_eq!(
            matches!(malformed, Err(BatchError::Malformed { .. })),
            !body.is_empty()
        );
    }
}

#[test]
fn a_header_is_unquoted_and_percent_decoded_once() {
    for (header, text) in [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("Euro%20%e2%82%ac", "Euro €"),
        ("%41%2D", "A-"),
        ("%2541", "%41"),
        ("100%", "100%"),
        ("%zz", "%zz"),
        ("raw é", "raw é"),
        (r#""quoted \"text\" \\ %41""#, r#"quoted "text" \ A"#),
        (r#"half "quoted""#, r#"half "quoted""#),
        ("\"", "\""),
    ] {
        let mut headers = HEADERS.to_vec();
        headers.push(("ce-subject", header));
        let event = from_http(&headers, None, "").unwrap();
        assert_eq!(payload(&event), json!({"cloudevents": {"subject": text}}));
    }
}

#[test]
fn each_required_attribute_is_missed_by_name() {
    for (at, (header, _)) in HEADERS.iter().enumerate() {
        let name = &header[PREFIX_LEN..];
        let what = "is missing; a CloudEvent has specversion, id, source and type";
        for without in [json!({ name: null }), json!({})] {
            let mut event: Value = serde_json::from_str(&with(&without)).unwrap();
            if without == json!({}) {
                event.as_object_mut().unwrap().remove(name);
            }
            let error = from_json(event.to_string()).unwrap_err();
            assert_eq!(error.pointer, format!("/{name}"));
            assert_eq!(error.detail, format!("{name} {what}"));
        }
        let mut headers = HEADERS.to_vec();
        headers.remove(at);
        let error = from_http(&headers, None, "").unwrap_err();
        assert_eq!(
            (&*error.pointer, error.detail),
            ("", format!("ce-{name} {what}"))
        );
    }
}

const PREFIX_LEN: usize = "ce-".len();

#[test]
fn what_is_no_attribute_or_no_data_is_told_by_its_member() {
    let long = "x".repeat(256);
    for (others, pointer, detail) in [
        (
            json!({"specversion": "0.3"}),
            "/specversion",
            r#"specversion must be 1.0, got "0.3""#,
        ),
        (
            json!({"specversion": 1}),
            "/specversion",
            "specversion must be a string, got a number",
        ),
        (
            json!({"id": ""}),
            "/id",
            "id must not be empty; give 1 to 255 bytes",
        ),
        (json!({"id": 7}), "/id", "id must be a string, got a number"),
        (
            json!({"type": long}),
            "/type",
            "type has 256 bytes; at most 255 are allowed",
        ),
        (
            json!({"source": "a\nb"}),
            "/source",
            "source has the control character U+000A; leave it out",
        ),
        (
            json!({"time": "yesterday"}),
            "/time",
            "time must be an ISO 8601 date and time, such as 2026-01-31T12:30:00Z or 2026-01-31T14:30:00.5+02:00",
        ),
        (
            json!({"time": 1_769_862_600_123_i64}),
            "/time",
            "time must be an ISO 8601 date and time, not milliseconds since 1970; send 2026-01-31T12:30:00.123Z",
        ),
        (
            json!({"subject": ""}),
            "/subject",
            "subject must not be empty; leave it out",
        ),
        (
            json!({"subject": 1}),
            "/subject",
            "subject must be a string, got a number",
        ),
        (
            json!({"ext": "\u{0}"}),
            "/ext",
            "ext has the control character U+0000; leave it out",
        ),
        (
            json!({"ext": {"a": 1}}),
            "/ext",
            "ext must be a string, a boolean or a whole number, got an object",
        ),
        (
            json!({"ext": 1.5}),
            "/ext",
            "ext must be a whole number from -2147483648 to 2147483647, or a string",
        ),
        (
            json!({"ext": 2_147_483_648_i64}),
            "/ext",
            "ext must be a whole number from -2147483648 to 2147483647, or a string",
        ),
        (
            json!({"Event_Type/": 1}),
            "/Event_Type~1",
            r#"unknown member "Event_Type/"; an attribute is named with up to 64 lower-case letters and digits"#,
        ),
        (
            json!({"data": 1, "data_base64": ""}),
            "/data_base64",
            "data_base64 is there beside data; give one of them",
        ),
        (
            json!({"data": {"cloudevents": "\u{0}"}}),
            "/data",
            "data becomes a payload that has the character U+0000 at byte 24; leave it out",
        ),
    ] {
        let expected = (pointer.to_owned(), detail.to_owned());
        assert_eq!(refused(&others), expected, "{others}");
    }
}

#[test]
fn bad_base64_and_names_that_are_none_or_there_twice_are_refused() {
    for base64 in [json!("%"), json!("AA"), json!(1)] {
        assert_eq!(refused(&json!({ "data_base64": base64 })).0, "/data_base64");
    }
    for long in ["x".repeat(65), "X".repeat(500)] {
        let (pointer, detail) = refused(&json!({ &*long: [] }));
        assert!(
            pointer.len() < 70 && detail.len() < 170,
            "{pointer}: {detail}"
        );
    }
    let twice = r#"{"specversion":"1.0","type":"t","source":"/s","id":"1","x":null,"x":"y"}"#;
    assert_eq!(
        from_json(twice).unwrap_err().detail,
        "x is there twice; give it once"
    );
    let twice = r#"{"specversion":"1.0","type":"t","source":"/s","id":"1","data":{"a":1,"a":1}}"#;
    assert_eq!(from_json(twice).unwrap_err().pointer, "/data");
    let number = from_json("7").unwrap_err().detail;
    assert_eq!(number, "an event must be a JSON object, got a number");
}

#[test]
fn what_is_no_attribute_is_told_by_its_header() {
    for (header, value, detail) in [
        ("ce-id", "2", "ce-id is there twice; give it once"),
        (
            "ce-datacontenttype",
            "text/plain",
            "ce-datacontenttype must not be there; say it as Content-Type",
        ),
        (
            "ce-data",
            "x",
            "ce-data is unknown; an attribute is named with up to 64 lower-case letters and digits",
        ),
        (
            "ce-my_ext",
            "x",
            "ce-my_ext is unknown; an attribute is named with up to 64 lower-case letters and digits",
        ),
        (
            "ce-ext",
            "%C0%A0",
            "ce-ext is not UTF-8; percent-encode the bytes of its UTF-8",
        ),
        (
            "ce-ext",
            "%0A",
            "ce-ext has the control character U+000A; leave it out",
        ),
        (
            "ce-subject",
            "",
            "ce-subject must not be empty; leave it out",
        ),
        (
            "ce-time",
            "now",
            "ce-time must be an ISO 8601 date and time, such as 2026-01-31T12:30:00Z or 2026-01-31T14:30:00.5+02:00",
        ),
    ] {
        let mut headers = HEADERS.to_vec();
        headers.push((header, value));
        let error = from_http(&headers, None, "").expect_err(header);
        assert_eq!((&*error.pointer, &*error.detail), ("", detail));
    }
}

#[test]
fn size_counts_what_is_sent_and_what_it_becomes() {
    let max = LIMITS.max_event_bytes;
    let too_large = |event: Result<Event, EventError>| {
        assert_eq!(event.unwrap_err().kind, EventErrorKind::TooLarge);
    };
    too_large(from_json(with(&json!({"data": "x".repeat(max)}))));
    too_large(from_http(&HEADERS, Some("text/plain"), "x".repeat(max + 1)));
    // Within the limit as sent, over it as Base64, and with numbers written out.
    too_large(from_http(&HEADERS, None, "x".repeat(max - 1)));
    too_large(from_http(
        &HEADERS,
        Some("application/json"),
        "{\"a\":1e1024}",
    ));
    assert!(from_http(&HEADERS, None, "x".repeat(max / 4 * 3 - 50)).is_ok());
}

#[test]
fn nesting_costs_no_stack() {
    let limits = Limits {
        max_event_bytes: usize::MAX,
        ..LIMITS
    };
    let deep = "[".repeat(1 << 20) + &"]".repeat(1 << 20);
    let event =
        format!(r#"{{"specversion":"1.0","type":"t","source":"/s","id":"1","data":{deep}}}"#);
    let parsed = structured(event.as_bytes(), &limits, &receipts()).unwrap();
    let detail = parsed.in_order().remove(0).unwrap_err().detail;
    assert!(detail.contains("nested too deep"), "{detail}");
}

#[test]
fn an_attribute_too_many_is_refused_by_its_name() {
    let limits = Limits {
        max_event_bytes: 1 << 16,
        ..LIMITS
    };
    let of_attributes = |count: usize| {
        // Four are there already.
        let others = (4..count).map(|n| (format!("a{n}"), json!("x")));
        let event = with(&Value::Object(others.collect()));
        let parsed = structured(event.as_bytes(), &limits, &receipts()).unwrap();
        parsed.in_order().remove(0)
    };
    assert!(of_attributes(256).is_ok());
    let detail = of_attributes(257).unwrap_err().detail;
    assert!(detail.ends_with("is one attribute too many; at most 256 are allowed"));
}

#[test]
fn data_whose_type_is_not_told_is_json_if_it_can_be_read_as_that() {
    for (body, expected) in [
        ("{\"total\":10}", json!({"total": 10})),
        ("[1]", json!({"data": [1]})),
        ("\"text\"", json!({"data": "text"})),
        ("text", json!({"data_base64": "dGV4dA=="})),
        ("{\"total\":10", json!({"data_base64": "eyJ0b3RhbCI6MTA="})),
    ] {
        let event = from_http(&HEADERS, None, body).unwrap();
        assert_eq!(payload(&event), expected, "{body}");
    }
}
