//! The keys of one queue in Redis. The braces make a hash tag, so that a cluster keeps them all in
//! one slot ([cluster specification](https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags))
//! and a script may touch them together.

use std::fmt;

use event::ClaimId;

/// The name of a queue: 1 to 64 letters, digits, `-`, `_`, `.` or `:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueName(String);

const MAX_QUEUE_NAME_BYTES: usize = 64;

/// A text that is not the name of a queue.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("must be 1 to {MAX_QUEUE_NAME_BYTES} letters, digits, '-', '_', '.' or ':'")]
pub struct QueueNameError;

impl std::str::FromStr for QueueName {
    type Err = QueueNameError;

    fn from_str(text: &str) -> Result<Self, QueueNameError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
        if (1..=MAX_QUEUE_NAME_BYTES).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(QueueNameError)
        }
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// List: frames, newest left, oldest right.
    pub(super) queue: String,
    /// List: elements that have woken a waiting worker. Every worker takes them before those of `queue`.
    pub(super) handoff: String,
    /// Number: how many more events `queue` and `handoff` hold than elements. Frames hold several.
    pub(super) extra: String,
    /// Sorted set: claim id by the deadline of its lease, in milliseconds of the server's clock.
    pub(super) leases: String,
    /// Hash: how many events a claim holds, by claim id.
    pub(super) sizes: String,
    /// Set: ids of the claims that somebody other than their owner has taken over.
    pub(super) adopted: String,
    /// List: elements that are larger than any event, set aside by the script that claims.
    pub(super) oversized: String,
    /// The key of the rehearsal for `/ready`. It exists only while a script runs.
    pub(super) probe: String,
    /// The beginning of the key of a claim's list. The id of the claim follows.
    pub(super) claim_prefix: String,
}

impl Keys {
    pub(super) fn new(name: &QueueName) -> Self {
        Self {
            queue: format!("{{{name}}}:queue"),
            handoff: format!("{{{name}}}:handoff"),
            extra: format!("{{{name}}}:extra"),
            leases: format!("{{{name}}}:leases"),
            sizes: format!("{{{name}}}:sizes"),
            adopted: format!("{{{name}}}:adopted"),
            oversized: format!("{{{name}}}:oversized"),
            probe: format!("{{{name}}}:probe"),
            claim_prefix: format!("{{{name}}}:claim:"),
        }
    }

    pub(super) fn claim(&self, id: ClaimId) -> String {
        format!("{}{id}", self.claim_prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_hash_tag() {
        for bad in ["", "a}b", "a{b", "a b", "é", &"x".repeat(65)] {
            assert!(bad.parse::<QueueName>().is_err(), "{bad:?}");
        }
        let keys = Keys::new(&"events".parse().unwrap());
        assert_eq!(keys.queue, "{events}:queue");
    }
}
