//! What the fuzzers hold against their inputs: the same as the mutations in `tests` do.

#[path = "../../tests/src/properties.rs"]
pub mod properties;
