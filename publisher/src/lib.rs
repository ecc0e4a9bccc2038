//! The publisher: accepts batches of events over HTTP and puts them into the queue.

mod publish;
mod service;
mod settings;

pub use publish::{Publish, routes};
pub use settings::Settings;

/// The publisher as a process of its own, over Redis.
pub type Application = program::Application<Settings>;
