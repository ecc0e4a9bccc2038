//! Query parameters: each is read as text and parsed by name, so that the answer to a bad one names
//! it.

use std::fmt::Display;

use actix_web::{HttpRequest, web::Query};
use serde::de::DeserializeOwned;

use super::problem::{Kind, Problem};

/// Most characters of what is said about what a client chose: it may be repeated there.
const MAX_SAID_CHARS: usize = 200;

/// The query string; unknown parameters are refused by the type.
///
/// # Errors
/// [`Kind::InvalidParameter`]
pub fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, Problem> {
    Query::from_query(request.query_string())
        .map(Query::into_inner)
        .map_err(|error| Problem::new(Kind::InvalidParameter, brief(&error)))
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
