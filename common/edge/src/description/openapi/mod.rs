//! The description of what a program serves: [OpenAPI 3.1](https://spec.openapis.org/oas/v3.1.1.html).
//!
//! Each handler is described where it is written (`#[utoipa::path]`); [`Routes`](crate::routes::Routes) adds what it
//! knows itself.
//!
//! - `answers`: problems and headers, as answers of an operation
//! - `group`: operations that belong together
//! - `operation`: what all operations with the same access have in common
//! - `description`: all of them together
//! - `ordered`: the document as text

mod answers;
mod description;
mod group;
pub(crate) mod operation;
mod ordered;

pub(crate) use description::Call;

pub use answers::{Answers, problems};
pub use description::Description;
pub use group::Group;
