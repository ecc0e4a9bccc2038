//! The client's data: a JSON object, kept as the text it came in.
//!
//! PostgreSQL keeps it as `jsonb`, so what `jsonb` cannot hold, or would change without a word, is
//! refused here, where the client can still be told.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt};

use bytestring::ByteString;
use serde::{Serialize, Serializer, ser};
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
/// Equal if the texts are. A clone shares its text, which may be a piece of a larger one, such as the body of a request.
/// Its `Debug` keeps the content to itself: payloads never reach a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(ByteString);

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
    pub const fn empty() -> Self {
        Self(ByteString::from_static("{}"))
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A bound, in bytes, of the text with each number written out, as `jsonb` gives it back: the
    /// 8 bytes of `1e131071` become 131072. Without exponents it is the length of the text. It is counted anew each time.
    #[must_use]
    pub fn written_out_len(&self) -> usize {
        check(&self.0).unwrap_or(self.0.len())
    }

    /// A payload, and its [`written_out_len`](Self::written_out_len).
    pub(crate) fn measured(value: &RawValue) -> Result<(Self, usize), PayloadError> {
        let written_out_len = check_object(value)?;
        Ok((Self(value.get().into()), written_out_len))
    }

    /// A text of which the caller knows that [`check`](check()) has nothing against it.
    pub(crate) const fn checked_before(text: ByteString) -> Self {
        Self(text)
    }
}

impl TryFrom<&RawValue> for Payload {
    type Error = PayloadError;

    fn try_from(value: &RawValue) -> Result<Self, PayloadError> {
        Ok(Self::measured(value)?.0)
    }
}

impl TryFrom<Box<RawValue>> for Payload {
    type Error = PayloadError;

    fn try_from(value: Box<RawValue>) -> Result<Self, PayloadError> {
        check_object(&value)?;
        Ok(Self(Box::<str>::from(value).into()))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.as_str().len())
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text: &RawValue = serde_json::from_str(&self.0).map_err(ser::Error::custom)?;
        text.serialize(serializer)
    }
}

/// A member's name and where it is.
pub(crate) type Name<'a> = (Cow<'a, str>, usize);

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
pub(crate) fn check_names(names: &mut [Name<'_>]) -> Result<(), PayloadError> {
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
pub(crate) fn written_out(number: &str) -> Option<usize> {
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
