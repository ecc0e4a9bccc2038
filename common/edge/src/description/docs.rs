//! `GET /openapi.json`, and a page that shows it: [Swagger UI](https://swagger.io/tools/swagger-ui/),
//! which is part of the program. They hold no data, so they are open to anyone.

use std::{borrow::Cow, sync::Arc};

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION},
    web::{Bytes, Data, Path},
};
use utoipa_swagger_ui::{Config, serve};

use crate::{
    admission::{access::Access, unsent::Uncopied},
    description::openapi::{Answers, Description, Group, problems},
    problem::{Kind, Problem},
    routes::Routes,
};

/// The page runs only what comes from here, and calls only this server. It sets styles by itself, and
/// has images in its style sheet.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// They change with the program only.
const KEPT: &str = "public, max-age=3600";
/// Where the description is, seen from the page.
const DESCRIPTION: &str = "../openapi.json";
/// Where the page is, seen from a path without a final `/`.
const PAGE: &str = "docs/";

/// The paths.
#[must_use]
pub fn routes() -> Routes {
    Routes::of(Group::Server)
        .route(__path_description, Access::Open, description)
        .route(__path_to_page, Access::Open, to_page)
        .route(__path_page, Access::Open, page)
        .route(__path_file, Access::Open, file)
}

/// This description
///
/// In `OpenAPI` 3.1. If the server asks for no keys, it says so.
#[utoipa::path(get, path = "/openapi.json",
    responses((status = 200, description = "The description", body = Object)))]
async fn description(description: Data<Description>) -> HttpResponse {
    let mut answer = HttpResponse::Ok()
        .content_type("application/json")
        .body(description.json());
    answer.extensions_mut().insert(Uncopied);
    answer
}

/// To the page
#[utoipa::path(get, path = "/docs",
    responses((status = 308, description = "It is at `/docs/`",
        headers(("Location" = String, description = "`docs/`")))))]
async fn to_page() -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((LOCATION, PAGE))
        .finish()
}

/// This description as a page
#[utoipa::path(get, path = "/docs/",
    responses((status = 200, description = "The page", body = String, content_type = "text/html")))]
async fn page() -> Result<HttpResponse, Problem> {
    find("index.html")
}

/// A part of the page
#[utoipa::path(get, path = "/docs/{file}",
    params(("file" = String, Path, description = "Its name", example = "swagger-ui.css")),
    responses((status = 200, description = "The part", content_type = "*/*", body = String), NoFile))]
async fn file(name: Path<String>) -> Result<HttpResponse, Problem> {
    find(&name)
}

struct NoFile;

impl utoipa::IntoResponses for NoFile {
    fn responses() -> Answers {
        problems(&[Kind::NotFound])
    }
}

fn find(name: &str) -> Result<HttpResponse, Problem> {
    let config = Config::new([DESCRIPTION])
        .use_base_layout()
        .try_it_out_enabled(true)
        .validator_url("none");
    // Only a file that is not as it was built is an error.
    let found = serve(name, Arc::new(config)).ok().flatten();
    let file =
        found.ok_or_else(|| Problem::new(Kind::NotFound, "the page has no part of this name"))?;
    let body = match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    let mut answer = HttpResponse::Ok()
        .content_type(file.content_type)
        .insert_header((CONTENT_SECURITY_POLICY, PAGE_POLICY))
        .insert_header((CACHE_CONTROL, KEPT))
        .body(body);
    answer.extensions_mut().insert(Uncopied);
    Ok(answer)
}
