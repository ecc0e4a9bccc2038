//! How a transaction that writes begins.

/// Takes the write lock at once: a transaction that takes it later may find that it came too late.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";
