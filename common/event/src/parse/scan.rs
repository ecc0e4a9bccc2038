//! Reads a batch in one pass: its grammar, the members of its events, and what `jsonb` can hold are looked at together, and
//! the events are pieces of the text, without a copy.
//!
//! It reads only what is well-formed and valid, and gives up at the first byte that is not. Then the body is read again by
//! the parser that knows what is wrong and what would be right. Both accept the same bodies and make the same events of
//! them: a test holds them against each other.

use std::borrow::Cow;

use bytestring::ByteString;

use super::{Limits, Parsed, Receipts, Shape};
use crate::{
    Event, EventId, EventTime, Payload, Source, Topic,
    json::{self, BYTE_ORDER_MARK},
    payload::{MAX_PAYLOAD_DEPTH, Name, check_names, written_out},
};

/// An object with up to so many members is searched for names that repeat without sorting them.
const FEW_NAMES: usize = 8;
/// A number of up to so many characters that has no exponent is within every range.
const SHORT_NUMBER: usize = 64;

/// A body: one event, an array of events, or `{"events": …}`. `None`: it is not valid as a whole, or has no events, or too
/// many.
pub(super) fn body(text: &ByteString, limits: &Limits, receipts: &Receipts) -> Option<Parsed> {
    let mut scan = Scan::new(text, limits, receipts);
    if text.starts_with(BYTE_ORDER_MARK) {
        scan.at = BYTE_ORDER_MARK.len();
    }
    let parsed = match scan.next_token()? {
        b'[' => scan.array()?,
        b'{' => match scan.events_member() {
            Some(()) => {
                let parsed = match scan.next_token()? {
                    b'[' => scan.array()?,
                    b'{' => {
                        let mut parsed = Parsed::new(Shape::Many);
                        parsed.add(Ok(scan.event()?));
                        parsed
                    }
                    _ => return None,
                };
                scan.expect(b'}')?;
                parsed
            }
            None => Parsed::one(Ok(scan.event()?)),
        },
        _ => return None,
    };
    scan.ends().then_some(parsed)
}

/// A text that is one event, and nothing else.
pub(crate) fn event(text: &ByteString, limits: &Limits, receipts: &Receipts) -> Option<Event> {
    let mut scan = Scan::new(text, limits, receipts);
    if scan.next_token()? != b'{' {
        return None;
    }
    let event = scan.event()?;
    scan.ends().then_some(event)
}

struct Scan<'a> {
    text: &'a ByteString,
    bytes: &'a [u8],
    at: usize,
    limits: &'a Limits,
    receipts: &'a Receipts,
    /// The names of all open objects of a payload.
    names: Vec<Name<'a>>,
    /// What writing out the numbers of a payload adds to its length.
    written_out: usize,
}

impl<'a> Scan<'a> {
    fn new(text: &'a ByteString, limits: &'a Limits, receipts: &'a Receipts) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
            limits,
            receipts,
            names: Vec::new(),
            written_out: 0,
        }
    }

    /// The byte after the whitespace that may be here. It is not passed over.
    fn next_token(&mut self) -> Option<u8> {
        loop {
            match *self.bytes.get(self.at)? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    fn expect(&mut self, token: u8) -> Option<()> {
        let found = self.next_token()? == token;
        self.at += 1;
        found.then_some(())
    }

    fn ends(&mut self) -> bool {
        self.next_token().is_none()
    }

    /// Passes over `{"events":`, if that is here.
    fn events_member(&mut self) -> Option<()> {
        let start = self.at;
        self.at += 1;
        let begins =
            self.next_token() == Some(b'"') && self.bytes[self.at..].starts_with(b"\"events\"");
        if begins {
            self.at += b"\"events\"".len();
            self.expect(b':')
        } else {
            self.at = start;
            None
        }
    }

    /// Passes over the comma or the end of an array or object. Says whether there is more.
    fn goes_on(&mut self, end: u8) -> Option<bool> {
        let token = self.next_token()?;
        self.at += 1;
        match token {
            b',' => Some(true),
            token if token == end => Some(false),
            _ => None,
        }
    }

    /// The events of an array, which begins here.
    fn array(&mut self) -> Option<Parsed> {
        self.expect(b'[')?;
        let mut parsed = Parsed::new(Shape::Many);
        loop {
            if parsed.events.len() == self.limits.max_events || self.next_token()? != b'{' {
                return None;
            }
            parsed.events.push(self.event()?);
            if !self.goes_on(b']')? {
                return Some(parsed);
            }
        }
    }

    /// The event that begins here.
    fn event(&mut self) -> Option<Event> {
        let start = self.at;
        self.written_out = 0;
        let mut members = Members::default();
        self.expect(b'{')?;
        loop {
            let name = self.plain_string()?;
            self.expect(b':')?;
            self.member(name, &mut members)?;
            if !self.goes_on(b'}')? {
                break;
            }
        }
        let len = self.at - start;
        if len.saturating_add(self.written_out) > self.limits.max_event_bytes {
            return None;
        }
        let (topic, event_id) = match (members.topic, members.event_id, members.id) {
            (Some(topic), Some(id), None) | (Some(topic), None, Some(id)) => (topic, id),
            (None, None, Some(id)) => (Topic::fallback(), id),
            _ => return None,
        };
        Some(Event {
            topic,
            event_id,
            timestamp: members.timestamp.unwrap_or_else(|| self.receipts.time()),
            source: members.source.unwrap_or_else(Source::unknown),
            payload: members.payload.unwrap_or_else(Payload::empty),
            receipt_id: self.receipts.next(),
        })
    }

    /// The value of a member of an event. It may be `null`, which is as if the member were not there.
    fn member(&mut self, name: &str, members: &mut Members) -> Option<()> {
        let seen = match name {
            "topic" => 1,
            "event_id" => 1 << 1,
            "id" => 1 << 2,
            "timestamp" => 1 << 3,
            "source" => 1 << 4,
            "payload" => 1 << 5,
            _ => return None,
        };
        if members.seen & seen != 0 {
            return None;
        }
        members.seen |= seen;
        if self.next_token()? == b'n' {
            return self.word("null");
        }
        match name {
            "topic" => members.topic = Some(self.name()?),
            "event_id" => members.event_id = Some(self.name()?),
            "id" => members.id = Some(self.name()?),
            "source" => members.source = Some(self.name()?),
            "timestamp" => members.timestamp = Some(self.plain_string()?.parse().ok()?),
            _ => members.payload = Some(self.payload()?),
        }
        Some(())
    }

    fn name<T: TryFrom<ByteString>>(&mut self) -> Option<T> {
        let text = match self.string()? {
            Cow::Borrowed(plain) => self.text.slice_ref(plain),
            Cow::Owned(unquoted) => unquoted.into(),
        };
        T::try_from(text).ok()
    }

    fn payload(&mut self) -> Option<Payload> {
        let start = self.at;
        if self.next_token()? != b'{' {
            return None;
        }
        self.value(0)?;
        let text = &self.text[start..self.at];
        Some(Payload::checked_before(self.text.slice_ref(text)))
    }

    /// Passes over a value in a payload, within so many objects and arrays.
    fn value(&mut self, depth: usize) -> Option<()> {
        match self.next_token()? {
            b'"' => self.string_end().map(drop),
            b'{' => self.object(depth),
            b'[' => {
                if depth == MAX_PAYLOAD_DEPTH {
                    return None;
                }
                self.at += 1;
                if self.next_token()? == b']' {
                    self.at += 1;
                    return Some(());
                }
                loop {
                    self.value(depth + 1)?;
                    if !self.goes_on(b']')? {
                        return Some(());
                    }
                }
            }
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            b'-' | b'0'..=b'9' => self.number(),
            _ => None,
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        if depth == MAX_PAYLOAD_DEPTH {
            return None;
        }
        self.at += 1;
        if self.next_token()? == b'}' {
            self.at += 1;
            return Some(());
        }
        let opened = self.names.len();
        loop {
            let at = self.at;
            let name = self.string()?;
            self.names.push((name, at));
            self.expect(b':')?;
            self.value(depth + 1)?;
            if !self.goes_on(b'}')? {
                break;
            }
        }
        let names = &mut self.names[opened..];
        let each_once = if names.len() <= FEW_NAMES {
            let repeats = |at: usize| names[..at].iter().any(|(name, _)| *name == names[at].0);
            !(1..names.len()).any(repeats)
        } else {
            check_names(names).is_ok()
        };
        self.names.truncate(opened);
        each_once.then_some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let found = self.bytes[self.at..].starts_with(word.as_bytes());
        self.at += word.len();
        found.then_some(())
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        self.at += usize::from(self.bytes[start] == b'-');
        match self.bytes.get(self.at)? {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        let has_exponent = matches!(self.bytes.get(self.at), Some(b'e' | b'E'));
        if has_exponent {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        let number = &self.text[start..self.at];
        if has_exponent || number.len() > SHORT_NUMBER {
            // With a negative exponent it may be shorter, which does not matter: it is a bound.
            let added = written_out(number)?.saturating_sub(number.len());
            self.written_out = self.written_out.saturating_add(added);
        }
        Some(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// What the string says that comes next.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        if self.next_token()? != b'"' {
            return None;
        }
        let start = self.at;
        let has_escapes = self.string_end()?;
        let quoted = &self.text[start..self.at];
        if has_escapes {
            json::unquote(quoted)
        } else {
            Some(Cow::Borrowed(&quoted[1..quoted.len() - 1]))
        }
    }

    /// What the string says that comes next, if it has no escapes.
    fn plain_string(&mut self) -> Option<&'a str> {
        match self.string()? {
            Cow::Borrowed(plain) => Some(plain),
            Cow::Owned(_) => None,
        }
    }

    /// Passes over the string that begins here. Says whether it has escapes.
    fn string_end(&mut self) -> Option<bool> {
        self.at += 1;
        let mut has_escapes = false;
        loop {
            self.at = special(self.bytes, self.at)?;
            match self.bytes[self.at] {
                b'"' => {
                    self.at += 1;
                    return Some(has_escapes);
                }
                b'\\' => {
                    has_escapes = true;
                    self.escape()?;
                }
                _ => return None,
            }
        }
    }

    /// Passes over an escape, or over two that make a character together.
    fn escape(&mut self) -> Option<()> {
        match self.bytes.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                self.at += 2;
                Some(())
            }
            b'u' => match self.code_unit()? {
                // A string of `jsonb` does not hold it.
                0 | 0xDC00..=0xDFFF => None,
                0xD800..=0xDBFF => match self.code_unit()? {
                    0xDC00..=0xDFFF => Some(()),
                    _ => None,
                },
                _ => Some(()),
            },
            _ => None,
        }
    }

    /// Passes over an escape of four hexadecimal digits.
    fn code_unit(&mut self) -> Option<u16> {
        let digits = self.text.get(self.at..self.at + 6)?.strip_prefix("\\u")?;
        self.at += 6;
        // A sign is not a digit.
        let all_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        all_digits.then(|| u16::from_str_radix(digits, 16).ok())?
    }
}

/// The members of an event.
#[derive(Default)]
struct Members {
    /// A bit for each member that was there.
    seen: u8,
    topic: Option<Topic>,
    event_id: Option<EventId>,
    id: Option<EventId>,
    timestamp: Option<EventTime>,
    source: Option<Source>,
    payload: Option<Payload>,
}

/// Eight bytes that are 1, and eight that are 128.
const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = ONES << 7;

/// Where the next byte is that ends a string, begins an escape, or may not be in a string: quote, backslash, or a control
/// character of ASCII. It looks at eight bytes at a time
/// ([Bit Twiddling Hacks](https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord)).
fn special(bytes: &[u8], mut at: usize) -> Option<usize> {
    // Marks each byte that is smaller. Above the first that is, it may mark others, too.
    let less = |word: u64, than: u8| word.wrapping_sub(ONES * u64::from(than)) & !word & HIGH;
    let equal = |word: u64, byte: u8| less(word ^ (ONES * u64::from(byte)), 1);
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*eight);
        let marks = less(word, b' ') | equal(word, b'"') | equal(word, b'\\');
        if marks != 0 {
            return Some(at + marks.trailing_zeros() as usize / 8);
        }
        at += eight.len();
    }
    let is_special = |&byte: &u8| byte < b' ' || byte == b'"' || byte == b'\\';
    let rest = bytes.get(at..)?.iter().position(is_special)?;
    Some(at + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_special_byte_is_found_wherever_it_is() {
        for special_byte in [b'"', b'\\', b'\n', 0, 0x1f] {
            for length in 0..40 {
                for at in 0..length {
                    // Bytes that differ from special ones in one bit, and those above 127, are not special.
                    let plain = [0x20, 0x21, 0x23, 0x5d, 0x7f, 0x80, 0x9f, 0xa2, 0xdc, 0xff];
                    let mut bytes: Vec<u8> = plain.into_iter().cycle().take(length).collect();
                    assert_eq!(special(&bytes, 0), None);
                    bytes[at] = special_byte;
                    assert_eq!(special(&bytes, 0), Some(at));
                    assert_eq!(special(&bytes, at), Some(at));
                }
            }
        }
    }
}
