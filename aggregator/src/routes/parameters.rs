//! Query parameters of this service, beside those of [`edge::parameters`].

use edge::{parameters::optional, problem::Problem};
use store::Limit;

/// A page size; the default if it is absent.
pub(super) fn limit(text: Option<String>) -> Result<Limit, Problem> {
    let parsed = |text: String| {
        let limit = text.parse().ok().and_then(Limit::new);
        limit.ok_or_else(|| format!("must be a number from 1 to {}", Limit::MAX))
    };
    Ok(optional("limit", text, parsed)?.unwrap_or_default())
}
