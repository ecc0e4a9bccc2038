//! What a frame is, and what becomes of one that lies.

use super::*;
use crate::{
    clock::SystemClock,
    element,
    parse::{Limits, Receipts, parse},
};

const LIMITS: Limits = Limits {
    max_events: 10_000,
    max_event_bytes: MAX_BODY_BYTES,
};

fn events(body: &str) -> Vec<Event> {
    let receipts = Receipts::new(&SystemClock, &std::sync::Arc::default());
    let parsed = parse(body.to_owned().into(), &LIMITS, &receipts).unwrap();
    assert_eq!(parsed.invalid.count, 0);
    parsed.events
}

/// So many events with so many bytes of payload.
fn many(count: usize, bytes: usize) -> Vec<Event> {
    let text = "x".repeat(bytes - r#"{"a":""}"#.len());
    let event = |n| {
        format!(
            r#"{{"topic":"t{}","event_id":"{n}","payload":{{"a":"{text}"}}}}"#,
            n / 3
        )
    };
    let events_: Vec<String> = (0..count).map(event).collect();
    events(&format!("[{}]", events_.join(",")))
}

fn opened(frames: Vec<Frame>) -> Vec<Event> {
    let mut opened = element::Opened::default();
    for frame in frames {
        let before = opened.events.len();
        opened.add(frame.element);
        assert_eq!(opened.events.len() - before, frame.events);
    }
    assert_eq!(opened.malformed, []);
    opened.events
}

/// A frame of two events that is not compressed.
fn plain() -> Vec<u8> {
    let body = r#"[{"topic":"logs/ä","event_id":"1","timestamp":"1969-12-31T23:59:59Z","source":"s","payload":{"a":1}},
                   {"topic":"logs/ä","event_id":"2","timestamp":"2026-01-01T00:00:00Z","source":"s"}]"#;
    write(&events(body)).remove(0).element
}

fn reason(element: &[u8]) -> String {
    let mut opened = element::open(element.to_vec());
    assert_eq!((opened.events.len(), opened.malformed.len()), (0, 1));
    let malformed = opened.malformed.remove(0);
    assert_eq!(malformed.raw, element, "it is kept byte for byte");
    malformed.reason
}

/// With another text in its first line.
fn with_head(element: &[u8], from: &str, to: &str) -> Vec<u8> {
    let (_, start) = head(element).unwrap();
    let line = str::from_utf8(&element[..start]).unwrap();
    assert!(line.contains(from), "{line}");
    [line.replace(from, to).as_bytes(), &element[start..]].concat()
}

#[test]
fn a_frame_is_what_its_specification_says() {
    let element = plain();
    let (head, start) = head(&element).unwrap();
    let line = str::from_utf8(&element[..start]).unwrap();
    let accepted = head.accepted.to_rfc3339_opts(SecondsFormat::Millis, true);
    assert_eq!(
        line,
        format!("frame/2 events=2 accepted={accepted} coding=raw bytes=81\n")
    );
    let (records, texts) = element[start..].split_at(2 * 31);
    assert_eq!(texts, "logs/ä1s{\"a\":1}2{}".as_bytes());
    assert_eq!(records[16..24], (-1_000_000_i64).to_le_bytes());
    assert_eq!(records[24..31], [7, 1, 1, 7, 0, 0, 0]);
    assert_eq!(
        records[31 + 24..],
        [0, 1, 0, 2, 0, 0, 0],
        "the names are repeated"
    );
    assert_eq!(element::accepted_at(&element), Some(head.accepted));
    assert!(start <= MAX_HEAD_BYTES);
}

#[test]
fn events_come_out_as_they_went_in() {
    for (count, bytes, frames) in [
        (1, 8, 1),
        (FRAME_MAX_EVENTS, 100, 1),
        (FRAME_MAX_EVENTS + 1, 100, 2),
        (10, FRAME_MAX_BYTES / 4, 4),
        (3, 2 * FRAME_MAX_BYTES, 3),
    ] {
        let events = many(count, bytes);
        let written = write(&events);
        assert_eq!(written.len(), frames);
        assert_eq!(opened(written), events);
    }
    assert_eq!(write([]), []);
}

#[test]
fn what_repeats_itself_is_compressed_and_what_does_not_is_not() {
    let coding = |events: &[Event]| head(&write(events)[0].element).unwrap().0.coding;
    assert_eq!(coding(&many(100, 200)), Coding::Lz4);
    let mut state = 1_u32;
    let noise: String = std::iter::repeat_with(|| {
        // Numerical Recipes' generator.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'!' + (state >> 26) as u8)
    })
    .take(2000)
    .filter(|c| !"\"\\".contains(*c))
    .collect();
    assert_eq!(
        coding(&events(&format!(
            r#"{{"id":"1","payload":{{"a":"{noise}"}}}}"#
        ))),
        Coding::Raw
    );
}

#[test]
fn an_event_that_is_not_valid_is_malformed_alone_and_the_others_are_read() {
    let element = plain();
    let at = element.len() - "2{}".len();
    for (byte, what) in [
        (b'\t', "event_id has the control character U+0009"),
        (b'2', ""),
    ] {
        let mut element = element.clone();
        element[at] = byte;
        let opened = element::open(element);
        assert_eq!(opened.events.len(), 2 - opened.malformed.len());
        for malformed in opened.malformed {
            assert!(malformed.reason.contains(what), "{}", malformed.reason);
            let again = element::open(malformed.raw.clone());
            assert_eq!(again.malformed, [malformed], "it is a frame of one event");
        }
    }
}

#[test]
fn the_first_event_needs_names_of_its_own() {
    let mut element = plain();
    let (_, start) = head(&element).unwrap();
    element.drain(start + 62..start + 69);
    element[start + 24] = 0;
    let element = with_head(&element, "bytes=81", "bytes=74");
    let opened = element::open(element);
    assert_eq!(opened.malformed.len(), 2);
    assert!(
        opened.malformed[0]
            .reason
            .contains("topic must not be empty")
    );
}

#[test]
fn a_frame_that_lies_is_refused_as_a_whole_and_costs_no_memory() {
    let (plain, packed) = (plain(), write(&many(100, 200)).remove(0).element);
    let bytes = head(&packed).unwrap().0.bytes;
    for (element, why) in [
        (with_head(&plain, "frame/2", "frame/3"), "frame version 3"),
        (with_head(&plain, "frame/2", "frame/x"), "which version"),
        (with_head(&plain, "events=2", "events=1"), "UTF-8"),
        (
            with_head(&plain, "events=2", "events=3"),
            "its body is shorter",
        ),
        (with_head(&plain, "events=2", "events=0"), "has 0 events"),
        (
            with_head(&plain, "events=2", "events=257"),
            "has 257 events",
        ),
        (
            with_head(&plain, "events=2", "events=-2"),
            "a number that is not one",
        ),
        (
            with_head(&plain, "accepted=2", "accepted=x"),
            "a time that is not one",
        ),
        (with_head(&plain, "bytes=81", "bytes=82"), "damaged"),
        (
            with_head(&plain, "bytes=81", "bytes=33554433"),
            "at most 33554432",
        ),
        (
            with_head(&plain, "bytes=81", "bytes=81 more"),
            "more than it may",
        ),
        (
            with_head(&plain, "bytes=81", "size=82"),
            "does not say bytes",
        ),
        (with_head(&plain, "raw", "zip"), "neither raw nor lz4"),
        (with_head(&plain, "raw", "lz4"), "damaged"),
        (
            with_head(&packed, &format!("bytes={bytes}"), "bytes=33554432"),
            "damaged",
        ),
        (with_head(&packed, "lz4", "raw"), "damaged"),
        (plain[..plain.len() - 1].to_vec(), "damaged"),
        ([&plain[..], b"x"].concat(), "damaged"),
        (b"frame/2 events=2".to_vec(), "does not end"),
        (
            [&b"frame/"[..], &[b'x'; 1000], b"\n"].concat(),
            "does not end",
        ),
        (b"frame/2 \xff\n".to_vec(), "not text"),
    ] {
        let reason = reason(&element);
        assert!(reason.contains(why), "{reason} instead of {why}");
    }
    let mut longer = plain.clone();
    let (_, start) = head(&plain).unwrap();
    longer[start + RECORD_BYTES + 27] += 1;
    assert!(reason(&longer).contains("texts are not as long"));
    let mut half = plain.clone();
    *half.last_mut().unwrap() = 0xff;
    assert!(reason(&half).contains("UTF-8"));
}
