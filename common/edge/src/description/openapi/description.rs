//! The description of a program.

use actix_web::web::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{
    ToSchema,
    openapi::{
        ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApiBuilder,
        path::{Operation, PathItem},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
        server::ServerBuilder,
        tag::TagBuilder,
    },
};

use super::{
    Group,
    operation::{API_KEY, BEARER},
    ordered::Ordered,
};
use crate::{problem::Problem, routes::Routes};

const ABOUT: &str = "\
Clients publish events, often more than once. Each is stored exactly once, and the counters are exact.

A path that answers `GET` answers `HEAD`, too; any other method is answered 405, with `Allow`, and any other \
path 404. Errors are `application/problem+json` (RFC 9457), except that what is no HTTP is answered 400 without a \
body. Parameters that are not described are refused. Every answer has an `X-Request-Id`: \
the one of the request, if that has up to 128 printable ASCII characters, or a new one.

Limits that are settings of the server are given with their defaults.";

/// A call that a server answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// A part in braces stands for a value.
    pub(crate) path: String,
    /// What it is for.
    pub(crate) summary: String,
}

/// The description of a program.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    document: Value,
    json: Bytes,
}

impl Description {
    /// Of a program of this title that serves these routes, and asks for keys.
    #[must_use]
    pub fn of(title: &str, routes: &Routes) -> Self {
        let mut info = InfoBuilder::new()
            .title(title)
            .description(Some(ABOUT))
            .version(env!("CARGO_PKG_VERSION"))
            .build();
        info.license = Some(
            LicenseBuilder::new()
                .name(env!("CARGO_PKG_LICENSE"))
                .identifier(Some(env!("CARGO_PKG_LICENSE")))
                .build(),
        );
        let routes = routes.clone().schema::<Problem>();
        let tagged = |group: &Group| {
            let mut operations = routes.paths.paths.values().flat_map(operations);
            operations.any(|operation| operation.tags == Some(vec![group.name().to_owned()]))
        };
        let tags = Group::ALL.into_iter().filter(tagged).map(|group| {
            let (name, about) = group.name_and_about();
            TagBuilder::new()
                .name(name)
                .description(Some(about))
                .build()
        });
        let tags: Vec<_> = tags.collect();
        let components = ComponentsBuilder::new()
            .schemas_from_iter(routes.schemas)
            .security_scheme(
                BEARER,
                SecurityScheme::Http(
                    HttpBuilder::new()
                        .scheme(HttpAuthScheme::Bearer)
                        .description(Some("An API key"))
                        .build(),
                ),
            )
            .security_scheme(
                API_KEY,
                SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
                    "X-API-Key",
                    "An API key, if `Authorization` is not there",
                ))),
            )
            .build();
        // Relative to where the description was read from, so that it is right behind a prefix, too.
        let server = ServerBuilder::new()
            .url(".")
            .description(Some("The server that gave this description"))
            .build();
        let document = OpenApiBuilder::new()
            .info(info)
            .servers(Some([server]))
            .tags(Some(tags))
            .paths(routes.paths)
            .components(Some(components))
            .build();
        Self::from_document(json!(document))
    }

    /// The same of a server that asks for no keys.
    #[must_use]
    pub fn without_keys(mut self) -> Self {
        let paths = self.document["paths"].as_object_mut();
        let items = paths.into_iter().flat_map(|paths| paths.values_mut());
        for operation in items
            .filter_map(Value::as_object_mut)
            .flat_map(|item| item.values_mut())
        {
            operation["security"] = json!([]);
        }
        Self::from_document(self.document)
    }

    /// The program's name.
    pub(crate) fn title(&self) -> &str {
        self.document["info"]["title"].as_str().unwrap_or_default()
    }

    /// The program's version.
    pub(crate) fn version(&self) -> &str {
        self.document["info"]["version"]
            .as_str()
            .unwrap_or_default()
    }

    /// What is served, by path.
    pub(crate) fn calls(&self) -> impl Iterator<Item = Call> {
        let paths = self.document["paths"].as_object().into_iter().flatten();
        paths.flat_map(|(path, item)| {
            let operations = item.as_object().into_iter().flatten();
            operations.map(|(method, operation)| Call {
                method: method.to_ascii_uppercase(),
                path: path.clone(),
                summary: operation["summary"].as_str().unwrap_or_default().to_owned(),
            })
        })
    }

    fn from_document(document: Value) -> Self {
        let json = Ordered(&document).to_string().into();
        Self { document, json }
    }

    /// For programs.
    pub(crate) fn json(&self) -> Bytes {
        self.json.clone()
    }

    /// For people, and to compare one version with another.
    #[must_use]
    pub fn pretty(&self) -> String {
        format!("{:#}", Ordered(&self.document))
    }
}

fn operations(item: &PathItem) -> impl Iterator<Item = &Operation> {
    [&item.get, &item.post, &item.delete].into_iter().flatten()
}
