//! `GET /topics`.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use edge::{
    auth::Caller,
    parameters::{optional, query},
    problem::Problem,
};
use event::Topic;
use serde::{Deserialize, Serialize};
use store::{TopicCursor, TopicOrder, TopicQuery, TopicStats};
use utoipa::{IntoParams, ToSchema};

use super::lists::{ListProblems, limit, visible};
use crate::api::Api;

/// Each is parsed by name, by the rules of its schema.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Parameters {
    /// Only topics that begin with this text
    #[param(value_type = Topic, required = false)]
    prefix: Option<String>,
    /// Which topics come first
    #[param(value_type = TopicOrder, required = false)]
    order: Option<String>,
    /// At most so many
    #[param(value_type = u16, required = false, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
    /// Only after this place; the order is then that of the list that it comes from
    #[param(value_type = TopicCursor, required = false)]
    cursor: Option<String>,
}

/// A part of the topics.
#[derive(Serialize, ToSchema)]
pub(super) struct TopicPage {
    #[schema(max_items = 1000)]
    topics: Vec<TopicStats>,
    /// How many are in this part.
    count: usize,
    /// Where the next part begins; null at the end.
    #[schema(value_type = Option<TopicCursor>, required)]
    next_cursor: Option<String>,
}

/// Topics
///
/// Of the topics that the key is for. Ordered by name, going on with `cursor` until `next_cursor` is null meets every topic
/// once. In the other orders, a topic that moves meanwhile may be met twice, or not at all.
#[utoipa::path(get, path = "/topics", operation_id = "list_topics", params(Parameters),
    responses((status = 200, description = "A part of them", body = TopicPage), ListProblems))]
pub(super) async fn list(
    request: HttpRequest,
    caller: Caller,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    let query = parse(query(&request)?, &caller)?;
    let page = api.store.topics(&query).await?;
    Ok(HttpResponse::Ok().json(TopicPage {
        count: page.topics.len(),
        topics: page.topics,
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

fn parse(parameters: Parameters, caller: &Caller) -> Result<TopicQuery, Problem> {
    let order = optional("order", parameters.order, |text| text.parse::<TopicOrder>())?;
    let after = optional("cursor", parameters.cursor, |text| {
        text.parse::<TopicCursor>()
    })?;
    let prefix = optional("prefix", parameters.prefix, Topic::try_from)?;
    Ok(TopicQuery {
        prefix: prefix.map_or_else(String::new, |prefix| prefix.as_str().to_owned()),
        visible: visible(caller),
        // A place in a list knows the order of that list.
        order: after
            .as_ref()
            .map_or(order.unwrap_or_default(), |after| after.order),
        after,
        limit: limit(parameters.limit)?,
    })
}
