//! Settings: every setting is a flag and an environment variable.
//!
//! Each crate declares its own settings as a clap argument group. Here is what the groups share.
//!
//! - `environment`: reads them when a program starts
//! - `units`: how sizes, times and addresses are written

mod environment;
mod units;

pub use environment::parse;
pub use units::{bind_address, bytes, days, hours, seconds};
