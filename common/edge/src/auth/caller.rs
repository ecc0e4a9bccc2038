//! Who a request comes from.

use std::sync::Arc;

use event::Topic;

use super::{Key, KeyHash, Metered, Scope, rate::Meter};

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
