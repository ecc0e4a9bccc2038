//! `GET /`: what this server is and what it serves, for programs as JSON. Browsers get the page of the program, if
//! it has one.

use std::sync::LazyLock;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, Accept},
    mime,
    web::{Data, Header},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    admission::access::Access,
    asset::Asset,
    description::openapi::{Call, Description, Group},
    routes::Routes,
};

/// The path. It needs the [`Description`].
#[must_use]
pub(crate) fn routes() -> Routes {
    Routes::of(Group::Server)
        .route(__path_index, Access::Open, index)
        .schema::<Index>()
}

/// What `/` says.
#[derive(Serialize, ToSchema)]
struct Index {
    /// The program's name.
    name: String,
    version: String,
    /// What it serves.
    links: Vec<Call>,
}

/// The page that browsers get at `/`. A program that has none gives them what other programs get.
#[derive(Clone)]
pub struct FrontPage(pub &'static LazyLock<Asset>);

/// What is here?
///
/// As JSON, or as a page for a browser.
#[utoipa::path(get, path = "/",
    responses((status = 200, description = "What this server serves", content(
        (Index = "application/json"),
        (String = "text/html"),
    ))))]
async fn index(
    request: HttpRequest,
    accept: Option<Header<Accept>>,
    front: Option<Data<FrontPage>>,
    description: Data<Description>,
) -> HttpResponse {
    let preferred = accept.map(|Header(accept)| accept.preference());
    let is_browser = preferred.is_some_and(|preferred| preferred == mime::TEXT_HTML);
    if is_browser && let Some(front) = front {
        return front.0.answer(&request);
    }
    let index = Index {
        name: description.title().to_owned(),
        version: description.version().to_owned(),
        links: description.calls().collect(),
    };
    let mut response = HttpResponse::Ok();
    response.insert_header((header::VARY, "Accept"));
    response.json(index)
}
