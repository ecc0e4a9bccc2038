//! The keys of one shard of a queue in Redis. The braces make a hash tag, so that a cluster keeps them all in
//! one slot ([cluster specification](https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags))
//! and a script may touch them together.

use std::fmt;

use crc::{CRC_16_XMODEM, Crc};
use event::ClaimId;

/// The name of a queue: 1 to 64 letters, digits, `-`, `_`, `.` or `:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueName(String);

const MAX_QUEUE_NAME_BYTES: usize = 64;
/// The most shards of a queue.
pub const MAX_SHARDS: u16 = 64;

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

/// The slots of a cluster.
const SLOTS: u32 = 16_384;

/// What every key of a shard has between its braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag(String);

impl Tag {
    /// The tags of a queue of so many shards. The only shard has the name of the queue. Of several, shard k has `NAME:k.j`,
    /// where j is the smallest number that puts it into the k-th of as many equal stretches of a cluster's slots as there
    /// are shards. A cluster whose primaries have equal stretches so has as many shards on each.
    pub(super) fn all(name: &QueueName, shards: u16) -> Vec<Self> {
        if shards <= 1 {
            return vec![Self(name.0.clone())];
        }
        let count = u32::from(shards);
        let tag = |shard: u32| {
            let stretch = shard * SLOTS / count..(shard + 1) * SLOTS / count;
            let tags = (0_u32..).map(|j| Self(format!("{name}:{shard}.{j}")));
            let mut tags = tags.filter(|tag| stretch.contains(&tag.slot().into()));
            // CRC16 spreads the tags over all slots, so this ends after about as many of them as there are shards.
            tags.next().expect("numbers do not end")
        };
        (0..count).map(tag).collect()
    }

    /// The slot of a cluster that keys with this tag are in.
    pub(super) fn slot(&self) -> u16 {
        const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);
        CRC.checksum(self.0.as_bytes()) % 16_384
    }
}

impl fmt::Display for Tag {
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
    pub(super) fn new(tag: &Tag) -> Self {
        Self {
            queue: format!("{{{tag}}}:queue"),
            handoff: format!("{{{tag}}}:handoff"),
            extra: format!("{{{tag}}}:extra"),
            leases: format!("{{{tag}}}:leases"),
            sizes: format!("{{{tag}}}:sizes"),
            adopted: format!("{{{tag}}}:adopted"),
            oversized: format!("{{{tag}}}:oversized"),
            probe: format!("{{{tag}}}:probe"),
            claim_prefix: format!("{{{tag}}}:claim:"),
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
    }

    #[test]
    fn the_only_shard_has_the_name_of_the_queue() {
        let [tag] = &Tag::all(&"events".parse().unwrap(), 1)[..] else {
            panic!("one shard");
        };
        assert_eq!(Keys::new(tag).queue, "{events}:queue");
    }

    /// The slots are those that Redis names for these keys: `CLUSTER KEYSLOT`.
    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        for (tag, slot) in [("123456789", 12_739), ("foo", 12_182), ("events", 9102)] {
            assert_eq!(Tag(tag.to_owned()).slot(), slot, "{tag}");
        }
    }

    #[test]
    fn several_shards_are_spread_evenly_over_the_slots() {
        let name: QueueName = "events".parse().unwrap();
        for shards in 2..=MAX_SHARDS {
            let tags = Tag::all(&name, shards);
            assert_eq!(tags.len(), usize::from(shards));
            for (shard, tag) in (0_u32..).zip(&tags) {
                assert!(tag.to_string().starts_with(&format!("events:{shard}.")));
                let (slot, count) = (u32::from(tag.slot()), u32::from(shards));
                let stretch = shard * SLOTS / count..(shard + 1) * SLOTS / count;
                assert!(stretch.contains(&slot), "{tag}");
            }
        }
    }
}
