//! The client's data: a JSON object, kept as the text it came in.
//!
//! PostgreSQL keeps it as `jsonb`, so what `jsonb` cannot hold, or would change without a word, is
//! refused here, where the client can still be told.

use std::{borrow::Cow, fmt};

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::json::{self, JsonType};

/// Most objects and arrays within each other, the payload itself included.
pub const MAX_PAYLOAD_DEPTH: usize = 128;
/// Most digits of a number before its decimal point, as PostgreSQL's `numeric` holds them.
pub const MAX_WHOLE_DIGITS: usize = 131_072;
/// Most digits of a number after its decimal point, as PostgreSQL's `numeric` holds them.
pub const MAX_FRACTION_DIGITS: usize = 16_383;
/// Largest exponent, either way, that PostgreSQL reads at all; it tells only for zeros.
const MAX_EXPONENT: i64 = 1_000_000_000;

/// A JSON object that `jsonb` holds faithfully, byte for byte as the client wrote it.
///
/// Equal if the texts are. Its `Debug` keeps the content to itself: payloads never reach a log.
#[derive(Clone)]
pub struct Payload {
    text: Box<RawValue>,
    written_out_len: usize,
}

/// Why a JSON value is no [`Payload`]. Places are bytes from its start; nothing of the content is
/// repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// It is of another type.
    #[error("must be a JSON object, got {0}")]
    NotAnObject(JsonType),
    /// More than [`MAX_PAYLOAD_DEPTH`] objects and arrays within each other.
    #[error("is nested too deep at byte {at}; at most {MAX_PAYLOAD_DEPTH} levels are allowed")]
    TooDeep {
        /// Where the first level too many opens.
        at: usize,
    },
    /// A string or name has the character U+0000.
    #[error("has the character U+0000 at byte {at}; leave it out")]
    Nul {
        /// Where its escape is.
        at: usize,
    },
    /// A string or name has half a surrogate pair.
    #[error(
        "has half a surrogate pair at byte {at}; write \\uD800 to \\uDBFF and \\uDC00 to \\uDFFF only as a pair, or the character itself"
    )]
    LoneSurrogate {
        /// Where its escape is.
        at: usize,
    },
    /// A number is out of the range of PostgreSQL's `numeric`.
    #[error(
        "has a number out of range at byte {at}; written out it may have {MAX_WHOLE_DIGITS} digits before and {MAX_FRACTION_DIGITS} after the decimal point"
    )]
    NumberOutOfRange {
        /// Where the number is.
        at: usize,
    },
    /// An object has a name twice.
    #[error("has a member at byte {at} whose name its object has already; give each name once")]
    DuplicateName {
        /// Where the name is again.
        at: usize,
    },
}

impl Payload {
    /// The payload of an event that brings none: `{}`.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "the text is JSON")]
    pub fn empty() -> Self {
        let text = RawValue::from_string("{}".to_owned()).expect("{} is JSON");
        Self {
            written_out_len: text.get().len(),
            text,
        }
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.get()
    }

    /// A bound, in bytes, of the text with each number written out, as `jsonb` gives it back: the
    /// 8 bytes of `1e131071` become 131072. Without exponents it is the length of the text.
    #[must_use]
    pub fn written_out_len(&self) -> usize {
        self.written_out_len
    }
}

impl TryFrom<&RawValue> for Payload {
    type Error = PayloadError;

    fn try_from(value: &RawValue) -> Result<Self, PayloadError> {
        Ok(Self {
            written_out_len: check_object(value)?,
            text: value.to_owned(),
        })
    }
}

impl TryFrom<Box<RawValue>> for Payload {
    type Error = PayloadError;

    fn try_from(text: Box<RawValue>) -> Result<Self, PayloadError> {
        Ok(Self {
            written_out_len: check_object(&text)?,
            text,
        })
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Payload {}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.as_str().len())
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

/// A member's name and where it is.
type Name<'a> = (Cow<'a, str>, usize);

/// Checks that a JSON value can be a payload and gives its length with the numbers written out.
fn check_object(value: &RawValue) -> Result<usize, PayloadError> {
    match JsonType::of(value) {
        JsonType::Object => check(value.get()),
        other => Err(PayloadError::NotAnObject(other)),
    }
}

/// Checks a JSON text in one pass and gives its length with the numbers written out.
///
/// The text is known to be JSON, so it takes no grammar to find what matters in it.
fn check(text: &str) -> Result<usize, PayloadError> {
    let bytes = text.as_bytes();
    let mut written_out_len = bytes.len();
    // The names of all open objects, and for each level how many there were when it opened.
    let mut names: Vec<Name<'_>> = Vec::new();
    let mut opened = [0; MAX_PAYLOAD_DEPTH];
    let mut depth = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => {
                let level = opened.get_mut(depth);
                *level.ok_or(PayloadError::TooDeep { at })? = names.len();
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth -= 1;
                check_names(&mut names[opened[depth]..])?;
                names.truncate(opened[depth]);
                at += 1;
            }
            b'"' => {
                let end = string_end(bytes, at)?;
                if names_a_member(&bytes[end..]) {
                    let name = json::unquote(&text[at..end]);
                    names.push((name.ok_or(PayloadError::LoneSurrogate { at })?, at));
                }
                at = end;
            }
            b'-' | b'0'..=b'9' => {
                let end = number_end(bytes, at);
                let number = &text[at..end];
                let digits = written_out(number).ok_or(PayloadError::NumberOutOfRange { at })?;
                written_out_len = (written_out_len - number.len()).saturating_add(digits);
                at = end;
            }
            _ => at += 1,
        }
    }
    Ok(written_out_len)
}

/// Whether the string before `rest` is the name of a member: only that is followed by a colon.
fn names_a_member(rest: &[u8]) -> bool {
    rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

/// Each name of an object must be there once. Sorting finds out without hashing, and an object is
/// mostly too small for it to take long.
fn check_names(names: &mut [Name<'_>]) -> Result<(), PayloadError> {
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(PayloadError::DuplicateName { at: pair[1].1 }),
        None => Ok(()),
    }
}

/// Where the string that opens at `at` is over; checks its escapes.
fn string_end(bytes: &[u8], at: usize) -> Result<usize, PayloadError> {
    let mut at = at + 1;
    loop {
        match bytes.get(at) {
            Some(b'"') | None => return Ok(at + 1),
            Some(b'\\') => at = escape_end(bytes, at)?,
            Some(_) => at += 1,
        }
    }
}

/// Where the escape at `at`, or the pair of them, is over.
fn escape_end(bytes: &[u8], at: usize) -> Result<usize, PayloadError> {
    match code_unit(bytes, at) {
        None => Ok(at + r"\n".len()),
        Some(0) => Err(PayloadError::Nul { at }),
        Some(0xD800..=0xDBFF) => match code_unit(bytes, at + ESCAPED_CODE_UNIT) {
            Some(0xDC00..=0xDFFF) => Ok(at + 2 * ESCAPED_CODE_UNIT),
            _ => Err(PayloadError::LoneSurrogate { at }),
        },
        Some(0xDC00..=0xDFFF) => Err(PayloadError::LoneSurrogate { at }),
        Some(_) => Ok(at + ESCAPED_CODE_UNIT),
    }
}

/// Length of an escape with four hexadecimal digits.
const ESCAPED_CODE_UNIT: usize = r"\u0000".len();

/// The UTF-16 code unit whose escape is at `at`; `None` if something else is there.
fn code_unit(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + ESCAPED_CODE_UNIT)?;
    let hex = std::str::from_utf8(escape.strip_prefix(br"\u")?).ok()?;
    u16::from_str_radix(hex, 16).ok()
}

/// Where the number that begins at `at` is over.
fn number_end(bytes: &[u8], at: usize) -> usize {
    let len = bytes[at..]
        .iter()
        .take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
        .count();
    at + len
}

/// Length of a number without an exponent, as PostgreSQL's `numeric` keeps and prints it: all
/// digits count after the decimal point, even zeros; before it only those from the first that is
/// not zero. `None` if it does not hold them.
fn written_out(number: &str) -> Option<usize> {
    let unsigned = number.trim_start_matches('-');
    let sign = number.len() - unsigned.len();
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
        None => (unsigned, 0),
    };
    if !(-MAX_EXPONENT..=MAX_EXPONENT).contains(&exponent) {
        return None;
    }
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));

    let mut digits = whole.bytes().chain(fraction.bytes());
    let whole_digits = match digits.position(|digit| digit != b'0') {
        Some(zeros) => shifted(whole.len(), exponent)? - i64::try_from(zeros).ok()?,
        None => 1,
    };
    let whole_digits = usize::try_from(whole_digits.max(1)).ok()?;
    let fraction_digits = usize::try_from(shifted(fraction.len(), -exponent)?.max(0)).ok()?;
    if whole_digits > MAX_WHOLE_DIGITS || fraction_digits > MAX_FRACTION_DIGITS {
        return None;
    }
    let point = usize::from(fraction_digits > 0);
    Some(sign + whole_digits + point + fraction_digits)
}

/// How many digits there are on one side of the decimal point after it moved away by `by`.
fn shifted(digits: usize, by: i64) -> Option<i64> {
    i64::try_from(digits).ok()?.checked_add(by)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;

    fn payload(text: &str) -> Result<Payload, PayloadError> {
        let value: &RawValue = serde_json::from_str(text).expect(text);
        Payload::try_from(value)
    }

    fn nested(depth: usize, open: &str, close: &str) -> String {
        let inner = depth - 1;
        format!(r#"{{"a":{}1{}}}"#, open.repeat(inner), close.repeat(inner))
    }

    #[test]
    fn the_text_is_kept_byte_for_byte() {
        for text in [
            "{}",
            "{ \"b\" : 1.50 ,\n\"a\":[ ] }",
            r#"{"é":"\u00e9\/\ud83e\udd80🦀","":-0.0e+5}"#,
        ] {
            let payload = payload(text).unwrap();
            assert_eq!(payload.as_str(), text);
            assert_eq!(serde_json::to_string(&payload).unwrap(), text);
        }
        assert_eq!(Payload::empty(), payload("{}").unwrap());
        assert_ne!(Payload::empty(), payload("{ }").unwrap());
    }

    #[test]
    fn the_content_stays_out_of_logs() {
        let secret = payload(r#"{"password":"x"}"#).unwrap();
        assert_eq!(format!("{secret:?}"), "Payload(16 bytes)");
    }

    #[test]
    fn only_an_object_is_a_payload() {
        for (text, message) in [
            ("null", "must be a JSON object, got null"),
            ("\"x\"", "must be a JSON object, got a string"),
            ("[{}]", "must be a JSON object, got an array"),
        ] {
            assert_eq!(payload(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn nesting_ends_at_the_bound() {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"a":"#, "}]")] {
            let step = open.matches(['[', '{']).count();
            let deepest = (MAX_PAYLOAD_DEPTH - 1) / step;
            assert!(payload(&nested(deepest + 1, open, close)).is_ok());
            let refused = payload(&nested(deepest + 2, open, close));
            assert!(matches!(refused, Err(PayloadError::TooDeep { .. })));
        }
        // Depth, not count.
        assert!(payload(&format!(r#"{{"a":[{}[]]}}"#, "[],".repeat(1000))).is_ok());
    }

    #[test]
    fn what_jsonb_cannot_hold_is_refused_where_it_is() {
        use PayloadError::{DuplicateName, LoneSurrogate, Nul, NumberOutOfRange, TooDeep};
        for (text, error) in [
            (r#"{"a":"\u0000"}"#, Nul { at: 6 }),
            (r#"{"a":"é\n\u0000"}"#, Nul { at: 10 }),
            (r#"{"\u0000":1}"#, Nul { at: 2 }),
            (r#"{"a":[{"b":"\\\u0000"}]}"#, Nul { at: 14 }),
            (r#"{"a":"\ud800"}"#, LoneSurrogate { at: 6 }),
            (r#"{"a":"\uDBFF\n"}"#, LoneSurrogate { at: 6 }),
            (r#"{"a":"\ud800\ud800\udc00"}"#, LoneSurrogate { at: 6 }),
            (r#"{"a":"\udc00\ud800"}"#, LoneSurrogate { at: 6 }),
            (r#"{"a":"\ud83e\udd80\uDFFF"}"#, LoneSurrogate { at: 18 }),
            (r#"{"\ud800":1}"#, LoneSurrogate { at: 2 }),
            (r#"{"a":[1,1e131072]}"#, NumberOutOfRange { at: 8 }),
            (r#"{"a":-1e-16384 }"#, NumberOutOfRange { at: 5 }),
            (r#"{"a":1,"a":1}"#, DuplicateName { at: 7 }),
            (r#"{"a":1,"b":1,"\u0061" :1}"#, DuplicateName { at: 13 }),
            (r#"{"x":[{"":{},"":[]}]}"#, DuplicateName { at: 13 }),
            (r#"{"a":{"b":1},"b":2,"a":3}"#, DuplicateName { at: 19 }),
            (&nested(129, "[", "]"), TooDeep { at: 132 }),
        ] {
            assert_eq!(payload(text), Err(error), "{text}");
        }
    }

    #[test]
    fn what_only_looks_wrong_is_accepted() {
        for text in [
            r#"{"a":"\\u0000 \\ud800"}"#,
            r#"{"a":"\ud83e\udd80\uD83E\uDD80"}"#,
            r#"{"a":{"a":{"a":1}},"b":{"a":1}}"#,
            r#"{"a":["a","a","b"],"b":"a"}"#,
            r#"{"a":1,"A":1,"a ":1,"á":1,"a\u0301":1}"#,
            r#"{"a":"{[{[\"","b":"1e999999"}"#,
            r#"{"a":true,"b":false,"c":null}"#,
        ] {
            assert!(payload(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_duplicate_among_many_names_is_found() {
        let many: Vec<_> = (0..5000).map(|n| format!(r#""{n}":{n}"#)).collect();
        let many = many.join(",");
        assert!(payload(&format!("{{{many}}}")).is_ok());
        let again = payload(&format!(r#"{{{many},"2500":0}}"#));
        let at = many.len() + 2;
        assert_eq!(again, Err(PayloadError::DuplicateName { at }));
    }

    /// Lengths as PostgreSQL 15 printed them; `None` is "value overflows numeric format".
    #[test]
    fn numbers_are_held_and_written_out_as_postgresql_does() {
        let zeros = |count| "0".repeat(count);
        for (number, len) in [
            ("0", Some(1)),
            ("-1", Some(2)),
            ("0.10", Some(4)),
            ("1e+5", Some(6)),
            ("1E-3", Some(5)),
            ("12.50e1", Some(5)),
            ("12.50e-1", Some(5)),
            ("-12.50e-1", Some(6)),
            ("0.00e1", Some(3)),
            ("0.05e1", Some(3)),
            ("0e5", Some(1)),
            ("0e131072", Some(1)),
            ("1e131071", Some(131_072)),
            ("1e131072", None),
            ("9.99e131071", Some(131_072)),
            ("1000e131068", Some(131_072)),
            ("1000e131069", None),
            ("0.000001e131077", Some(131_072)),
            ("0.000001e131078", None),
            ("1e-16383", Some(16_385)),
            ("1e-16384", None),
            ("1.0e-16383", None),
            ("0e-16383", Some(16_385)),
            ("0e-16384", None),
            ("1e0000000000000000000000000005", Some(6)),
            ("0e9999999999999999999", None),
            ("1e-9999999999999999999", None),
            ("1e9223372036854775807", None),
            ("1e-9223372036854775808", None),
            (&format!("0.{}1e131272", zeros(200)), Some(131_072)),
            (&format!("0.{}1e131273", zeros(200)), None),
            (&format!("1{}e-16383", zeros(16_383)), Some(16_385)),
            (&format!("1{}e-16384", zeros(16_383)), None),
            (&format!("0.{}", zeros(16_383)), Some(16_385)),
            (&format!("0.{}", zeros(16_384)), None),
            (&format!("0.{}e1", zeros(16_384)), Some(16_385)),
            (&format!("1{}", zeros(131_071)), Some(131_072)),
            (&format!("1{}", zeros(131_072)), None),
        ] {
            let shown = &number[..number.len().min(40)];
            assert_eq!(written_out(number), len, "{shown}");
            let held = payload(&format!(r#"{{"a":[{number}]}}"#));
            let held = held.ok().map(|payload| payload.written_out_len());
            assert_eq!(held, len.map(|len| len + r#"{"a":[]}"#.len()), "{shown}");
        }
    }

    #[test]
    fn many_large_numbers_add_up() {
        let written_out = payload(r#"{"a":[1e131071,1e131071,2.5]}"#).unwrap();
        assert_eq!(written_out.written_out_len(), 2 * 131_072 + 13);
    }

    /// JSON as it may be written, right or wrong for a payload.
    #[derive(Debug, Clone)]
    enum Tree {
        Scalar(&'static str),
        String(Vec<Piece>),
        Array(Vec<Tree>),
        Object(Vec<(Vec<Piece>, Tree)>),
    }

    #[derive(Debug, Clone, PartialEq)]
    enum Piece {
        Plain(char),
        Escaped(u16),
    }

    impl Tree {
        fn write(&self, out: &mut String) {
            match self {
                Self::Scalar(text) => out.push_str(text),
                Self::String(pieces) => write_string(pieces, out),
                Self::Array(items) => {
                    out.push('[');
                    for (n, item) in items.iter().enumerate() {
                        out.push_str(if n > 0 { " , " } else { "" });
                        item.write(out);
                    }
                    out.push(']');
                }
                Self::Object(members) => {
                    out.push('{');
                    for (n, (name, value)) in members.iter().enumerate() {
                        out.push_str(if n > 0 { "," } else { "" });
                        write_string(name, out);
                        out.push_str("\n: ");
                        value.write(out);
                    }
                    out.push('}');
                }
            }
        }

        /// The rules again, told of the tree instead of the text.
        fn is_faithful(&self) -> bool {
            match self {
                Self::Scalar(_) => true,
                Self::String(pieces) => meaning(pieces).is_some(),
                Self::Array(items) => items.iter().all(Self::is_faithful),
                Self::Object(members) => {
                    let names: Option<std::collections::HashSet<_>> =
                        members.iter().map(|(name, _)| meaning(name)).collect();
                    names.is_some_and(|names| names.len() == members.len())
                        && members.iter().all(|(_, value)| value.is_faithful())
                }
            }
        }
    }

    fn write_string(pieces: &[Piece], out: &mut String) {
        out.push('"');
        for piece in pieces {
            match piece {
                Piece::Plain(c @ ('"' | '\\')) => out.extend(['\\', *c]),
                Piece::Plain(c) => out.push(*c),
                Piece::Escaped(unit) => write!(out, "\\u{unit:04X}").unwrap(),
            }
        }
        out.push('"');
    }

    fn meaning(pieces: &[Piece]) -> Option<String> {
        let mut units = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Plain(c) => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
                Piece::Escaped(unit) => units.push(*unit),
            }
        }
        let text = String::from_utf16(&units).ok()?;
        (!text.contains('\0')).then_some(text)
    }

    fn string() -> impl Strategy<Value = Vec<Piece>> {
        let piece = prop_oneof![
            20 => prop::sample::select(vec!['a', 'b', 'u', '0', '"', '\\', '{', ':', 'é', '🦀'])
                .prop_map(Piece::Plain),
            4 => prop::sample::select(vec![0x61_u16, 0x22, 0x5C, 0xE9]).prop_map(Piece::Escaped),
            1 => prop::sample::select(vec![0_u16, 0xD83E, 0xDD80]).prop_map(Piece::Escaped),
        ];
        let pair = Just(vec![Piece::Escaped(0xD83E), Piece::Escaped(0xDD80)]);
        prop_oneof![4 => prop::collection::vec(piece, 0..5), 1 => pair]
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let scalars = vec!["null", "true", "false", "0", "-1.5e+3", "1E-3"];
        let leaf = prop_oneof![
            prop::sample::select(scalars).prop_map(Tree::Scalar),
            string().prop_map(Tree::String),
        ];
        let inner = leaf.prop_recursive(4, 24, 4, |inner| {
            let member = (string(), inner.clone());
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Tree::Array),
                prop::collection::vec(member, 0..4).prop_map(Tree::Object),
            ]
        });
        prop::collection::vec((string(), inner), 0..4).prop_map(Tree::Object)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn exactly_what_jsonb_holds_faithfully_is_accepted(tree in tree()) {
            let mut text = String::new();
            tree.write(&mut text);
            let accepted = payload(&text);
            prop_assert_eq!(accepted.is_ok(), tree.is_faithful(), "{}: {:?}", text, accepted);
            if accepted.is_ok() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
            }
        }
    }
}
