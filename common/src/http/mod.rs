//! The ways of an HTTP server that both services share.
//!
//! - [`problem`]: every error answer
//! - [`parameters`]: the query string
//! - [`access`]: who may call what
//! - [`batch`]: from a request to the events in it
//! - `headers`: what every answer carries
//! - [`cors`]: pages of other origins
//! - [`routes`]: what is served, and described
//! - [`openapi`]: the description
//! - [`docs`]: the page that shows it
//! - [`health`]: `/health` and `/ready`
//! - [`healthcheck`]: asking for them
//! - [`server`]: listening, unknown paths and methods, stopping

pub mod access;
pub mod batch;
pub mod cors;
pub mod docs;
mod headers;
pub mod health;
pub mod healthcheck;
pub mod openapi;
pub mod parameters;
pub mod problem;
pub mod routes;
pub mod server;
