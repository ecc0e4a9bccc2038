//! Faults on purpose, for the tests of what the programs promise. Only the program `faulty` has them; it is the publisher
//! or the aggregator, put together from the same parts as the one that is shipped.

mod consumer;
mod mutant;
mod store;

use std::{process, sync::Arc};

use aggregator::Parts;
use clap::ValueEnum;
use runtime::faults::{Point, crash_with};

pub use self::mutant::Mutant;
use self::{consumer::FaultyConsumer, store::FaultyStore};

impl Mutant {
    /// An aggregator of these parts breaks the rule.
    #[must_use]
    pub fn among(self, parts: Parts) -> Parts {
        let Parts {
            consumers, store, ..
        } = &parts;
        let faulty_store = Arc::new(FaultyStore {
            mutant: self,
            store: store.clone(),
            consumer: consumers[0].clone(),
        });
        let faulty_consumers = consumers.iter().map(|consumer| {
            Arc::new(FaultyConsumer {
                mutant: self,
                consumer: consumer.clone(),
                store: store.clone(),
            }) as _
        });
        Parts {
            consumers: faulty_consumers.collect(),
            store: faulty_store,
            ..parts
        }
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
