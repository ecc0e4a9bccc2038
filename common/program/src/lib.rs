//! What every program that serves HTTP has in common: settings, commands, and the way from its start to its end.
//!
//! A program implements [`Program`] for its settings and [`Service`] for what it does, and its `main` calls [`run()`].

mod application;
mod command;
mod error;
mod program;
mod run;
mod server;
mod service;
mod settings;

pub use application::Application;
pub use command::Command;
pub use error::BuildError;
pub use program::Program;
pub use run::run;
pub use server::Server;
pub use service::Service;
pub use settings::{CommonArgs, RedisArgs};
