//! What the programs say of themselves in `OpenAPI`, so that tests ask along it and forget no route.

use reqwest::Method;
use serde_json::Value;

use crate::programs;

/// What stands for a part of a path that has no example.
const ANY_PART: &str = "1";

/// One method of one path.
pub struct Operation {
    /// The method.
    pub method: Method,
    /// The path as it is described: `/dead-letters/{id}`.
    pub template: String,
    /// A path that can be asked for.
    pub path: String,
    /// The scope that a key needs, unless no key is needed.
    pub scope: Option<String>,
    /// Whether a body may be sent.
    pub takes_body: bool,
    /// All of its description.
    pub description: Value,
}

/// The description that a program prints.
///
/// # Panics
/// If it prints none.
pub async fn printed(program: &str) -> String {
    let ended = programs::run(program, &["openapi"], &[]).await;
    assert_eq!(ended.code, Some(0), "{program}: {}", ended.err);
    ended.out
}

/// The description that a program prints, read.
///
/// # Panics
/// If it prints none.
pub async fn of(program: &str) -> Value {
    serde_json::from_str(&printed(program).await).expect("JSON")
}

/// All operations of a description.
///
/// # Panics
/// If it is not one.
#[must_use]
pub fn operations(description: &Value) -> Vec<Operation> {
    let paths = description["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(template, item)| {
        let methods = item.as_object().expect("methods").iter();
        methods.map(|(method, description)| operation(method, template, description))
    });
    operations.collect()
}

fn operation(method: &str, template: &str, description: &Value) -> Operation {
    let parameters = description["parameters"].as_array().into_iter().flatten();
    let path = parameters.fold(template.to_owned(), |path, parameter| {
        let name = parameter["name"].as_str().expect("a name");
        let example = parameter["example"].as_str().unwrap_or(ANY_PART);
        path.replace(&format!("{{{name}}}"), example)
    });
    assert!(!path.contains('{'), "{path}: a part is not described");
    Operation {
        method: method.to_uppercase().parse().expect("a method"),
        template: template.to_owned(),
        path,
        scope: scope(description),
        takes_body: description["requestBody"].is_object(),
        description: description.clone(),
    }
}

/// The scope that a key needs, which is the same in whichever header it comes.
fn scope(description: &Value) -> Option<String> {
    let security = description["security"].as_array().expect("security");
    let mut scopes = ["bearer", "api_key"].map(|scheme| {
        let scopes = security.iter().find_map(|way| way.get(scheme));
        scopes.map(|scopes| {
            let [scope] = &scopes.as_array().expect("scopes")[..] else {
                panic!("{scheme} has other scopes than one: {scopes}");
            };
            scope.as_str().expect("a scope").to_owned()
        })
    });
    assert_eq!(scopes[0], scopes[1], "a key may come in two headers");
    scopes[0].take()
}
