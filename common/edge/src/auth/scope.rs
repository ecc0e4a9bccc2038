//! What a key allows.

use std::fmt;

use serde::Serialize;

/// What a key allows. No scope contains another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Send events: `/publish`, `/ingest`.
    Publish,
    /// Read what is stored, and the counters.
    Read,
    /// Decide about dead letters.
    Admin,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Admin => "admin",
        })
    }
}

/// What a key may have a rate of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metered {
    /// Whatever asks for a scope.
    Requests,
    /// What is published.
    Events,
}

impl fmt::Display for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests",
            Self::Events => "events",
        })
    }
}
