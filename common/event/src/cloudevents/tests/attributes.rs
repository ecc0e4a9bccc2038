//! Attributes, in members and in headers.

use serde_json::json;

use super::*;

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
fn a_missing_required_attribute_is_named() {
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
fn a_wrong_attribute_or_wrong_data_is_named_by_its_member() {
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
fn bad_base64_and_names_that_are_not_valid_or_given_twice_are_refused() {
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
fn a_wrong_attribute_is_named_by_its_header() {
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
