//! The stack of `docker-compose.yml`, for the program `stack`.

mod clients;
mod compose;
mod containers;

pub use clients::{Clients, PACED, UNPACED};
pub use compose::Compose;
pub use containers::{check_hardening, exit_codes};
