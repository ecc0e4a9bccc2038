//! Bodies as a whole.

use super::{BatchError, LIMITS, Limits, events, parsed, refused};
use crate::parse::{MAX_REPORTED_ERRORS, Shape};

#[test]
fn a_body_is_one_event_or_several_in_either_shape() {
    let one = r#"{"topic":"t","event_id":"e"}"#;
    for (body, shape, count) in [
        (one.to_owned(), Shape::One, 1),
        (format!("\r\n\t {one} "), Shape::One, 1),
        (format!("\u{feff}{one}"), Shape::One, 1),
        (format!("[{one}]"), Shape::Many, 1),
        (format!(" [{one} ,\n{one}]"), Shape::Many, 2),
        (
            format!(r#"{{"events":[{one},{one},{one}]}}"#),
            Shape::Many,
            3,
        ),
        (format!(r#"{{ "\u0065vents" : [{one}] }}"#), Shape::Many, 1),
        (format!(r#"{{"events": {one} }}"#), Shape::Many, 1),
    ] {
        let parsed = parsed(&body, &LIMITS).unwrap();
        assert_eq!(parsed.shape, shape, "{body}");
        assert_eq!(parsed.events.len(), count, "{body}");
        assert_eq!(parsed.invalid.count, 0, "{body}");
    }
}

#[test]
fn receipts_are_of_one_time_and_in_order() {
    let events = events(r#"[{"id":"a"},{"id":"b"},{"id":"a"}]"#);
    let receipts: Vec<_> = events.iter().map(|event| event.receipt_id).collect();
    assert!(receipts.is_sorted_by(|a, b| a < b));
    assert!(
        receipts
            .iter()
            .all(|id| id.received_at() == receipts[0].received_at())
    );
}

#[test]
fn a_body_that_is_not_a_batch_is_answered_with_what_it_should_be() {
    for (body, message) in [
        (
            "",
            "the body is empty; send an event, an array of events, or {\"events\": […]}",
        ),
        (
            " \r\n\t",
            "the body is empty; send an event, an array of events, or {\"events\": […]}",
        ),
        (
            "\u{feff}",
            "the body is empty; send an event, an array of events, or {\"events\": […]}",
        ),
        ("[]", "the batch has no events; send at least one"),
        (
            r#"{"events":[]}"#,
            "the batch has no events; send at least one",
        ),
        (
            "null",
            "the body must be an event, an array of events, or {\"events\": […]}, got null",
        ),
        (
            " \"x\" ",
            "the body must be an event, an array of events, or {\"events\": […]}, got a string",
        ),
        (
            "42",
            "the body must be an event, an array of events, or {\"events\": […]}, got a number",
        ),
        (
            "true",
            "the body must be an event, an array of events, or {\"events\": […]}, got a boolean",
        ),
        (
            r#"{"events":"x"}"#,
            "events must be an array of events, or one event, got a string",
        ),
        (
            r#"{"events":null}"#,
            "events must be an array of events, or one event, got null",
        ),
        (
            r#"{"events":[],"to\npic":1}"#,
            r#"unknown member "to\npic" beside events; leave it out"#,
        ),
        (
            r#"{"events":[],"events":[]}"#,
            "events is there twice; put all events into one array",
        ),
        (
            "[1,2,3,4]",
            "the batch has 4 events; at most 3 are allowed, send smaller batches",
        ),
    ] {
        let error = parsed(body, &LIMITS).expect_err(body);
        assert_eq!(error.to_string(), message, "{body}");
    }
    assert_eq!(
        parsed(b"{\"id\":\"\xff\"}", &LIMITS),
        Err(BatchError::NotUtf8 { at: 7 })
    );
}

#[test]
fn malformed_json_is_refused_with_its_place() {
    for (body, place) in [
        ("nonsense", (1, 2)),
        ("{", (1, 1)),
        ("[{\"id\":\"a\"},\n {\"id\":\"b\"]", (2, 11)),
        ("{\"id\":\"a\"", (1, 9)),
        ("{\"id\":\"a\"} x", (1, 12)),
        ("[{\"id\":\"a\"},]", (1, 13)),
        ("{\"id\":\"a\tb\"}", (1, 8)),
        ("{'id':\"a\"}", (1, 2)),
        ("{\"id\":NaN}", (1, 7)),
        ("{\"payload\":{\"a\":01}}", (1, 18)),
        ("[1,2,3,4,x]", (1, 10)),
        ("\"", (1, 1)),
    ] {
        match parsed(body, &LIMITS) {
            Err(BatchError::Malformed {
                line,
                column,
                detail,
            }) => {
                assert_eq!((line, column), place, "{body}: {detail}");
                assert!(!detail.contains(" at line "), "{body}: {detail}");
            }
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn lines_that_say_they_are_json_are_told_which_media_type_they_are() {
    for body in [
        "{\"id\":\"a\"}\n{\"id\":\"b\"}\n",
        "{\"id\":\"a\"}{\"id\":\"b\"}",
        "\u{feff}{\"id\":\"a\"}\r\n\r\n{\"id\":",
    ] {
        let error = parsed(body, &LIMITS).expect_err(body);
        assert_eq!(error, BatchError::SeveralValues, "{body}");
        assert!(error.to_string().contains("application/x-ndjson"));
    }
    for body in [
        "{\"id\":\"a\"}\n]",
        "{\"id\":\n{\"id\"",
        "{\"id\":\"a\"},{}",
    ] {
        let error = parsed(body, &LIMITS).expect_err(body);
        assert!(matches!(error, BatchError::Malformed { .. }), "{body}");
    }
}

#[test]
fn of_many_wrong_events_all_are_counted_and_the_first_are_told() {
    let limits = Limits {
        max_events: 1000,
        ..LIMITS
    };
    let body = format!("[{}{{\"id\":\"good\"}}]", "1,".repeat(999));
    let parsed = parsed(body, &limits).unwrap();
    assert_eq!((parsed.events.len(), parsed.count()), (1, 1000));
    assert_eq!(parsed.invalid.count, 999);
    let told = parsed.invalid.first.iter().map(|(index, _)| *index);
    assert!(told.eq(0..MAX_REPORTED_ERRORS));
}

#[test]
fn a_wrong_event_does_not_hide_the_others_and_is_told_by_its_place() {
    for (body, pointers) in [
        (r#"[{"id":"a"},{"id":1},3]"#, ["", "/1/id", "/2"]),
        (
            r#"{"events":[{"id":"a","payload":[]},{"id":"b"},{"events":[]}]}"#,
            ["/events/0/payload", "", "/events/2/events"],
        ),
    ] {
        let parsed = parsed(body, &LIMITS).unwrap();
        let found: Vec<_> = parsed
            .in_order()
            .into_iter()
            .map(|event| event.map_or_else(|error| error.pointer, |_| String::new()))
            .collect();
        assert_eq!(found, pointers, "{body}");
    }
    assert_eq!(refused(r#"{"events":{"id":1}}"#).0, "/events/id");
}

#[test]
fn a_megabyte_of_brackets_is_refused_without_overflowing_the_stack() {
    let limits = Limits {
        max_event_bytes: usize::MAX,
        ..LIMITS
    };
    let (open, close) = ("[".repeat(1 << 20), "]".repeat(1 << 20));
    let objects = r#"{"a":"#.repeat(1 << 18);
    for unclosed in [
        &open,
        &objects,
        &format!(r#"{{"id":"e","payload":{objects}"#),
    ] {
        let error = parsed(unclosed, &limits).unwrap_err();
        assert!(matches!(error, BatchError::Malformed { .. }), "{error}");
    }
    for closed in [
        format!("{open}{close}"),
        format!(r#"{{"events":{open}{close}}}"#),
        format!(r#"{{"id":"e","x":{open}{close}}}"#),
        format!(r#"{{"id":{open}{close}}}"#),
        format!(r#"{{"id":"e","payload":{{"a":{open}{close}}}}}"#),
    ] {
        assert_eq!(parsed(&closed, &limits).unwrap().invalid.count, 1);
    }
}
