//! Events as a whole, and their data.

use serde_json::{Value, json};

use super::*;

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
fn the_media_type_of_a_body_says_what_its_bytes_are() {
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
fn data_without_a_media_type_is_json_if_it_can_be_read_as_json() {
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
