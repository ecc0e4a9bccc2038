//! Faults on purpose, for the tests of what the programs promise. Only the program `faulty` has them; it is the publisher
//! or the aggregator, put together from the same parts as the one that is shipped.

mod consumer;
mod mutant;
mod queue;
mod store;

use std::{process, sync::Arc};

use ::queue::Opened;
use ::store::Store;
use clap::ValueEnum;
use runtime::faults::{Point, crash_with};

pub use self::mutant::Mutant;
use self::{consumer::FaultyConsumer, queue::FaultyShards, store::FaultyStore};

impl Mutant {
    /// A queue and a store with which an aggregator breaks the rule.
    #[must_use]
    pub fn among(self, shared: Opened, store: Arc<dyn Store>) -> (Opened, Arc<dyn Store>) {
        let consumers = shared.consumers.into_iter().map(|consumer| {
            Arc::new(FaultyConsumer {
                mutant: self,
                consumer,
                store: store.clone(),
            }) as _
        });
        let consumers = consumers.collect();
        let shards = Arc::new(FaultyShards {
            mutant: self,
            shards: shared.shards.clone(),
            store: store.clone(),
        });
        let store = Arc::new(FaultyStore {
            mutant: self,
            store,
            shards: shared.shards,
        });
        (Opened { shards, consumers }, store)
    }
}

/// This process dies when it comes to `point`.
pub fn die_at(point: Point) {
    crash_with(move |reached| {
        if reached == point {
            // No destructor runs and nothing is flushed: a process cannot come nearer to `kill -9`.
            process::abort();
        }
    });
}

/// How the environment calls a point or a mutant.
///
/// # Panics
/// If it has no name, because it is skipped.
#[must_use]
pub fn name_of(value: &impl ValueEnum) -> String {
    let value = value.to_possible_value().expect("none is skipped");
    value.get_name().to_owned()
}
