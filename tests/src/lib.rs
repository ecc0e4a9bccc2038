//! What the whole-system tests stand on: servers, programs, events, and the system under test.

pub mod app;
pub mod certificates;
pub mod chaos;
pub mod deployment;
pub mod events;
pub mod http;
pub mod programs;
pub mod properties;
pub mod servers;
pub mod stack;
mod wait;

pub use wait::{Outcome, eventually};
