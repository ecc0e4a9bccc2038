//! What is kept for as long as something is in memory, such as a place or a share of a limit.

use std::{any::Any, fmt, sync::Arc};

/// Kept until the last clone is dropped. A part of the program that has something in memory keeps one beside it, and one that waits for it
/// or has gone away.
#[derive(Clone, Default)]
pub struct Hold(Option<Arc<dyn Any + Send + Sync>>);

impl Hold {
    /// Nothing is held.
    #[must_use]
    pub const fn nothing() -> Self {
        Self(None)
    }

    /// Holds this.
    pub fn of(held: impl Any + Send + Sync) -> Self {
        Self(Some(Arc::new(held)))
    }

    /// Holds both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self.0, other.0) {
            (None, held) | (held, None) => Self(held),
            (Some(one), Some(other)) => Self::of((one, other)),
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hold")
    }
}
