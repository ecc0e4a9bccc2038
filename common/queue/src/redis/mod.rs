//! The queue in Redis, shared by any number of publishers and aggregators.
//!
//! - Accept: `LPUSH` of the batch in one command, together with those that come at the same time.
//! - Wait: `BLMOVE queue handoff RIGHT LEFT`, `BRPOP` in its reliable form: what wakes a worker is
//!   parked in a list that every worker looks into first, so it does not matter whether the answer
//!   arrives ([pattern: reliable queue](https://redis.io/docs/latest/commands/lmove/)).
//! - Claim: one script registers the lease and moves a batch from `handoff` and `queue` into a list
//!   of the claim's own. There is never a claim without a lease, so none can be overlooked.
//! - Settle, release, renew, adopt: one script each.
//!
//! Answers can be lost, so each step is one that may happen unnoticed. How the store makes the whole
//! exact is in `ARCHITECTURE.md`.

pub mod acl;
mod address;
mod backpressure;
mod connections;
mod consumer;
mod failure;
mod greeting;
mod health;
mod keys;
mod monitor;
mod peek;
mod producer;
mod pushes;
mod queue;
mod refusal;
mod rehearsal;
mod scripts;
mod server;
mod unfit;

pub use address::{Address, AddressError};
pub use consumer::RedisConsumer;
pub use keys::{QueueName, QueueNameError};
pub use producer::{PUSH_CONNECTIONS, RedisProducer};
pub use queue::{MAX_ELEMENT_BYTES, RedisQueue};
