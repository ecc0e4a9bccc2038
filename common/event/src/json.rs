//! JSON text in pieces that borrow from it: what every body format needs.
//!
//! Nothing here recurses into nested values, so nesting costs no stack.

use std::{borrow::Cow, fmt, ops::ControlFlow};

use serde::{
    Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// What some editors put before a text.
pub(crate) const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The type of a JSON value ([RFC 8259, section 3](https://www.rfc-editor.org/rfc/rfc8259#section-3)).
/// Displays with its article: "a string".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonType {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl JsonType {
    /// The type of a value.
    #[must_use]
    pub fn of(value: &RawValue) -> Self {
        match value.get().as_bytes().first() {
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b'"') => Self::String,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'n') => Self::Null,
            _ => Self::Number,
        }
    }
}

impl fmt::Display for JsonType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        })
    }
}

/// A member that says something: `null` is as none.
pub(super) fn not_null(value: Option<&RawValue>) -> Option<&RawValue> {
    value.filter(|value| JsonType::of(value) != JsonType::Null)
}

/// What the JSON text of a string says; `None` if it holds half a surrogate pair, as Unicode has
/// no such character.
pub(super) fn unquote(string: &str) -> Option<Cow<'_, str>> {
    let inside = inside(string);
    if inside.contains('\\') {
        serde_json::from_str(string).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inside))
    }
}

fn inside(string: &str) -> &str {
    &string[1..string.len() - 1]
}

/// What is wrong with a JSON text, in plain words, but not where.
pub(super) fn fault(error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "it ends too early".to_owned();
    }
    let said = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let said = said.strip_suffix(&place).unwrap_or(&said);
    match said {
        "expected ident" => "only true, false and null are words",
        "expected value" => "a value must be here",
        "key must be a string" => "the name of a member must be a string in double quotes",
        "trailing comma" => "no comma may be after the last one",
        "trailing characters" => "nothing may follow the value",
        other => other,
    }
    .to_owned()
}

/// Hands over each member of the object in `text`, in order, until `visit` has seen enough, and gives what it broke off
/// with. The rest of the text must be JSON all the same.
///
/// A name with half a surrogate pair comes as it is written: like no name that anyone knows.
pub(super) fn members<'a, B>(
    text: &'a str,
    visit: impl FnMut(Cow<'a, str>, &'a RawValue) -> ControlFlow<B>,
) -> serde_json::Result<Option<B>> {
    let mut json = serde_json::Deserializer::from_str(text);
    let found = json.deserialize_map(Members(visit))?;
    json.end()?;
    Ok(found)
}

struct Members<F>(F);

impl<'a, B, F> Visitor<'a> for Members<F>
where
    F: FnMut(Cow<'a, str>, &'a RawValue) -> ControlFlow<B>,
{
    type Value = Option<B>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            let name = name.get();
            let name = unquote(name).unwrap_or(Cow::Borrowed(inside(name)));
            if let ControlFlow::Break(found) = self.0(name, value) {
                while map.next_entry::<&RawValue, IgnoredAny>()?.is_some() {}
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// The elements of an array: the first ones, and how many there are.
pub(super) struct Elements<'a> {
    pub(super) first: Vec<&'a RawValue>,
    pub(super) count: usize,
}

/// Splits the array in `text`; keeps up to `keep` elements and counts them all.
pub(super) fn elements(text: &str, keep: usize) -> serde_json::Result<Elements<'_>> {
    let mut json = serde_json::Deserializer::from_str(text);
    let elements = json.deserialize_seq(Keep(keep))?;
    json.end()?;
    Ok(elements)
}

struct Keep(usize);

impl<'a> Visitor<'a> for Keep {
    type Value = Elements<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Elements<'a>, A::Error> {
        let mut first = Vec::new();
        while first.len() < self.0 {
            match seq.next_element()? {
                Some(element) => first.push(element),
                None => break,
            }
        }
        let mut count = first.len();
        while seq.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Elements { first, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_in_order_with_their_names_unescaped() {
        let mut seen = Vec::new();
        let broken: Option<()> = members(
            r#" {"a":1, "\u0062\"":[2] ,"\ud800":{}} "#,
            |name, value| {
                seen.push((name.into_owned(), value.get()));
                ControlFlow::Continue(())
            },
        )
        .unwrap();
        assert_eq!(broken, None);
        let expected = [("a", "1"), ("b\"", "[2]"), (r"\ud800", "{}")];
        assert_eq!(seen, expected.map(|(name, value)| (name.into(), value)));
    }

    #[test]
    fn who_has_seen_enough_members_is_handed_no_more_but_all_of_them_must_be_json() {
        let mut seen = 0;
        let mut second = |text| {
            seen = 0;
            members(text, |name, _| {
                seen += 1;
                if seen == 2 {
                    ControlFlow::Break(name.into_owned())
                } else {
                    ControlFlow::Continue(())
                }
            })
        };
        assert_eq!(
            second(r#"{"a":1,"b":2,"c":3}"#).unwrap(),
            Some("b".to_owned())
        );
        assert_eq!(second(r#"{"a":1}"#).unwrap(), None);
        assert!(second(r#"{"a":1,"b":2,"\ud800":3}"#).is_ok());
        for text in [r#"{"a":1,"b":2,"c":x}"#, r#"{"a":1,"b":2"#, "{} x"] {
            assert!(second(text).is_err(), "{text}");
        }
    }

    #[test]
    fn elements_beyond_what_is_kept_are_counted_and_still_must_be_json() {
        for (text, keep, kept, count) in [
            ("[]", 0, 0, 0),
            ("[]", 2, 0, 0),
            ("[1,[2]]", 2, 2, 2),
            ("[1,2,3]", 2, 2, 3),
            ("[1,2,3]", 0, 0, 3),
        ] {
            let elements = elements(text, keep).unwrap();
            assert_eq!((elements.first.len(), elements.count), (kept, count));
        }
        assert!(elements("[1,2,x]", 1).is_err());
        assert!(elements("[1,2]]", 1).is_err());
    }

    #[test]
    fn every_type_has_a_name() {
        for (text, name) in [
            ("null", "null"),
            ("true", "a boolean"),
            ("false", "a boolean"),
            ("-1", "a number"),
            ("0", "a number"),
            (r#""""#, "a string"),
            ("[]", "an array"),
            ("{}", "an object"),
        ] {
            let value: &RawValue = serde_json::from_str(text).unwrap();
            assert_eq!(JsonType::of(value).to_string(), name);
        }
    }

    #[test]
    fn a_string_with_half_a_surrogate_pair_says_nothing() {
        for (string, text) in [
            (r#""""#, Some("")),
            (r#""plain é""#, Some("plain é")),
            (r#""\"\u00e9\ud83e\udd80""#, Some("\"é🦀")),
            (r#""\ud83e""#, None),
            (r#""\udd80""#, None),
        ] {
            assert_eq!(unquote(string).as_deref(), text);
        }
    }
}
