//! The ways of an HTTP server that both services share.
//!
//! - [`problem`]: every error answer
//! - [`parameters`]: the query string
//! - [`access`]: who may call what
//! - `rate`: how often
//! - `load`: how much at once
//! - [`batch`]: from a request to the events in it
//! - `files`: how many may be open
//! - `headers`: what every answer carries
//! - [`health`]: `/health` and `/ready`
//! - [`healthcheck`]: asking for them
//! - [`server`]: listening, unknown paths and methods, stopping

pub mod access;
pub mod batch;
mod files;
mod headers;
pub mod health;
pub mod healthcheck;
mod load;
pub mod parameters;
pub mod problem;
mod rate;
pub mod server;
