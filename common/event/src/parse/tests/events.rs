//! Single events.

use serde_json::json;

use super::{EventErrorKind, LIMITS, NOW, events, parsed, refused};
use crate::{Payload, Source, parse::MAX_ECHO_CHARS};

#[test]
fn every_member_is_read() {
    let body = r#" {"payload":{"n": 1.50}, "source":"s\u00e9", "timestamp":"2026-01-31T12:30:00.5+01:00",
        "event_id":"e", "\u0074opic":"logs/apache"} "#;
    let [event] = &events(body)[..] else {
        panic!("one event");
    };
    assert_eq!(event.key(), ("logs/apache", "e"));
    assert_eq!(event.source.as_str(), "sé");
    assert_eq!(event.timestamp.to_string(), "2026-01-31T11:30:00.500Z");
    assert_eq!(event.payload.as_str(), r#"{"n": 1.50}"#);
}

#[test]
fn what_is_left_out_has_a_default() {
    let [event] = &events(r#"{"topic":"t","event_id":"e"}"#)[..] else {
        panic!("one event");
    };
    assert_eq!(event.source, Source::unknown());
    assert_eq!(event.timestamp.to_string(), NOW);
    assert_eq!(
        event.receipt_id.received_at(),
        event.timestamp.as_datetime()
    );
    assert_eq!(event.payload, Payload::empty());
}

#[test]
fn id_stands_for_event_id_and_only_then_the_topic_may_be_left_out() {
    let short = events(r#"{"id":"e","payload":{}}"#);
    assert_eq!(short[0].key(), ("default", "e"));
    let with_topic = events(r#"{"id":"e","topic":"t"}"#);
    assert_eq!(with_topic[0].key(), ("t", "e"));
    assert_eq!(refused(r#"{"event_id":"e"}"#).0, "/topic");
    let (pointer, detail) = refused(r#"{"id":"e","event_id":"e"}"#);
    assert_eq!(pointer, "/id");
    assert!(detail.ends_with("give one of them"), "{detail}");
}

#[test]
fn a_member_that_is_null_counts_as_absent() {
    let [event] = &events(
        r#"{"topic":"t","event_id":"e","id":null,"timestamp":null,"source":null,"payload":null}"#,
    )[..] else {
        panic!("one event");
    };
    assert_eq!(event.key(), ("t", "e"));
    assert_eq!(event.source, Source::unknown());
    assert_eq!(event.timestamp.to_string(), NOW);
    assert_eq!(event.payload, Payload::empty());
    let short = events(r#"{"topic":null,"event_id":null,"id":"e"}"#);
    assert_eq!(short[0].key(), ("default", "e"));
    for (body, pointer) in [
        (r#"{"topic":null,"event_id":"e"}"#, "/topic"),
        (r#"{"topic":"t","event_id":null}"#, "/event_id"),
        (r#"{"topic":"t","id":null}"#, "/event_id"),
        (r#"{"id":"e","colour":null}"#, "/colour"),
        (r#"{"id":"e","source":null,"source":"s"}"#, "/source"),
    ] {
        assert_eq!(refused(body).0, pointer, "{body}");
    }
}

#[test]
fn a_wrong_or_missing_name_is_reported_with_its_member() {
    for (body, member, what) in [
        ("{}", "topic", "is missing; give a string of 1 to 255 bytes"),
        (
            r#"{"topic":"t"}"#,
            "event_id",
            "is missing; give a string of 1 to 255 bytes",
        ),
        (
            r#"{"topic":null,"event_id":"e"}"#,
            "topic",
            "is missing; give a string of 1 to 255 bytes",
        ),
        (
            r#"{"topic":["t"],"event_id":"e"}"#,
            "topic",
            "must be a string, got an array",
        ),
        (
            r#"{"topic":"","event_id":"e"}"#,
            "topic",
            "must not be empty; give 1 to 255 bytes",
        ),
        (
            r#"{"topic":"a\nb","id":"e"}"#,
            "topic",
            "has the control character U+000A; leave it out",
        ),
        (
            r#"{"topic":"t","event_id":123}"#,
            "event_id",
            "must be a string, got a number",
        ),
        (
            r#"{"topic":"t","event_id":""}"#,
            "event_id",
            "must not be empty; give 1 to 255 bytes",
        ),
        (
            r#"{"topic":"t","event_id":"\u0000"}"#,
            "event_id",
            "has the control character U+0000; leave it out",
        ),
        (
            r#"{"topic":"t","event_id":"\ud800"}"#,
            "event_id",
            "has half a surrogate pair; write the character itself",
        ),
        (r#"{"id":false}"#, "id", "must be a string, got a boolean"),
        (
            r#"{"id":"\ude00x"}"#,
            "id",
            "has half a surrogate pair; write the character itself",
        ),
        (
            r#"{"id":"e","source":{}}"#,
            "source",
            "must be a string, got an object",
        ),
        (
            r#"{"id":"e","source":""}"#,
            "source",
            "must not be empty; give 1 to 255 bytes",
        ),
        (
            &format!(r#"{{"id":"{}"}}"#, "é".repeat(128)),
            "id",
            "has 256 bytes; at most 255 are allowed",
        ),
    ] {
        let expected = (format!("/{member}"), format!("{member} {what}"));
        assert_eq!(refused(body), expected, "{body}");
    }
}

#[test]
fn a_wrong_timestamp_or_payload_is_answered_with_what_would_be_right() {
    for (member, value, what) in [
        (
            "timestamp",
            "1769862600123",
            "must be an ISO 8601 date and time, not milliseconds since 1970; send 2026-01-31T12:30:00.123Z",
        ),
        (
            "timestamp",
            r#""1769862600""#,
            "must be an ISO 8601 date and time, not seconds since 1970; send 2026-01-31T12:30:00Z",
        ),
        (
            "timestamp",
            "5",
            "must be an ISO 8601 date and time, such as 2026-01-31T12:30:00Z or 2026-01-31T14:30:00.5+02:00",
        ),
        ("timestamp", "true", "must be a string, got a boolean"),
        (
            "timestamp",
            r#""yesterday""#,
            "must be an ISO 8601 date and time, such as 2026-01-31T12:30:00Z or 2026-01-31T14:30:00.5+02:00",
        ),
        (
            "timestamp",
            r#""9999-12-31T23:59:60Z""#,
            "must be within the years 0001 to 9999 in UTC",
        ),
        ("payload", r#""x""#, "must be a JSON object, got a string"),
        (
            "payload",
            r#"{"a":"\u0000"}"#,
            "has the character U+0000 at byte 6; leave it out",
        ),
        (
            "payload",
            r#"{"a":1,"a":2}"#,
            "has a member at byte 7 whose name its object has already; give each name once",
        ),
    ] {
        let body = format!(r#"{{"id":"e","{member}":{value}}}"#);
        let expected = (format!("/{member}"), format!("{member} {what}"));
        assert_eq!(refused(&body), expected, "{body}");
    }
}

#[test]
fn a_member_that_is_unknown_or_given_twice_is_named() {
    let unknown = |name: &str| {
        format!(
            "unknown member {name}; an event has topic, event_id (or id), timestamp, source and payload"
        )
    };
    for (body, pointer, detail) in [
        (
            r#"{"id":"e","event-id":"e"}"#,
            "/event-id",
            unknown(r#""event-id""#),
        ),
        (r#"{"id":"e","x":1,"y":1,"id":1}"#, "/x", unknown(r#""x""#)),
        (r#"{"id":"e","":1}"#, "/", unknown(r#""""#)),
        (
            r#"{"id":"e","a/b~\"\n":1}"#,
            "/a~1b~0\"\n",
            unknown(r#""a/b~\"\n""#),
        ),
        (
            r#"{"id":"e","\ud800":1}"#,
            r"/\ud800",
            unknown(r#""\\ud800""#),
        ),
        (
            r#"{"id":"e","id":"e"}"#,
            "/id",
            "id is there twice; give it once".to_owned(),
        ),
        (
            r#"{"id":"e","\u0069d":"f"}"#,
            "/id",
            "id is there twice; give it once".to_owned(),
        ),
        (
            "[7]",
            "/0",
            "an event must be a JSON object, got a number".to_owned(),
        ),
    ] {
        assert_eq!(refused(body), (pointer.to_owned(), detail), "{body}");
    }
}

#[test]
fn the_first_wrong_member_of_an_event_is_named() {
    let order = ["topic", "event_id", "timestamp", "source", "payload"];
    for first in 0..order.len() {
        let wrong = order[first..]
            .iter()
            .map(|&name| (name.to_owned(), json!(1)));
        let mut event = json!({"topic": "t", "event_id": "e"});
        event.as_object_mut().unwrap().extend(wrong);
        let (pointer, _) = refused(&event.to_string());
        assert_eq!(pointer, format!("/{}", order[first]));
    }
    let (pointer, _) = refused(r#"{"topic":1,"extra":1}"#);
    assert_eq!(pointer, "/extra");
}

#[test]
fn a_long_unknown_name_is_not_repeated_in_full() {
    let name = "é".repeat(1000);
    let (pointer, detail) = refused(&format!(r#"{{"id":"e","{name}":1}}"#));
    let shown = format!("{}…", "é".repeat(MAX_ECHO_CHARS));
    assert_eq!(pointer, format!("/{shown}"));
    assert!(detail.starts_with(&format!("unknown member \"{shown}\";")));
}

#[test]
fn an_event_over_the_size_limit_is_too_large_and_one_at_it_is_not() {
    let event = |len: usize| {
        let frame = r#"{"id":"e","payload":{"a":""}}"#.len();
        format!(
            r#"{{"id":"e","payload":{{"a":"{}"}}}}"#,
            "x".repeat(len - frame)
        )
    };
    let max = LIMITS.max_event_bytes;
    let body = format!("[{},  {}  ]", event(max), event(max + 1));
    let parsed = parsed(body, &LIMITS).unwrap();
    let [Ok(_), Err(error)] = &parsed.in_order()[..] else {
        panic!("an event and an error");
    };
    let detail = "the event has 4097 bytes; at most 4096 are allowed";
    assert_eq!((&*error.pointer, &*error.detail), ("/1", detail));
    assert_eq!(error.kind, EventErrorKind::TooLarge);
}

#[test]
fn a_number_that_would_grow_in_the_database_counts_at_full_length() {
    let event = |exponent: usize| format!(r#"{{"id":"e","payload":{{"a":1e{exponent}}}}}"#);
    let frame = r#"{"id":"e","payload":{"a":}}"#.len();
    let most = LIMITS.max_event_bytes - frame - 1;
    assert_eq!(events(event(most)).len(), 1);
    let parsed = parsed(event(most + 1), &LIMITS).unwrap();
    let [Err(error)] = &parsed.in_order()[..] else {
        panic!("{most}");
    };
    assert_eq!(error.pointer, "/payload");
    assert_eq!(error.kind, EventErrorKind::TooLarge);
    assert!(error.detail.contains("4097 bytes"), "{}", error.detail);
}
