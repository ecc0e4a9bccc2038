//! Query parameters: each is read as text and parsed by name, so that the answer to a bad one names
//! it.

use std::{
    error,
    fmt::{self, Display},
};

use actix_web::HttpRequest;
use event::parse::quoted;
use percent_encoding::percent_decode_str;
use serde::{
    Deserializer,
    de::{self, DeserializeOwned, IntoDeserializer, Visitor, value::MapDeserializer},
    forward_to_deserialize_any,
};

use crate::problem::{Kind, Problem};

/// Most characters of what is said about what a client chose: it may be repeated there.
const MAX_SAID_CHARS: usize = 200;

/// The query string; unknown parameters are refused by the type.
///
/// # Errors
/// [`Kind::InvalidParameter`]
pub fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, Problem> {
    parse(request.query_string())
        .map_err(|QueryError(detail)| Problem::new(Kind::InvalidParameter, detail))
}

fn parse<T: DeserializeOwned>(query: &str) -> Result<T, QueryError> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decoded(name, name)?, Value(decoded(name, value)?)))
    });
    let pairs: Vec<_> = pairs.collect::<Result<_, QueryError>>()?;
    T::deserialize(MapDeserializer::new(pairs.into_iter()))
}

/// What a part of the query string says, of the parameter with this name.
fn decoded(name: &str, part: &str) -> Result<String, QueryError> {
    let spaced = part.replace('+', " ");
    let text = percent_decode_str(&spaced).decode_utf8();
    let text = text.map_err(|_| {
        let name = quoted(name);
        QueryError(format!(
            "parameter {name} is not UTF-8; percent-encode the bytes of its UTF-8"
        ))
    })?;
    Ok(text.into_owned())
}

/// The text of one parameter.
struct Value(String);

impl IntoDeserializer<'_, QueryError> for Value {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Value {
    type Error = QueryError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_string(self.0)
    }

    /// What is there is never absent.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// What is wrong with a query string.
#[derive(Debug, PartialEq, Eq)]
struct QueryError(String);

impl Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for QueryError {}

impl de::Error for QueryError {
    fn custom<T: Display>(said: T) -> Self {
        Self(brief(&said))
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        let (name, known) = (quoted(name), known.join(", "));
        Self(format!("unknown parameter {name}; there are: {known}"))
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self(format!("parameter {name} is there twice; give it once"))
    }
}

/// What is wrong, at no great length.
#[must_use]
pub fn brief(error: &impl Display) -> String {
    error.to_string().chars().take(MAX_SAID_CHARS).collect()
}

/// A parameter that may be absent.
///
/// # Errors
/// [`Kind::InvalidParameter`], with the name before what `parse` says.
pub fn optional<T, E: Display>(
    name: &str,
    text: Option<String>,
    parse: impl FnOnce(String) -> Result<T, E>,
) -> Result<Option<T>, Problem> {
    text.map(|text| named(name, parse(text))).transpose()
}

/// A parameter that is `true` or `false`; if it is absent, `false`.
///
/// # Errors
/// [`Kind::InvalidParameter`]
pub fn flag(name: &str, text: Option<String>) -> Result<bool, Problem> {
    let parsed = |text: String| text.parse().map_err(|_| "must be true or false");
    Ok(optional(name, text, parsed)?.unwrap_or(false))
}

/// A parameter, or a part of the path.
///
/// # Errors
/// [`Kind::InvalidParameter`], with the name before what the error says.
pub fn named<T>(name: &str, value: Result<T, impl Display>) -> Result<T, Problem> {
    value.map_err(|error| Problem::new(Kind::InvalidParameter, format!("{name} {error}")))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Eq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Parameters {
        topic: Option<String>,
        limit: Option<String>,
    }

    fn refused(query: &str) -> String {
        let error = parse::<Parameters>(query).expect_err(query);
        error.to_string()
    }

    #[test]
    fn parameters_are_decoded_and_may_be_absent() {
        let parameters = |topic: Option<&str>, limit: Option<&str>| Parameters {
            topic: topic.map(Into::into),
            limit: limit.map(Into::into),
        };
        for (query, expected) in [
            ("", parameters(None, None)),
            ("&&", parameters(None, None)),
            ("topic=", parameters(Some(""), None)),
            ("topic", parameters(Some(""), None)),
            ("limit=1&topic=a=b", parameters(Some("a=b"), Some("1"))),
            (
                "t%6Fpic=logs%2F+%C3%A9%2B%zz",
                parameters(Some("logs/ é+%zz"), None),
            ),
        ] {
            assert_eq!(parse(query), Ok(expected), "{query}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_name_and_at_no_great_length() {
        assert_eq!(
            refused("colour=red"),
            "unknown parameter \"colour\"; there are: topic, limit"
        );
        assert_eq!(
            refused("topic=a&topic=b"),
            "parameter topic is there twice; give it once"
        );
        assert_eq!(
            refused("topic=%FF"),
            "parameter \"topic\" is not UTF-8; percent-encode the bytes of its UTF-8"
        );
        assert!(refused("%FF=1").contains("not UTF-8"));
        assert!(refused(&"x".repeat(10_000)).len() < 200);
    }
}
