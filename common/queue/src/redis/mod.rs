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
//! There may be several shards, each a queue by itself with a primary of its own. A batch goes whole into one of them, and a
//! claim comes from one. The server of a shard is found by a locator, because a failover may change it.
//!
//! Answers can be lost, so each step is one that may happen unnoticed. How the store makes the whole
//! exact is in `ARCHITECTURE.md`.

pub mod acl;
mod address;
mod backpressure;
mod carried;
mod connections;
mod consumer;
mod failure;
mod greeting;
mod health;
mod keys;
mod locator;
mod monitor;
mod peek;
mod place;
mod producer;
mod pushes;
mod queue;
mod refusal;
mod rehearsal;
mod replicas;
mod scripts;
mod server;
mod shard;
mod unfit;

pub use address::{Address, AddressError};
pub use consumer::RedisConsumer;
pub use keys::{MAX_SHARDS, QueueName, QueueNameError};
pub use producer::RedisProducer;
pub use queue::{MAX_ELEMENT_BYTES, RedisQueue};
pub use shard::PUSH_CONNECTIONS;
