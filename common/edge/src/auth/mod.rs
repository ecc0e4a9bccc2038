//! Who may do what: API keys, their scopes, and the file they are in.
//!
//! - [`key`]: a secret, and the hash of it that is stored
//! - [`keyring`]: the keys of a file; [`mod@file`]: reading it, without ever repeating what is in it
//! - [`rate`]: how much a key may ask for
//! - [`command`]: `keys new`, which makes one
//! - [`gate`]: the keys in force, which follow the file
//! - [`hosts`]: by which names a server without keys may be called
//!
//! What a request needs is decided in [`access`](crate::access).

pub mod command;
pub mod file;
pub mod gate;
pub mod hosts;
pub mod key;
pub mod keyring;
pub mod rate;

use std::{fmt, sync::Arc};

use event::Topic;
use rate::Meter;
use serde::Serialize;

pub use gate::Gate;
pub use hosts::LocalHosts;
pub use key::{ApiKey, KeyHash};
pub use keyring::{Key, Keyring};

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

/// Who a request comes from.
#[derive(Debug, Clone)]
pub enum Caller {
    /// No keys are asked for.
    Anyone,
    /// The holder of this key.
    Holder(Arc<Key>),
}

impl Caller {
    /// Whether this scope is theirs.
    #[must_use]
    pub fn has(&self, scope: Scope) -> bool {
        match self {
            Self::Anyone => true,
            Self::Holder(key) => key.scopes.contains(&scope),
        }
    }

    /// The prefixes that topics must have for them; `None`: any topic will do.
    #[must_use]
    pub fn prefixes(&self) -> Option<&[Topic]> {
        match self {
            Self::Anyone => None,
            Self::Holder(key) => key.topics.as_deref(),
        }
    }

    /// What tells this caller's key from others; `None`: the caller has no key.
    #[must_use]
    pub fn key_hash(&self) -> Option<KeyHash> {
        match self {
            Self::Anyone => None,
            Self::Holder(key) => Some(key.hash()),
        }
    }

    /// What counts how much of this they ask for; `None`: there is no limit.
    pub(crate) fn meter(&self, of: Metered) -> Option<&Meter> {
        let Self::Holder(key) = self else { return None };
        match of {
            Metered::Requests => key.requests.as_deref(),
            Metered::Events => key.events.as_deref(),
        }
    }

    /// Whether they may publish to this topic, or read it.
    #[must_use]
    pub fn may_use(&self, topic: &str) -> bool {
        self.prefixes().is_none_or(|prefixes| {
            prefixes
                .iter()
                .any(|prefix| topic.starts_with(prefix.as_str()))
        })
    }
}
