//! The input as a stream of events: NDJSON, a JSON array, an object `{"events":[…]}`, or events over several lines.
//! Never more than one event is held.

use std::{
    io::{self, BufRead},
    mem,
};

use serde::{Deserialize, Serialize, de::IgnoredAny};

/// A longer event is refused here. The server's own limit is 256 KiB unless it is set higher.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;
/// How much of the input's beginning is read at most to find out whether it is an object with `events`.
const MAX_OPENING_BYTES: usize = 4096;
/// What opens such an object; white space may come before each part.
const OPENING: [&[u8]; 4] = [b"{", b"\"events\"", b":", b"["];
/// What a zstd file begins with ([RFC 8878](https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1)).
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Some programs begin a file with it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// How the events are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Nothing was read yet.
    Unknown,
    /// One event a line.
    Lines,
    /// Events over several lines each.
    Objects,
    /// The elements of an array, whose bracket is open.
    Array,
    /// After the array.
    Ended,
    /// The same of an array that is the member `events` of an object.
    EventsArray,
    /// After that array; the object is still open.
    EventsEnded,
}

impl Format {
    /// What comes after the array.
    const fn after_array(self) -> Self {
        match self {
            Self::EventsArray => Self::EventsEnded,
            _ => Self::Ended,
        }
    }
}

/// A place between two events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Bytes before it.
    pub offset: u64,
    /// Ends of lines before it.
    pub lines: u64,
    /// What is being read.
    pub format: Format,
}

impl Position {
    /// The beginning of the input.
    pub const START: Self = Self {
        offset: 0,
        lines: 0,
        format: Format::Unknown,
    };
}

/// One event of the input, as it is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The line it begins in, from 1.
    pub line: u64,
    /// Its text, or why there is none.
    pub text: Result<Vec<u8>, String>,
    /// Where the next one begins.
    pub next: Position,
}

/// Reads one event after the other; after an error, nothing more can be read.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    at: Position,
    /// The beginning of the first event, which was read to find out what the input is.
    opening: Vec<u8>,
}

impl<R: BufRead> Reader<R> {
    /// Reads on at this place, which the source has been brought to.
    pub const fn new(source: R, at: Position) -> Self {
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
                "looks like CSV; convert it to NDJSON first, an event a line: \
                 {\"topic\":\"…\",\"event_id\":\"…\",\"payload\":{…}}",
            ));
        }
        Ok(record)
    }

    /// Finds out what the input is.
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

    /// Reads on as long as it may be the beginning of an object with `events`, and says whether it is one.
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

    /// An event over several lines. What is none is read as a line.
    fn object(&mut self) -> io::Result<Option<Record>> {
        let line = self.next_line()?;
        let mut begun = !self.opening.is_empty();
        if !begun && self.source.fill_buf()?.first() != Some(&b'{') {
            return self.line();
        }
        let text = self.until(|_, outside| mem::replace(&mut begun, true) && outside)?;
        Ok(Some(self.record(line, text)))
    }

    /// Goes to the beginning of the next event, and says in which line that is.
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
            let reason = "the input ends here, and the array does not: is it cut off?";
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
        let reason = "comes after the end of the array";
        Ok((text != Ok(Vec::new())).then(|| self.record(line, Err(reason.to_owned()))))
    }

    const fn record(&self, line: u64, text: Result<Vec<u8>, String>) -> Record {
        Record {
            line,
            text,
            next: self.at,
        }
    }

    /// The text up to a byte that ends it, which is read and left out. `ends` is told each byte and
    /// whether it is outside of brackets and strings.
    fn until(
        &mut self,
        mut ends: impl FnMut(u8, bool) -> bool,
    ) -> io::Result<Result<Vec<u8>, String>> {
        let (mut text, mut nesting) = (mem::take(&mut self.opening), Nesting::default());
        for &byte in &text {
            nesting.enter(byte);
        }
        let mut length = text.len();
        loop {
            let buffer = self.source.fill_buf()?;
            if buffer.is_empty() {
                break;
            }
            let end = buffer.iter().position(|&byte| {
                let outside = nesting.is_outside();
                nesting.enter(byte);
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

    /// Goes on by this many bytes of the buffer.
    fn consume(&mut self, bytes: usize) {
        // The buffer was filled just now: this reads nothing.
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

/// Whether an object begins so that its members are in lines of their own.
fn is_spread_out(opening: &[u8]) -> bool {
    let members = opening.get(1..).unwrap_or_default();
    let space = members.iter().take_while(|byte| byte.is_ascii_whitespace());
    space.into_iter().any(|&byte| byte == b'\n')
}

/// Whether a first line is none of JSON and has columns.
fn is_table(line: &[u8]) -> bool {
    let has_columns = line.iter().any(|byte| matches!(byte, b',' | b';' | b'\t'));
    has_columns
        && line.first() != Some(&b'{')
        && serde_json::from_slice::<IgnoredAny>(line).is_err()
}

/// Where a byte of JSON is.
#[derive(Debug, Default)]
struct Nesting {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Nesting {
    const fn is_outside(&self) -> bool {
        self.depth == 0 && !self.in_string
    }

    const fn enter(&mut self, byte: u8) {
        if self.in_string {
            self.in_string = byte != b'"' || self.escaped;
            self.escaped = byte == b'\\' && !self.escaped;
            return;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor, Seek, SeekFrom};

    use super::*;

    /// A buffer so small that every text spans several.
    fn reader(text: &str, at: Position) -> Reader<BufReader<Cursor<Vec<u8>>>> {
        let mut source = Cursor::new(text.as_bytes().to_vec());
        source.seek(SeekFrom::Start(at.offset)).unwrap();
        Reader::new(BufReader::with_capacity(5, source), at)
    }

    fn records(text: &str) -> Vec<Record> {
        reader(text, Position::START).map(Result::unwrap).collect()
    }

    /// Line and text of each event; `!` and the reason where there is none.
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
    fn an_array_that_is_cut_off_is_told() {
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
        assert_eq!(more[1], (2, "!comes after the end of the array".to_owned()));
    }

    #[test]
    fn what_only_begins_like_an_object_with_events_is_read_whole() {
        for text in ["{\"event_id\":1}", "{\"events\":7}", "{ \"even"] {
            assert_eq!(
                read(&format!("{text}\n{{}}\n")),
                lines(&[(1, text), (2, "{}")])
            );
        }
    }

    #[test]
    fn events_may_be_over_several_lines_each() {
        let one = "{\n  \"event_id\": \"}\\\"\",\n  \"payload\": {}\n}";
        assert_eq!(read(one), lines(&[(1, one)]));
        let several = format!("\n{one}\n{one}\nhello\n{one}");
        let expected = [(2, one), (6, one), (10, "hello"), (11, one)];
        assert_eq!(read(&several), lines(&expected));
        assert_eq!(read("{\n \"a\":"), lines(&[(1, "{\n \"a\":")]), "cut off");
    }

    #[test]
    fn what_cannot_be_read_is_told_at_once_with_what_to_do() {
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
    fn what_comes_after_the_array_is_refused() {
        assert_eq!(read("[1] [2]")[1].1, "!comes after the end of the array");
    }

    #[test]
    fn what_is_too_long_is_skipped_and_the_next_is_read() {
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
