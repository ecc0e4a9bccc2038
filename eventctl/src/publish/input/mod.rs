//! The input as a stream of events: NDJSON, a JSON array, an object `{"events":[…]}`, or events that span several lines.
//! At most one event is in memory.

mod nesting;
mod position;

use std::{
    io::{self, BufRead},
    mem,
};

use serde::de::IgnoredAny;

use self::nesting::Nesting;
pub(super) use self::position::{Format, Position};

/// A longer event is refused here. A server takes events of 256 KiB unless it is set to another size.
const MAX_EVENT_BYTES: usize = 1024 * 1024;
/// How many bytes at the beginning of the input may be read to find out whether it is an object with `events`.
const MAX_OPENING_BYTES: usize = 4096;
/// The beginning of such an object; white space may precede each part.
const OPENING: [&[u8]; 4] = [b"{", b"\"events\"", b":", b"["];
/// The first bytes of a zstd file ([RFC 8878](https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1)).
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Some programs write it at the beginning of a file.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// One event of the input, as it is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// The line in which it begins, from 1.
    pub(super) line: u64,
    /// Its text, or why there is none.
    pub(super) text: Result<Vec<u8>, String>,
    /// Where the next event begins.
    pub(super) next: Position,
}

/// Reads one event after the other. After an error, nothing more can be read.
#[derive(Debug)]
pub(super) struct Reader<R> {
    source: R,
    at: Position,
    /// The beginning of the first event, which was read to find out how the events are written.
    opening: Vec<u8>,
}

impl<R: BufRead> Reader<R> {
    /// Reads from this place on; the source must be at it.
    pub(super) const fn new(source: R, at: Position) -> Self {
        Self {
            source,
            at,
            opening: Vec::new(),
        }
    }

    fn read(&mut self) -> io::Result<Option<Record>> {
        let is_first = self.at.format == Format::Unknown;
        if is_first {
            self.begin()?;
        }
        let record = match self.at.format {
            Format::Array | Format::EventsArray => self.element(),
            Format::Ended | Format::EventsEnded => self.after(),
            Format::Objects => self.object(),
            Format::Lines | Format::Unknown => self.line(),
        }?;
        let text = record.as_ref().and_then(|record| record.text.as_ref().ok());
        if is_first && text.is_some_and(|text| is_table(text)) {
            return Err(unreadable(
                "looks like CSV; convert it to NDJSON first, one event per line: \
                 {\"topic\":\"…\",\"event_id\":\"…\",\"payload\":{…}}",
            ));
        }
        Ok(record)
    }

    /// Finds out how the events are written.
    fn begin(&mut self) -> io::Result<()> {
        let first = self.source.fill_buf()?;
        if first.starts_with(ZSTD) {
            return Err(unreadable(
                "is compressed with zstd; decompress it: zstd -dc FILE | eventctl publish -",
            ));
        }
        if first.starts_with(BYTE_ORDER_MARK) {
            self.consume(BYTE_ORDER_MARK.len());
        }
        self.skip_space()?;
        self.at.format = if self.source.fill_buf()?.first() == Some(&b'[') {
            self.consume(1);
            Format::Array
        } else if self.opens_events()? {
            self.opening.clear();
            Format::EventsArray
        } else if is_spread_out(&self.opening) {
            Format::Objects
        } else {
            Format::Lines
        };
        Ok(())
    }

    /// Reads as long as the input may be an object with `events`, and says whether it is one.
    fn opens_events(&mut self) -> io::Result<bool> {
        let mut rest = OPENING.concat().into_iter().peekable();
        let mut within_name = false;
        while let Some(&wanted) = rest.peek() {
            let Some(&byte) = self.source.fill_buf()?.first() else {
                return Ok(false);
            };
            let is_space = byte.is_ascii_whitespace() && !within_name;
            if self.opening.len() == MAX_OPENING_BYTES || byte != wanted && !is_space {
                return Ok(false);
            }
            if !is_space {
                within_name ^= byte == b'"';
                rest.next();
            }
            self.opening.push(byte);
            self.consume(1);
        }
        Ok(true)
    }

    fn line(&mut self) -> io::Result<Option<Record>> {
        let line = self.next_line()?;
        let text = self.until(|byte, _| byte == b'\n')?;
        Ok((text != Ok(Vec::new())).then(|| self.record(line, text)))
    }

    /// Reads an event that spans several lines. What does not begin like one is read as a line.
    fn object(&mut self) -> io::Result<Option<Record>> {
        let line = self.next_line()?;
        let mut begun = !self.opening.is_empty();
        if !begun && self.source.fill_buf()?.first() != Some(&b'{') {
            return self.line();
        }
        let text = self.until(|_, outside| mem::replace(&mut begun, true) && outside)?;
        Ok(Some(self.record(line, text)))
    }

    /// Goes to the beginning of the next event, and returns the line in which it is.
    fn next_line(&mut self) -> io::Result<u64> {
        if self.opening.is_empty() {
            self.skip_space()?;
        }
        let read = self.opening.iter().filter(|&&byte| byte == b'\n');
        Ok(self.at.lines + 1 - read.count() as u64)
    }

    fn element(&mut self) -> io::Result<Option<Record>> {
        self.skip_space()?;
        let line = self.at.lines + 1;
        if self.source.fill_buf()?.is_empty() {
            self.at.format = self.at.format.after_array();
            let reason = "the input ends before the end of the array; it may be cut off";
            return Ok(Some(self.record(line, Err(reason.to_owned()))));
        }
        let mut last = 0;
        let text = self.until(|byte, outside| {
            last = byte;
            outside && matches!(byte, b',' | b']')
        })?;
        if last == b']' {
            self.at.format = self.at.format.after_array();
            if text == Ok(Vec::new()) {
                return self.after();
            }
        }
        Ok(Some(self.record(line, text)))
    }

    fn after(&mut self) -> io::Result<Option<Record>> {
        self.skip_space()?;
        if self.at.format == Format::EventsEnded && self.source.fill_buf()?.first() == Some(&b'}') {
            self.consume(1);
            self.at.format = Format::Ended;
            self.skip_space()?;
        }
        let line = self.at.lines + 1;
        let text = self.until(|byte, _| byte == b'\n')?;
        let reason = "is after the end of the array";
        Ok((text != Ok(Vec::new())).then(|| self.record(line, Err(reason.to_owned()))))
    }

    const fn record(&self, line: u64, text: Result<Vec<u8>, String>) -> Record {
        Record {
            line,
            text,
            next: self.at,
        }
    }

    /// Reads the text up to the byte that ends it; that byte is read, too, and left out. `ends` is asked for each byte; it is
    /// told whether the byte is outside of brackets and strings.
    fn until(
        &mut self,
        mut ends: impl FnMut(u8, bool) -> bool,
    ) -> io::Result<Result<Vec<u8>, String>> {
        let (mut text, mut nesting) = (mem::take(&mut self.opening), Nesting::default());
        for &byte in &text {
            nesting.pass(byte);
        }
        let mut length = text.len();
        loop {
            let buffer = self.source.fill_buf()?;
            if buffer.is_empty() {
                break;
            }
            let end = buffer.iter().position(|&byte| {
                let outside = nesting.is_outside();
                nesting.pass(byte);
                ends(byte, outside)
            });
            let part = &buffer[..end.unwrap_or(buffer.len())];
            length += part.len();
            let room = MAX_EVENT_BYTES - text.len();
            text.extend_from_slice(&part[..part.len().min(room)]);
            let read = part.len() + usize::from(end.is_some());
            self.consume(read);
            if end.is_some() {
                break;
            }
        }
        if length > MAX_EVENT_BYTES {
            return Ok(Err(format!("is longer than {MAX_EVENT_BYTES} bytes")));
        }
        text.truncate(text.trim_ascii_end().len());
        Ok(Ok(text))
    }

    fn skip_space(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.source.fill_buf()?;
            let text = buffer.iter().position(|byte| !byte.is_ascii_whitespace());
            let space = text.unwrap_or(buffer.len());
            if space == 0 {
                return Ok(());
            }
            self.consume(space);
        }
    }

    /// Leaves this many bytes of the buffer behind.
    fn consume(&mut self, bytes: usize) {
        // The buffer is filled already, so this reads nothing.
        if let Ok(buffer) = self.source.fill_buf() {
            let lines = buffer[..bytes].iter().filter(|&&byte| byte == b'\n');
            self.at.lines += lines.count() as u64;
        }
        self.at.offset += bytes as u64;
        self.source.consume(bytes);
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<io::Result<Record>> {
        self.read().transpose()
    }
}

fn unreadable(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Whether an object has a line break before its first member.
fn is_spread_out(opening: &[u8]) -> bool {
    let members = opening.get(1..).unwrap_or_default();
    let space = members.iter().take_while(|byte| byte.is_ascii_whitespace());
    space.into_iter().any(|&byte| byte == b'\n')
}

/// Whether a first line is not JSON and has columns.
fn is_table(line: &[u8]) -> bool {
    let has_columns = line.iter().any(|byte| matches!(byte, b',' | b';' | b'\t'));
    has_columns
        && line.first() != Some(&b'{')
        && serde_json::from_slice::<IgnoredAny>(line).is_err()
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor, Seek, SeekFrom};

    use super::*;

    /// A reader whose buffer is so small that every text spans several.
    fn reader(text: &str, at: Position) -> Reader<BufReader<Cursor<Vec<u8>>>> {
        let mut source = Cursor::new(text.as_bytes().to_vec());
        source.seek(SeekFrom::Start(at.offset)).unwrap();
        Reader::new(BufReader::with_capacity(5, source), at)
    }

    fn records(text: &str) -> Vec<Record> {
        reader(text, Position::START).map(Result::unwrap).collect()
    }

    /// The line and the text of each event; `!` and the reason if there is no text.
    fn read(text: &str) -> Vec<(u64, String)> {
        let shown = |record: Record| match record.text {
            Ok(text) => (record.line, String::from_utf8(text).unwrap()),
            Err(reason) => (record.line, format!("!{reason}")),
        };
        records(text).into_iter().map(shown).collect()
    }

    fn lines(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
        let owned = |&(line, text): &(u64, &str)| (line, text.to_owned());
        expected.iter().map(owned).collect()
    }

    #[test]
    fn each_line_is_an_event_and_blank_ones_are_counted() {
        let text = "{\"a\": 1}\n\n  {\"b\":[1,\r\n\n\"end\"";
        let expected = lines(&[(1, "{\"a\": 1}"), (3, "{\"b\":[1,"), (5, "\"end\"")]);
        assert_eq!(read(text), expected);
        assert_eq!(read(""), []);
        assert_eq!(read(" \n\n"), []);
    }

    #[test]
    fn the_elements_of_an_array_are_events() {
        let text = "\u{feff} [\n {\"a\": \"]},\\\"\",\n \"b\": [1, [2]]},\n\n{} , 7]\n";
        let first = "{\"a\": \"]},\\\"\",\n \"b\": [1, [2]]}";
        assert_eq!(read(text), lines(&[(2, first), (5, "{}"), (5, "7")]));
        assert_eq!(read("[]"), []);
    }

    #[test]
    fn an_array_that_is_cut_off_is_an_error() {
        let read = read("[{\"a\":1},\n{\"b\":");
        assert_eq!(read[..2], lines(&[(1, "{\"a\":1}"), (2, "{\"b\":")]));
        assert!(read[2].1.contains("cut off"), "{read:?}");
    }

    #[test]
    fn the_events_of_an_object_are_those_of_its_array() {
        let text = " {\n \"events\" : [{\"a\":1},\n {\"b\":2}\n]\n}\n";
        assert_eq!(read(text), lines(&[(2, "{\"a\":1}"), (3, "{\"b\":2}")]));
        assert_eq!(read("{\"events\":[{}]}"), lines(&[(1, "{}")]));
        assert_eq!(read("{\"events\":[]}"), []);
        let more = read("{\"events\":[{}]}\n{}");
        assert_eq!(more[1], (2, "!is after the end of the array".to_owned()));
    }

    #[test]
    fn an_object_that_only_begins_like_one_with_events_is_read_whole() {
        for text in ["{\"event_id\":1}", "{\"events\":7}", "{ \"even"] {
            assert_eq!(
                read(&format!("{text}\n{{}}\n")),
                lines(&[(1, text), (2, "{}")])
            );
        }
    }

    #[test]
    fn events_may_span_several_lines_each() {
        let one = "{\n  \"event_id\": \"}\\\"\",\n  \"payload\": {}\n}";
        assert_eq!(read(one), lines(&[(1, one)]));
        let several = format!("\n{one}\n{one}\nhello\n{one}");
        let expected = [(2, one), (6, one), (10, "hello"), (11, one)];
        assert_eq!(read(&several), lines(&expected));
        assert_eq!(read("{\n \"a\":"), lines(&[(1, "{\n \"a\":")]), "cut off");
    }

    #[test]
    fn an_input_that_cannot_be_read_is_refused_at_once_with_advice() {
        let refused = |text: &[u8]| {
            let source = BufReader::new(Cursor::new(text.to_vec()));
            let mut reader = Reader::new(source, Position::START);
            reader.next().unwrap().unwrap_err().to_string()
        };
        assert!(refused(b"topic,event_id\norders,1\n").contains("CSV"));
        assert!(refused(b"\"topic\";\"event_id\"\n").contains("NDJSON"));
        assert!(refused(&[0x28, 0xb5, 0x2f, 0xfd, 0]).contains("zstd -dc"));
        assert_eq!(read("hello\n{}\n"), lines(&[(1, "hello"), (2, "{}")]));
    }

    #[test]
    fn text_after_the_array_is_refused() {
        assert_eq!(read("[1] [2]")[1].1, "!is after the end of the array");
    }

    #[test]
    fn an_event_that_is_too_long_is_skipped_and_the_next_is_read() {
        let text = format!("{}\n{{}}\n", "x".repeat(MAX_EVENT_BYTES + 1));
        let read = read(&text);
        assert!(read[0].1.starts_with("!is longer than"), "{:?}", read[0]);
        assert_eq!(read[1], (2, "{}".to_owned()));
    }

    #[test]
    fn reading_can_go_on_after_any_event() {
        for text in [
            "\n{\"a\":1}\n{}\n\n{\"c\":3}",
            " [{\"a\":1}\n,{},\n{\"c\":3}\n]\n",
            "{ \"events\":[{\"a\":1}\n,{},\n{\"c\":3}\n]}\n",
            "{\n\"a\":1}\n{\n}\n",
        ] {
            let all = records(text);
            for (number, record) in all.iter().enumerate() {
                let rest: Vec<_> = reader(text, record.next).map(Result::unwrap).collect();
                assert_eq!(rest, all[number + 1..], "{text}");
            }
        }
    }
}
