//! The HTTP server of all programs.
//!
//! - [`server`]: listening, unknown paths and methods, stopping; [`settings`]
//! - [`routes`]: what is served, and described
//! - `connection`: how many connections there may be, and how slow their clients may be
//! - `admission`: which requests are let through; [`auth`]: keys and what they allow
//! - [`batch`]: from a request to the events in it; [`parameters`]: the query string
//! - [`problem`]: every error answer; `headers`: what every answer carries
//! - `description`: what a server says about itself; [`asset`]: files of its pages
//! - [`health`]: `/health` and `/ready`; [`healthcheck`]: asking for them; `measure`: `/metrics`

mod admission;
pub mod asset;
pub mod auth;
pub mod batch;
mod connection;
mod description;
mod headers;
pub mod health;
pub mod healthcheck;
mod measure;
pub mod parameters;
pub mod problem;
pub mod routes;
pub mod server;
pub mod settings;

pub use admission::{access, cors};
pub use description::{docs, index::FrontPage, openapi};
