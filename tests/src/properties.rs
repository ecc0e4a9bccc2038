//! What holds for every input, of whatever bytes: each function panics where it does not.
//!
//! Needs nothing but `common`, `serde_json` and `uuid`, as `fuzz` includes this file, too.

use std::{collections::HashMap, slice, sync::Arc};

use event::{
    Event, EventTime, ReceiptId,
    clock::ManualClock,
    cloudevents::{batch, binary, structured},
    element::{Opened, alone, open},
    envelope,
    frame::{self, FRAME_MAX_EVENTS},
    name::MAX_NAME_BYTES,
    ndjson::Lines,
    parse::{BatchError, EventError, Limits, Parsed, Receipts, explain, parse},
    payload::MAX_PAYLOAD_DEPTH,
};
use serde_json::value::RawValue;
use store::Cursor;
use uuid::Uuid;

/// Small, so that inputs of a few lines reach them.
const LIMITS: Limits = Limits {
    max_events: 8,
    max_event_bytes: 1024,
};
/// Most bytes of whatever is said about an input, however long that is.
const MAX_ERROR_BYTES: usize = 1024;
/// Longest piece in which lines arrive.
const MAX_PIECE: usize = 16;

/// A body of `application/json`: what is accepted is valid, and the same as lines.
///
/// # Panics
/// If it does not hold.
pub fn event(body: &[u8]) {
    let parsed = read(|receipts| parse(body.to_vec(), &LIMITS, &receipts));
    check(&parsed);
    // What is read in one pass is what is read step by step.
    assert_eq!(parsed, read(|receipts| explain(body, &LIMITS, &receipts)));
    // A line has no line breaks; in JSON they are whitespace.
    let body: Vec<u8> = body
        .iter()
        .map(|&byte| if byte == b'\n' { b' ' } else { byte })
        .collect();
    let Ok(elements) = serde_json::from_slice::<Vec<&RawValue>>(&body) else {
        return;
    };
    let lines: Vec<&str> = elements.iter().map(|raw| raw.get()).collect();
    let array = read(|receipts| parse(body.clone(), &LIMITS, &receipts));
    let lines = in_pieces(lines.join("\n").as_bytes(), &[]);
    match (array, lines) {
        (Ok(array), Ok(lines)) => {
            let judged = |parsed: Parsed| {
                let wrong = parsed.invalid.first.into_iter();
                let wrong: Vec<_> = wrong.map(|(index, error)| (index, error.kind)).collect();
                (parsed.events, parsed.invalid.count, wrong)
            };
            assert_eq!(judged(array), judged(lines));
        }
        (array, lines) => assert_eq!(array.err(), lines.err()),
    }
}

/// A body of lines: what is accepted is valid, and the same in pieces of any lengths; these are
/// taken from the body itself.
///
/// # Panics
/// If it does not hold.
pub fn ndjson(body: &[u8]) {
    let whole = in_pieces(body, &[]);
    check(&whole);
    assert_eq!(whole, in_pieces(body, body));
    assert_eq!(whole, in_pieces(body, &[0]), "byte by byte");
}

/// A CloudEvent or several, or one in binary mode: headers, an empty line, its data.
///
/// # Panics
/// If what is accepted is not valid, or means something else in a batch.
pub fn cloudevents(input: &[u8]) {
    check(&read(|receipts| batch(input, &LIMITS, &receipts)));
    check(&in_binary_mode(input));
    let alone = read(|receipts| structured(input, &LIMITS, &receipts));
    check(&alone);
    if let Ok(alone) = alone
        // A byte order mark is one only at the start of a body.
        && !input.starts_with("\u{feff}".as_bytes())
    {
        let array = [b"[", input, b"]"].concat();
        let array = read(|receipts| batch(&array, &LIMITS, &receipts)).expect("one is a batch");
        assert_eq!(array.events, alone.events);
    }
}

/// An element of the queue: what is read is valid and is written alike; what is not is kept.
///
/// # Panics
/// If it does not hold.
pub fn element(element: &[u8]) {
    let opened = open(element.to_vec());
    let is_frame = element.starts_with(b"frame/");
    for event in &opened.events {
        check_names(event);
        assert_eq!(open(alone(event)).events, slice::from_ref(event));
        if !is_frame {
            // A frame's payloads were checked by the publisher.
            check_event(event, usize::MAX);
        }
    }
    let frames = frame::write(&opened.events);
    let mut again = Opened::default();
    for frame in frames {
        assert!(frame.events <= FRAME_MAX_EVENTS);
        again.add(frame.element);
    }
    assert_eq!((again.events, again.malformed), (opened.events, Vec::new()));
    for malformed in &opened.malformed {
        assert_bounded(&malformed.reason);
        if is_frame {
            let again = open(malformed.raw.clone());
            assert_eq!(
                again.malformed,
                slice::from_ref(malformed),
                "alone it is as wrong"
            );
        } else {
            assert_eq!(malformed.raw, element);
        }
    }
}

/// A cursor: one that is read prints itself.
///
/// # Panics
/// If it does not.
pub fn cursor(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    match text.parse::<Cursor>() {
        Ok(cursor) => assert_eq!(cursor.to_string(), text),
        Err(error) => assert_bounded(&error.to_string()),
    }
}

type Outcome = Result<Parsed, BatchError>;

/// What is read at a time that stands still. Receipts differ every time, so they are left out.
fn read(read: impl FnOnce(Receipts) -> Outcome) -> Outcome {
    let now: EventTime = "2026-01-01T00:00:00Z".parse().expect("a time");
    let clock = ManualClock::new(now.as_datetime());
    let mut parsed = read(Receipts::new(&clock, &Arc::default()))?;
    for event in &mut parsed.events {
        event.receipt_id = ReceiptId(Uuid::nil());
    }
    Ok(parsed)
}

/// Reads lines in pieces; their lengths follow from `lengths`, over and over. Without, in one piece.
fn in_pieces(mut body: &[u8], lengths: &[u8]) -> Outcome {
    let mut lengths = lengths.iter().cycle();
    read(|receipts| {
        let mut lines = Lines::new(LIMITS, receipts);
        while !body.is_empty() {
            let length = lengths
                .next()
                .map(|&byte| 1 + usize::from(byte) % MAX_PIECE);
            let (piece, rest) = body.split_at(length.unwrap_or(body.len()).min(body.len()));
            lines.push(piece);
            body = rest;
        }
        lines.finish()
    })
}

fn in_binary_mode(input: &[u8]) -> Outcome {
    let end = input.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = match end {
        Some(end) => (&input[..end], &input[end + 2..]),
        None => (input, &b""[..]),
    };
    let headers: Vec<(&str, &[u8])> = head
        .split(|&byte| byte == b'\n')
        .filter_map(header)
        .collect();
    let media_type = headers.iter().find(|(name, _)| *name == "content-type");
    let media_type = media_type.and_then(|(_, value)| std::str::from_utf8(value).ok());
    read(|receipts| {
        binary(
            headers.iter().copied(),
            media_type,
            body,
            &LIMITS,
            &receipts,
        )
    })
}

fn header(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = std::str::from_utf8(&line[..colon]).ok()?;
    Some((name, line[colon + 1..].trim_ascii()))
}

fn check(outcome: &Outcome) {
    match outcome {
        Ok(parsed) => {
            assert!(parsed.count() <= LIMITS.max_events);
            for event in &parsed.events {
                check_event(event, LIMITS.max_event_bytes);
            }
            for (
                _,
                EventError {
                    pointer, detail, ..
                },
            ) in &parsed.invalid.first
            {
                assert_bounded(&[&**pointer, detail].concat());
            }
        }
        Err(error) => assert_bounded(&error.to_string()),
    }
}

fn check_names(event: &Event) {
    let (topic, id) = event.key();
    for name in [topic, id, event.source.as_str()] {
        assert!((1..=MAX_NAME_BYTES).contains(&name.len()), "{name:?}");
        assert!(!name.contains(char::is_control), "{name:?}");
    }
}

/// It keeps to the limits of the documents, and goes through the queue unchanged.
fn check_event(event: &Event, max_bytes: usize) {
    check_names(event);
    let payload = event.payload.as_str();
    assert!(serde_json::from_str::<HashMap<String, &RawValue>>(payload).is_ok());
    assert!(depth(payload) <= MAX_PAYLOAD_DEPTH);
    assert!(payload.len().max(event.payload.written_out_len()) <= max_bytes);
    let element = envelope::encode(event).expect("an event of a client is JSON");
    let read = envelope::decode(&element).expect("what was written is read");
    assert_eq!(read, *event);
    assert_eq!(envelope::encode(&read).expect("as before"), element);
    let frame = frame::write([event]).remove(0).element;
    assert_eq!(open(frame).events, slice::from_ref(event));
}

/// How deep objects and arrays of a JSON text are within each other.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
    }
    deepest
}

fn assert_bounded(said: &str) {
    assert!(
        said.len() <= MAX_ERROR_BYTES,
        "{} bytes: {said}",
        said.len()
    );
}
