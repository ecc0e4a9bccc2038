//! What the whole-system tests stand on: servers, programs, events, and the system under test.

pub mod app;
pub mod browser;
pub mod certificates;
pub mod chaos;
pub mod deployment;
pub mod description;
pub mod documents;
pub mod events;
pub mod failover;
pub mod faults;
pub mod http;
pub mod keys;
pub mod programs;
pub mod prometheus;
pub mod properties;
pub mod raw;
mod seed;
pub mod servers;
pub mod stack;
pub mod versions;
mod wait;

pub use seed::seed;
pub use wait::{Outcome, SOON, eventually};
