//! The description of what a program serves: [OpenAPI 3.1](https://spec.openapis.org/oas/v3.1.1.html).
//!
//! Each handler is described where it is written (`#[utoipa::path]`); [`Routes`] adds what it knows
//! itself.
//!
//! - `answers`: problems and headers, as answers of an operation
//! - `ordered`: the document as text

mod answers;
mod ordered;

use actix_web::web::Bytes;
use ordered::Ordered;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{
    ToSchema,
    openapi::{
        ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApiBuilder,
        path::{Operation, PathItem},
        security::{
            ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
        },
        server::ServerBuilder,
        tag::TagBuilder,
    },
};

pub use answers::{Answers, problems};

use super::{
    access::Access,
    problem::{Kind, Problem},
    routes::Routes,
};

/// `Authorization: Bearer KEY`, see `components/securitySchemes`.
const BEARER: &str = "bearer";
/// `X-API-Key: KEY`.
const API_KEY: &str = "api_key";

const ABOUT: &str = "\
Clients publish events, often more than once. Each is stored exactly once, and the counters are exact.

A path that answers `GET` answers `HEAD`, too; any other method is answered 405, with `Allow`, and any other \
path 404. Errors are `application/problem+json` (RFC 9457), except that what is no HTTP is answered 400 without a \
body. Parameters that are not described are refused. Every answer has an `X-Request-Id`: \
the one of the request, if that has up to 128 printable ASCII characters, or a new one.

Limits that are settings of the server are given with their defaults.";

/// Routes that belong together; a tag in the description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Publishing.
    EventsIn,
    /// What is stored, and the counters.
    EventsOut,
    /// What could not be stored.
    DeadLetters,
    /// The server itself.
    Server,
}

impl Group {
    const ALL: [Self; 4] = [
        Self::EventsIn,
        Self::EventsOut,
        Self::DeadLetters,
        Self::Server,
    ];

    const fn name_and_about(self) -> (&'static str, &'static str) {
        match self {
            Self::EventsIn => ("events in", "Publishing."),
            Self::EventsOut => ("events out", "What is stored, and the counters."),
            Self::DeadLetters => (
                "dead letters",
                "What could not be stored, and what to do with it.",
            ),
            Self::Server => ("server", "Is it alive, and what can it do?"),
        }
    }

    const fn name(self) -> &'static str {
        self.name_and_about().0
    }
}

/// A call that a server answers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Call {
    pub(super) method: String,
    /// A part in braces stands for a value.
    pub(super) path: String,
    /// What it is for.
    pub(super) summary: String,
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
    pub(super) fn title(&self) -> &str {
        self.document["info"]["title"].as_str().unwrap_or_default()
    }

    /// The program's version.
    pub(super) fn version(&self) -> &str {
        self.document["info"]["version"]
            .as_str()
            .unwrap_or_default()
    }

    /// What is served, by path.
    pub(super) fn calls(&self) -> impl Iterator<Item = Call> {
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
    pub(super) fn json(&self) -> Bytes {
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

/// Adds to an operation what all with this access have in common.
pub(super) fn complete(mut operation: Operation, group: Group, access: Access) -> Operation {
    let requirements = match access {
        Access::Open => Vec::new(),
        Access::Needs(scope) => {
            let keyed = problems(&[
                Kind::Unauthorized,
                Kind::CertificateRequired,
                Kind::Forbidden,
                Kind::RateLimited,
            ]);
            operation.responses.responses.extend(keyed);
            answers::add_rate(&mut operation.responses);
            let needs = format!("Needs a key with the scope `{scope}`.");
            operation.description = match operation.description.filter(|text| !text.is_empty()) {
                Some(text) => Some(format!("{text}\n\n{needs}")),
                None => Some(needs),
            };
            let scheme = |name| SecurityRequirement::new(name, [scope.to_string()]);
            vec![scheme(BEARER), scheme(API_KEY)]
        }
    };
    operation.security = Some(requirements);
    operation.tags = Some(vec![group.name().to_owned()]);
    answers::add_request_id(&mut operation.responses);
    operation
}
