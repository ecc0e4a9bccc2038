//! Names that no other test uses.

/// A queue name that no other test uses.
#[must_use]
pub fn queue_name() -> String {
    unique("queue")
}

pub(super) fn unique(what: &str) -> String {
    format!("test_{what}_{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_names_differ() {
        assert_ne!(queue_name(), queue_name());
    }
}
