//! Seeded chaos: real publishers and aggregators over a real Redis and PostgreSQL, while a schedule made from a
//! seed kills, freezes and disconnects them; then an oracle that shares no code with them looks at
//! what came of it.
//!
//! - [`schedule`]: what is broken when
//! - [`proxy`]: connections that can be broken
//! - `load`: clients that send until they are acknowledged
//! - `poison`: what cannot be stored, and replays of it
//! - `program`: the processes
//! - `journal`: what Redis was given, from its append-only file
//! - [`oracle`]: what must hold
//! - `verify`: do the counters agree with the rows, all along?
//! - [`report`]: what came out
//!
//! Everything is on loopback, bounded, and ends with the run.

mod journal;
mod load;
pub mod oracle;
mod poison;
pub(crate) mod program;
pub mod proxy;
pub mod report;
mod run;
pub mod schedule;
mod stage;
pub(crate) mod verify;

pub use run::{Options, run};
pub use stage::Stage;
