//! What publisher and aggregator share: the event, the queue and store seams, and the ways of a
//! server (settings, logs, HTTP errors, health).

pub mod auth;
pub mod clock;
pub mod config;
pub mod envelope;
pub mod event;
pub mod faults;
mod files;
pub mod hex;
pub mod hold;
pub mod http;
pub mod lifecycle;
pub mod output;
pub mod queue;
pub mod readiness;
pub mod store;
pub mod telemetry;
pub mod tls;
