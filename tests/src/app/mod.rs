//! The programs under test, and whole systems of them.

mod ask;
mod deployments;
mod place;
mod running;
mod system;

pub use ask::{Answer, answer, header};
pub use deployments::Deployment;
pub use place::Place;
pub use running::App;
pub use system::System;
