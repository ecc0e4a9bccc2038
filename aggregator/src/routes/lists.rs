//! What all lists of this service have in common.

use edge::{
    auth::Caller,
    openapi::{Answers, problems},
    parameters::optional,
    problem::{Kind, Problem},
};
use event::Topic;
use store::{Cursor, Limit, Order, Part, Visible};
use utoipa::IntoResponses;

/// Which part of a list was asked for.
pub(super) fn part(
    order: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
) -> Result<Part, Problem> {
    Ok(Part {
        order: optional("order", order, |text| text.parse::<Order>())?.unwrap_or_default(),
        after: optional("cursor", cursor, |text| text.parse::<Cursor>())?,
        limit: self::limit(limit)?,
    })
}

/// A page size; the default if it is absent.
pub(super) fn limit(text: Option<String>) -> Result<Limit, Problem> {
    let parsed = |text: String| {
        let limit = text.parse().ok().and_then(Limit::new);
        limit.ok_or_else(|| format!("must be a number from 1 to {}", Limit::MAX))
    };
    Ok(optional("limit", text, parsed)?.unwrap_or_default())
}

/// The topics that the caller may see.
pub(super) fn visible(caller: &Caller) -> Visible {
    let text = |prefix: &Topic| prefix.as_str().to_owned();
    let prefixes = caller.prefixes();
    prefixes.map(|prefixes| prefixes.iter().map(text).collect())
}

/// A list may refuse its parameters.
pub(super) struct ListProblems;

impl IntoResponses for ListProblems {
    fn responses() -> Answers {
        problems(&[Kind::InvalidParameter, Kind::Overloaded, Kind::Unavailable])
    }
}
