//! Query parameters: each is read as text and parsed by name, so that the answer to a bad one names
//! it.

use std::fmt::Display;

use actix_web::{HttpRequest, web::Query};
use common::{
    http::problem::{Kind, Problem},
    store::Limit,
};
use serde::de::DeserializeOwned;

/// The query string; unknown parameters are refused by the type.
pub(super) fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, Problem> {
    Query::from_query(request.query_string())
        .map(Query::into_inner)
        .map_err(|error| Problem::new(Kind::InvalidParameter, error.to_string()))
}

/// A page size; the default if it is absent.
pub(super) fn limit(text: Option<String>) -> Result<Limit, Problem> {
    let parsed = |text: String| {
        let limit = text.parse().ok().and_then(Limit::new);
        limit.ok_or_else(|| format!("must be a number from 1 to {}", Limit::MAX))
    };
    Ok(optional("limit", text, parsed)?.unwrap_or_default())
}

/// A parameter that may be absent.
pub(super) fn optional<T, E: Display>(
    name: &str,
    text: Option<String>,
    parse: impl FnOnce(String) -> Result<T, E>,
) -> Result<Option<T>, Problem> {
    text.map(|text| named(name, parse(text))).transpose()
}

/// A parameter, or a part of the path.
pub(super) fn named<T>(name: &str, value: Result<T, impl Display>) -> Result<T, Problem> {
    value.map_err(|error| Problem::new(Kind::InvalidParameter, format!("{name} {error}")))
}
