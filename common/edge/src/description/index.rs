//! `GET /`: what this server is and what it serves, for programs as JSON. Browsers get the page of the program, or a list
//! without scripts.

use std::{fmt::Write, sync::LazyLock};

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

/// The page that browsers get at `/`. A program that has none gives them a list of what it serves.
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
    if is_browser {
        return response
            .content_type(mime::TEXT_HTML_UTF_8)
            .body(index.page());
    }
    response.json(index)
}

impl Index {
    /// Links are relative, so that they are right behind a prefix, too.
    fn page(&self) -> String {
        let name = escaped(&self.name);
        let mut page = format!(
            "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>{name}</title>\
             <h1>{name} {}</h1><ul>",
            self.version
        );
        for link in &self.links {
            let (path, summary) = (escaped(&link.path), escaped(&link.summary));
            let relative = path.trim_start_matches('/');
            let shown = if link.method == "GET" && !path.contains('{') {
                format!("<a href=\"./{relative}\">{path}</a>")
            } else {
                path.clone()
            };
            // A string takes all that is written to it.
            let _ = write!(page, "<li><code>{} {shown}</code>: {summary}", link.method);
        }
        page + "</ul></html>\n"
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_links_what_can_be_followed_and_is_well_formed() {
        let link = |method: &str, path: &str| Call {
            method: method.to_owned(),
            path: path.to_owned(),
            summary: "a < b & \"c\"".to_owned(),
        };
        let index = Index {
            name: "Events".to_owned(),
            version: "1".to_owned(),
            links: vec![
                link("GET", "/stats"),
                link("GET", "/events/{id}"),
                link("POST", "/publish"),
            ],
        };
        let page = index.page();
        assert!(
            page.contains("<code>GET <a href=\"./stats\">/stats</a></code>"),
            "{page}"
        );
        assert!(
            page.contains("<code>GET /events/{id}</code>: a &lt; b &amp; &quot;c&quot;"),
            "{page}"
        );
        assert!(page.contains("<code>POST /publish</code>"), "{page}");
    }
}
