//! The stacks of `docker-compose.yml` and `docker-compose.cluster.yml`, for the programs `stack` and `cluster-stack`.

mod clients;
mod compose;
mod containers;
mod story;

pub use clients::{Clients, PACED, UNPACED};
pub use compose::Compose;
pub use containers::exit_codes;
pub use story::{Story, counters, step};
