//! The frame: one element of the queue that holds the events of one push. This file is its specification.
//!
//! A frame begins with a line of ASCII, which people and scripts in Redis can read, and its body follows:
//!
//! ```text
//! frame/2 events=100 accepted=2026-01-31T12:30:00.123Z coding=lz4 bytes=31744\n
//! ```
//!
//! - `2`: the version of the format. Version 1 of an element is an [`envelope`](crate::envelope).
//! - `events`: how many events there are, 1 to [`FRAME_MAX_EVENTS`].
//! - `accepted`: when the first of them was accepted.
//! - `coding`: of the body, `raw` or `lz4` (a [block](https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md)).
//! - `bytes`: the length of the body without the coding, at most [`MAX_BODY_BYTES`].
//!
//! Without its coding, the body is a record of 31 bytes for each event, and then the texts of all events:
//!
//! | bytes of a record | what |
//! | --- | --- |
//! | 16 | the id of the receipt, a UUID |
//! | 8 | the timestamp in microseconds since 1970, signed, little-endian |
//! | 1 | the length of the topic; 0: it is the topic of the event before |
//! | 1 | the length of the event id |
//! | 1 | the length of the source; 0: it is the source of the event before |
//! | 4 | the length of the payload, little-endian |
//!
//! The texts follow each other without a gap, in UTF-8: topic, event id, source and payload of the first event, then those
//! of the next. Events are in the order in which they were accepted.
//!
//! Only a publisher writes frames, and it has checked every payload. So a reader does not check its JSON again: the
//! database does. Everything else is checked. A frame whose body cannot be read is one malformed element; an event that is
//! not valid is a malformed element by itself, as a frame of one event.

#[cfg(test)]
mod tests;

use std::{
    fmt,
    io::Write,
    str::{self, FromStr},
};

use bytes::Bytes;
use bytestring::ByteString;
use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use crate::{Event, EventId, EventTime, Malformed, Payload, ReceiptId, Source, Topic};

/// Most events in a frame.
pub const FRAME_MAX_EVENTS: usize = 256;
/// A frame takes no further event if its body without coding would have more bytes. One event may be larger.
pub const FRAME_MAX_BYTES: usize = 256 * 1024;
/// Most bytes of a body without its coding that are read: twice the largest `MAX_EVENT_BYTES`.
pub const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

/// How every frame begins, whatever its version.
const MAGIC: &str = "frame/";
const VERSION: u32 = 2;
/// Length of the record of an event.
const RECORD_BYTES: usize = 16 + 8 + 1 + 1 + 1 + 4;
/// The line of a frame is never longer.
pub(crate) const MAX_HEAD_BYTES: usize = 128;
/// A body of fewer bytes is not compressed.
const LEAST_COMPRESSED: usize = 256;
/// A compressed body is kept if at most so many percent of the bytes are left. Redis writes each of them to a socket, to memory
/// and to a disk, and the disk is the first to be busy.
const PAYS_PERCENT: usize = 90;
/// One byte of LZ4 never becomes more than so many.
const LZ4_RATIO: usize = 255;

/// A frame, ready to be pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The element of the queue.
    pub element: Vec<u8>,
    /// How many events it holds.
    pub events: usize,
}

/// Puts events into as few frames as they fit into, in their order.
#[must_use]
pub fn write<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<Frame> {
    let mut events = events.into_iter().map(Parts::of).peekable();
    let (mut frames, mut some, mut bytes) = (Vec::new(), Vec::new(), 0);
    while let Some(event) = events.next() {
        bytes += RECORD_BYTES + event.text_len();
        some.push(event);
        let has_room = |next: &Parts<'_>| {
            some.len() < FRAME_MAX_EVENTS
                && bytes + RECORD_BYTES + next.text_len() <= FRAME_MAX_BYTES
        };
        if !events.peek().is_some_and(has_room) {
            frames.push(Frame {
                element: element(&mut some),
                events: some.len(),
            });
            some.clear();
            bytes = 0;
        }
    }
    frames
}

/// What a frame has of an event.
#[derive(Clone, Copy)]
struct Parts<'a> {
    receipt_id: Uuid,
    micros: i64,
    topic: &'a str,
    event_id: &'a str,
    source: &'a str,
    payload: &'a str,
}

/// The frame of these events. Names that repeat those of the event before are left out of them.
fn element(events: &mut [Parts<'_>]) -> Vec<u8> {
    let accepted = events
        .first()
        .map(|first| ReceiptId(first.receipt_id).received_at());
    // No name is empty, and so is that of the first event not repeated.
    let mut last = ("", "");
    let mut bytes = 0;
    for event in &mut *events {
        let names = (event.topic, event.source);
        if names.0 == last.0 {
            event.topic = "";
        }
        if names.1 == last.1 {
            event.source = "";
        }
        last = names;
        bytes += RECORD_BYTES + event.text_len();
    }
    let mut head = Head {
        events: events.len(),
        accepted: accepted.unwrap_or_default(),
        coding: Coding::Raw,
        bytes,
    };
    let mut element = head.line();
    element.reserve_exact(bytes);
    let start = element.len();
    for event in &*events {
        event.write_record(&mut element);
    }
    for event in &*events {
        for text in [event.topic, event.event_id, event.source, event.payload] {
            element.extend_from_slice(text.as_bytes());
        }
    }
    let compressed = (bytes >= LEAST_COMPRESSED)
        .then(|| lz4_flex::block::compress(&element[start..]))
        .filter(|compressed| compressed.len() * 100 <= bytes * PAYS_PERCENT);
    if let Some(compressed) = compressed {
        head.coding = Coding::Lz4;
        element = head.line();
        element.extend_from_slice(&compressed);
    }
    element
}

/// The first line of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    events: usize,
    pub(crate) accepted: DateTime<Utc>,
    coding: Coding,
    bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Raw,
    Lz4,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            events,
            accepted,
            coding,
            bytes,
        } = self;
        let accepted = accepted.to_rfc3339_opts(SecondsFormat::Millis, true);
        let coding = match coding {
            Coding::Raw => "raw",
            Coding::Lz4 => "lz4",
        };
        write!(
            f,
            "{MAGIC}{VERSION} events={events} accepted={accepted} coding={coding} bytes={bytes}"
        )
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut words = line.strip_prefix(MAGIC).unwrap_or_default().split(' ');
        let version = words.next().and_then(|word| word.parse().ok());
        let version: u32 =
            version.ok_or_else(|| unreadable("it does not say which version it has"))?;
        if version != VERSION {
            return Err(format!(
                "has frame version {version}; this aggregator reads {VERSION}: upgrade it and replay"
            ));
        }
        let mut value = |name: &str| {
            let word = words.next().and_then(|word| word.strip_prefix(name));
            let value = word.and_then(|word| word.strip_prefix('='));
            value.ok_or_else(|| unreadable(&format!("its first line does not say {name}")))
        };
        let number = |text: &str| {
            text.parse()
                .map_err(|_| unreadable("its first line has a number that is not one"))
        };
        let head = Self {
            events: number(value("events")?)?,
            accepted: DateTime::parse_from_rfc3339(value("accepted")?)
                .map_err(|_| unreadable("its first line has a time that is not one"))?
                .to_utc(),
            coding: match value("coding")? {
                "raw" => Coding::Raw,
                "lz4" => Coding::Lz4,
                _ => return Err(unreadable("its coding is neither raw nor lz4")),
            },
            bytes: number(value("bytes")?)?,
        };
        if words.next().is_some() {
            return Err(unreadable("its first line says more than it may"));
        }
        Ok(head)
    }
}

fn unreadable(why: &str) -> String {
    format!("is a frame that cannot be read: {why}")
}

/// Whether an element is a frame, of whatever version.
pub(crate) fn is_frame(element: &[u8]) -> bool {
    element.starts_with(MAGIC.as_bytes())
}

/// The first line of a frame, from its beginning, and the length of that line.
pub(crate) fn head(element: &[u8]) -> Result<(Head, usize), String> {
    let line = element
        .iter()
        .take(MAX_HEAD_BYTES)
        .position(|&byte| byte == b'\n');
    let line = line.ok_or_else(|| unreadable("its first line does not end"))?;
    let text =
        str::from_utf8(&element[..line]).map_err(|_| unreadable("its first line is not text"))?;
    Ok((text.parse()?, line + 1))
}

/// Reads a frame: its events, and those that are not valid.
///
/// The events share the memory of the body. It takes at most [`MAX_BODY_BYTES`], whatever the frame says.
///
/// # Errors
/// Why the frame as a whole cannot be read.
pub(crate) fn read(
    element: &Bytes,
    events: &mut Vec<Event>,
    malformed: &mut Vec<Malformed>,
) -> Result<(), String> {
    let (head, start) = head(element)?;
    let mut texts = head.body(&element.slice(start..))?;
    if texts.len() < head.events * RECORD_BYTES {
        return Err(unreadable("its body is shorter than its records"));
    }
    let records = texts.split_to(head.events * RECORD_BYTES);
    let texts = ByteString::try_from(texts).map_err(|_| unreadable("its texts are not UTF-8"))?;

    let before = (events.len(), malformed.len());
    let mut reader = Reader {
        texts: &texts,
        at: 0,
        last: ("", ""),
    };
    for record in records.chunks_exact(RECORD_BYTES) {
        let Some(parts) = reader.next(record) else {
            break;
        };
        match parts.event(&texts) {
            Ok(event) => events.push(event),
            Err(reason) => malformed.push(parts.alone(reason)),
        }
    }
    let read = events.len() - before.0 + malformed.len() - before.1;
    if read == head.events && reader.at == texts.len() {
        return Ok(());
    }
    events.truncate(before.0);
    malformed.truncate(before.1);
    Err(unreadable("its texts are not as long as its records say"))
}

/// Takes the texts apart.
struct Reader<'a> {
    texts: &'a str,
    at: usize,
    /// Topic and source of the last event.
    last: (&'a str, &'a str),
}

impl<'a> Reader<'a> {
    /// The event of the next record. `None`: the texts do not go on like this.
    fn next(&mut self, record: &[u8]) -> Option<Parts<'a>> {
        let (receipt_id, record) = record.split_first_chunk()?;
        let (micros, record) = record.split_first_chunk()?;
        let (&[topic, event_id, source], record) = record.split_first_chunk()?;
        let payload = u32::from_le_bytes(*record.first_chunk()?);
        let topic = self.text(topic.into())?;
        let event_id = self.text(event_id.into())?;
        let source = self.text(source.into())?;
        let payload = self.text(usize::try_from(payload).ok()?)?;
        let unless_empty = |name: &'a str, last| if name.is_empty() { last } else { name };
        self.last = (
            unless_empty(topic, self.last.0),
            unless_empty(source, self.last.1),
        );
        Some(Parts {
            receipt_id: Uuid::from_bytes(*receipt_id),
            micros: i64::from_le_bytes(*micros),
            topic: self.last.0,
            event_id,
            source: self.last.1,
            payload,
        })
    }

    fn text(&mut self, len: usize) -> Option<&'a str> {
        let end = self.at.checked_add(len)?;
        let text = self.texts.get(self.at..end)?;
        self.at = end;
        Some(text)
    }
}

impl<'a> Parts<'a> {
    fn of(event: &'a Event) -> Self {
        Self {
            receipt_id: event.receipt_id.0,
            micros: event.timestamp.as_datetime().timestamp_micros(),
            topic: event.topic.as_str(),
            event_id: event.event_id.as_str(),
            source: event.source.as_str(),
            payload: event.payload.as_str(),
        }
    }

    fn write_record(&self, element: &mut Vec<u8>) {
        let name = |name: &str| u8::try_from(name.len()).expect("a name has at most 255 bytes");
        let payload = u32::try_from(self.payload.len()).expect("a payload has less than 4 GiB");
        let mut record = [0; RECORD_BYTES];
        record[..16].copy_from_slice(self.receipt_id.as_bytes());
        record[16..24].copy_from_slice(&self.micros.to_le_bytes());
        record[24] = name(self.topic);
        record[25] = name(self.event_id);
        record[26] = name(self.source);
        record[27..].copy_from_slice(&payload.to_le_bytes());
        element.extend_from_slice(&record);
    }

    fn text_len(&self) -> usize {
        self.topic.len() + self.event_id.len() + self.source.len() + self.payload.len()
    }

    /// The event, whose texts are pieces of these.
    fn event(&self, texts: &ByteString) -> Result<Event, String> {
        let piece = |text: &str| texts.slice_ref(text);
        if !(self.payload.starts_with('{') && self.payload.ends_with('}')) {
            return Err("payload must be a JSON object".to_owned());
        }
        Ok(Event {
            receipt_id: ReceiptId(self.receipt_id),
            topic: field("topic", Topic::try_from(piece(self.topic)))?,
            event_id: field("event_id", EventId::try_from(piece(self.event_id)))?,
            timestamp: field("timestamp", EventTime::from_micros(self.micros))?,
            source: field("source", Source::try_from(piece(self.source)))?,
            payload: Payload::checked_before(piece(self.payload)),
        })
    }

    /// A frame of this event, which is not valid.
    fn alone(&self, reason: String) -> Malformed {
        Malformed {
            raw: element(&mut [*self]),
            reason,
        }
    }
}

fn field<T>(name: &str, value: Result<T, impl fmt::Display>) -> Result<T, String> {
    value.map_err(|error| format!("{name} {error}"))
}

impl Head {
    /// As it is written, with its end.
    fn line(&self) -> Vec<u8> {
        let mut line = Vec::with_capacity(MAX_HEAD_BYTES);
        writeln!(line, "{self}").expect("writing into memory does not fail");
        line
    }

    /// The body without its coding.
    fn body(&self, coded: &Bytes) -> Result<Bytes, String> {
        if !(1..=FRAME_MAX_EVENTS).contains(&self.events) {
            return Err(unreadable(&format!(
                "it says that it has {} events, and a frame has 1 to {FRAME_MAX_EVENTS}",
                self.events
            )));
        }
        if self.bytes > MAX_BODY_BYTES {
            return Err(unreadable(&format!(
                "it says that its body has {} bytes, and at most {MAX_BODY_BYTES} are read",
                self.bytes
            )));
        }
        let body = match self.coding {
            Coding::Raw => Some(coded.clone()),
            // No memory is taken for what cannot come out.
            Coding::Lz4 if self.bytes > coded.len().saturating_mul(LZ4_RATIO) => None,
            Coding::Lz4 => lz4_flex::block::decompress(coded, self.bytes)
                .ok()
                .map(Bytes::from),
        };
        body.filter(|body| body.len() == self.bytes)
            .ok_or_else(|| unreadable("its body is damaged"))
    }
}
