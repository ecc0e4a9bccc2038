//! Failovers of Redis under load: real publishers and aggregators over a real cluster or Sentinels, while primaries are
//! killed and frozen, also when their replicas have been cut off before. Then the numbers are compared.
//!
//! Each attempt of a client sends events of its own, so nothing is ever sent twice. What was acknowledged must be stored. An
//! event that is counted as a duplicate was handed out twice.

mod blow;
mod load;
mod report;
mod run;

pub use blow::Blow;
pub use report::Report;
pub use run::{Options, Way, run};
