//! Newline-delimited JSON ([NDJSON](https://github.com/ndjson/ndjson-spec)): one event a line, read
//! while the lines arrive.
//!
//! A line ends with LF or CR LF, the last one with the body. Blank lines are ignored, and so is a
//! byte order mark before the first. Each line is judged alone, so a line that is no JSON is one
//! event that is wrong.

use bytes::{Buf, Bytes};
use bytestring::ByteString;
use serde_json::value::RawValue;

use super::{
    Event,
    json::{self, BYTE_ORDER_MARK},
    parse::{BatchError, EventError, Limits, Parsed, Receipts, Shape, parse_event, scan},
};

/// What a line may have beside an event of the largest size: a byte order mark and CR.
const LINE_FRAME: usize = BYTE_ORDER_MARK.len() + "\r".len();

/// Reads lines as they arrive, in pieces of any length.
///
/// Holds the events and the line whose end has not come, of which it keeps at most
/// [`Limits::max_event_bytes`] and a few bytes.
#[derive(Debug)]
pub struct Lines {
    limits: Limits,
    receipts: Receipts,
    /// The line whose end has not come, up to `longest` bytes of it.
    open: Vec<u8>,
    /// Bytes of that line so far.
    open_len: usize,
    /// Lines that are over.
    closed: usize,
    /// Lines that are not blank: also those beyond [`Limits::max_events`].
    count: usize,
    parsed: Parsed,
}

impl Lines {
    /// Before the first line.
    #[must_use]
    pub fn new(limits: Limits, receipts: Receipts) -> Self {
        Self {
            limits,
            receipts,
            open: Vec::new(),
            open_len: 0,
            closed: 0,
            count: 0,
            parsed: Parsed::new(Shape::Many),
        }
    }

    /// Reads the next piece of the body. The events of its lines share one copy of it.
    pub fn push(&mut self, piece: &[u8]) {
        let mut rest = Bytes::copy_from_slice(piece);
        while let Some(end) = memchr::memchr(b'\n', &rest) {
            let line = rest.split_to(end);
            rest.advance(1);
            self.close(line);
        }
        if !rest.is_empty() {
            self.keep(&rest);
        }
    }

    /// The events, after the last piece. The pointer of an error starts at its event; its detail
    /// names the line, counted from 1.
    pub fn finish(mut self) -> Result<Parsed, BatchError> {
        if self.open_len > 0 {
            self.close(Bytes::new());
        }
        self.limits.check_count(self.count)?;
        self.parsed.not_empty()
    }

    /// How many bytes of the line whose end has not come are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.open.len()
    }

    fn longest(&self) -> usize {
        self.limits.max_event_bytes.saturating_add(LINE_FRAME)
    }

    fn keep(&mut self, part: &[u8]) {
        self.open_len += part.len();
        let room = self.longest() - self.open.len();
        self.open.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn close(&mut self, end: Bytes) {
        if self.open_len == 0 {
            let len = end.len();
            return self.read(end, len);
        }
        self.keep(&end);
        let (line, len) = (Bytes::copy_from_slice(&self.open), self.open_len);
        self.open.clear();
        self.open_len = 0;
        self.read(line, len);
    }

    /// Reads a line of `len` bytes, of which `line` may be only the start if it is too long.
    fn read(&mut self, mut line: Bytes, len: usize) {
        self.closed += 1;
        if self.closed == 1 && line.starts_with(BYTE_ORDER_MARK.as_bytes()) {
            line.advance(BYTE_ORDER_MARK.len());
        }
        let too_long = len > self.longest();
        if !too_long && is_blank(&line) {
            return;
        }
        self.count += 1;
        if self.count > self.limits.max_events {
            return;
        }
        let event = if too_long {
            Err(EventError::too_long(len, self.limits.max_event_bytes))
        } else {
            self.event(line)
        };
        let number = self.closed;
        self.parsed.add(event.map_err(|error| EventError {
            detail: format!("{} (line {number})", error.detail),
            ..error
        }));
    }

    fn event(&self, line: Bytes) -> Result<Event, EventError> {
        let line = ByteString::try_from(line).map_err(|error| {
            let at = error.valid_up_to();
            invalid(format!(
                "the line is not UTF-8 at byte {at}; send JSON in UTF-8"
            ))
        })?;
        match scan::event(&line, &self.limits, &self.receipts) {
            Some(event) => Ok(event),
            None => parse_event(value(&line)?, &self.limits, &self.receipts),
        }
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| b" \t\r".contains(byte))
}

fn value(line: &str) -> Result<&RawValue, EventError> {
    serde_json::from_str(line).map_err(|error| {
        let (column, detail) = (error.column(), json::fault(&error));
        invalid(format!("the line is not JSON at column {column}: {detail}"))
    })
}

fn invalid(detail: String) -> EventError {
    EventError::invalid(String::new(), detail)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::{prelude::*, sample::Index};

    use super::*;
    use crate::{
        EventTime,
        clock::{Ids, ManualClock},
        parse::{EventErrorKind, parse},
    };

    const LIMITS: Limits = Limits {
        max_events: 3,
        max_event_bytes: 64,
    };

    fn receipts() -> Receipts {
        let now: EventTime = "2026-01-01T00:00:00Z".parse().unwrap();
        Receipts::new(
            &ManualClock::new(now.as_datetime()),
            &Arc::new(Ids::default()),
        )
    }

    fn read<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Result<Parsed, BatchError> {
        let mut lines = Lines::new(LIMITS, receipts());
        for piece in pieces {
            lines.push(piece);
            assert!(lines.open.len() <= LIMITS.max_event_bytes + LINE_FRAME);
        }
        lines.finish()
    }

    /// The id of each event, or where and how it is wrong.
    fn told(parsed: Parsed) -> Vec<Result<String, (String, String)>> {
        let in_order = parsed.in_order().into_iter();
        in_order
            .map(|event| match event {
                Ok(event) => Ok(event.event_id.to_string()),
                Err(error) => Err((error.pointer, error.detail)),
            })
            .collect()
    }

    fn wrong(pointer: &str, detail: &str) -> Result<String, (String, String)> {
        Err((pointer.to_owned(), detail.to_owned()))
    }

    #[test]
    fn a_line_is_an_event_however_it_ends() {
        for body in [
            "{\"id\":\"a\"}\n{\"id\":\"b\"}\n",
            "{\"id\":\"a\"}\n{\"id\":\"b\"}",
            "{\"id\":\"a\"}\r\n{\"id\":\"b\"}\r\n",
            "\n \t\r\n{\"id\":\"a\"}\n\n  {\"id\":\"b\"}  \n\n",
            "\u{feff}{\"id\":\"a\"}\n{\"id\":\"b\"}\r",
            "\u{feff}\n{\"id\":\"a\"}\n{\"id\":\"b\"}",
        ] {
            let parsed = read([body.as_bytes()]).expect(body);
            assert_eq!(parsed.shape, Shape::Many);
            assert_eq!(told(parsed), [Ok("a".into()), Ok("b".into())], "{body:?}");
        }
    }

    #[test]
    fn one_line_is_still_a_list() {
        assert_eq!(read([&b"{\"id\":\"a\"}"[..]]).unwrap().shape, Shape::Many);
    }

    #[test]
    fn a_wrong_line_is_told_by_its_number_and_hides_no_other() {
        let body = b"{\"id\":\"a\"}\n\n{\"id\":1}\n[{\"id\":\"b\"}]\n";
        assert_eq!(
            told(read([&body[..]]).unwrap()),
            [
                Ok("a".into()),
                wrong("/id", "id must be a string, got a number (line 3)"),
                wrong("", "an event must be a JSON object, got an array (line 4)"),
            ]
        );
        let body = b"{\"id\":\"a\"\n{\"id\":\"\xff\"}\n{\"id\":\"a\"} {\"id\":\"b\"}";
        assert_eq!(
            told(read([&body[..]]).unwrap()),
            [
                wrong(
                    "",
                    "the line is not JSON at column 9: it ends too early (line 1)"
                ),
                wrong(
                    "",
                    "the line is not UTF-8 at byte 7; send JSON in UTF-8 (line 2)"
                ),
                wrong(
                    "",
                    "the line is not JSON at column 12: nothing may follow the value (line 3)"
                ),
            ]
        );
    }

    #[test]
    fn a_byte_order_mark_is_ignored_only_at_the_start() {
        let parsed = read(["{\"id\":\"a\"}\n\u{feff}{\"id\":\"b\"}".as_bytes()]).unwrap();
        assert!(parsed.in_order()[1].is_err());
    }

    #[test]
    fn a_body_without_events_or_with_too_many_is_refused() {
        for body in ["", "\n", " \r\n\t\n", "\u{feff}"] {
            assert_eq!(
                read([body.as_bytes()]),
                Err(BatchError::NoEvents),
                "{body:?}"
            );
        }
        let five = "{\"id\":\"a\"}\n".repeat(5);
        assert_eq!(
            read([five.as_bytes()]),
            Err(BatchError::TooMany { count: 5, max: 3 })
        );
    }

    #[test]
    fn a_line_is_measured_to_its_end_without_being_kept() {
        let max = LIMITS.max_event_bytes;
        let event = |len: usize| {
            let frame = r#"{"id":"e","payload":{"a":""}}"#.len();
            format!(
                r#"{{"id":"e","payload":{{"a":"{}"}}}}"#,
                "x".repeat(len - frame)
            )
        };
        let body = format!("{}\r\n{}\r\n{}\n", event(max), event(max + 1), event(5000));
        for size in [1, 7, 100, body.len()] {
            let parsed = read(body.as_bytes().chunks(size)).unwrap();
            let [Ok(_), Err(over), Err(far_over)] = &parsed.in_order()[..] else {
                panic!("{size}");
            };
            assert_eq!(over.kind, EventErrorKind::TooLarge);
            assert_eq!(
                over.detail,
                "the event has 65 bytes; at most 64 are allowed (line 2)"
            );
            assert_eq!(far_over.kind, EventErrorKind::TooLarge);
            let detail = "the event has 5000 bytes; at most 64 are allowed (line 3)";
            assert_eq!(far_over.detail, detail);
        }
    }

    fn a_line() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "[a-z]{1,8}".prop_map(|id| format!(r#"{{"id":"{id}"}}"#)),
            1 => Just(r#"{"id":1}"#.to_owned()),
            1 => "[\\PC\r\t]{0,80}",
            1 => "[ \t\r]{0,3}",
        ]
    }

    fn an_event() -> impl Strategy<Value = String> {
        ("\\PC{1,9}", -9..9)
            .prop_map(|(id, n)| serde_json::json!({"id": id, "payload": {"n": n}}).to_string())
    }

    proptest! {
        #[test]
        fn where_a_body_is_cut_into_pieces_changes_nothing(
            lines in prop::collection::vec((a_line(), prop_oneof!["\n", "\r\n"]), 0..6),
            last in a_line(),
            cuts in prop::collection::vec(any::<Index>(), 0..8),
        ) {
            let mut body: String = lines.into_iter().map(|(line, end)| line + &end).collect();
            body += &last;
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            cuts.sort_unstable();
            let ends = cuts.iter().copied().chain([body.len()]);
            let starts = [0].into_iter().chain(cuts.iter().copied());
            let pieces = starts.zip(ends).map(|(start, end)| &body.as_bytes()[start..end]);
            let without_receipts = |parsed: Result<Parsed, _>| parsed.map(|parsed| {
                told(parsed)
            });
            prop_assert_eq!(
                without_receipts(read(pieces)),
                without_receipts(read([body.as_bytes()]))
            );
        }

        #[test]
        fn lines_are_the_elements_of_an_array(
            events in prop::collection::vec(an_event(), 1..5),
        ) {
            let lines = read([events.join("\n").as_bytes()]);
            let body = format!("[{}]", events.join(","));
            let array = parse(body.clone().into(), &LIMITS, &receipts());
            match (lines, array) {
                (Ok(lines), Ok(array)) => {
                    for pair in lines.in_order().into_iter().zip(array.in_order()) {
                        match pair {
                            (Ok(line), Ok(element)) => {
                                prop_assert_eq!(line.key(), element.key());
                                prop_assert_eq!(&line.payload, &element.payload);
                                prop_assert_eq!(line.timestamp, element.timestamp);
                            }
                            (Err(line), Err(element)) => {
                                prop_assert_eq!(line.kind, element.kind);
                                prop_assert!(line.detail.starts_with(&element.detail));
                            }
                            other => panic!("{other:?}"),
                        }
                    }
                }
                (lines, array) => prop_assert_eq!(lines.unwrap_err(), array.unwrap_err()),
            }
        }
    }
}
