//! The ways of an HTTP server that both services share.
//!
//! - [`problem`]: every error answer
//! - [`parameters`]: the query string
//! - [`access`]: who may call what
//! - `rate`: how often
//! - `load`: how much at once
//! - `seats`, `handshake`, `stream`, `pace`: connections, and how slow their clients may be
//! - `answers`: what is held until an answer is sent
//! - `client_certificate`: which clients have shown one
//! - [`batch`]: from a request to the events in it
//! - `open_files`: how many may be
//! - `headers`: what every answer carries
//! - [`cors`]: pages of other origins
//! - [`routes`]: what is served, and described
//! - [`openapi`]: the description
//! - [`docs`]: the page that shows it
//! - `index`: `/`, which lists what is served
//! - `nearby`: what an unknown path was probably meant to be
//! - `pages`: what web pages may do without a key
//! - `unread`: bodies that are not read to their end
//! - [`health`]: `/health` and `/ready`
//! - [`healthcheck`]: asking for them
//! - [`server`]: listening, unknown paths and methods, stopping

pub mod access;
pub mod auth;
pub mod batch;
pub mod cors;
pub mod docs;

mod answers;
mod client_certificate;
mod handshake;
mod headers;
pub mod health;
pub mod healthcheck;
mod index;
mod load;
mod nearby;
mod open_files;
pub mod openapi;
mod pace;
mod pages;
pub mod parameters;
pub mod problem;
mod rate;
pub mod routes;
mod seats;
pub mod server;
pub mod settings;
mod stream;
mod unread;
