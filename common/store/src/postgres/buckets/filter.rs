//! A filter of identities: which a closed bucket cannot have.
//!
//! It is a binary fuse filter ([Graf and Lemire, 2022](https://arxiv.org/abs/2201.01174)) of 16 bits over a hash of 64 bits: about 18
//! bits an identity. It never denies an identity of its bucket, and takes one of 65,536 others for its own; then the bucket is
//! asked. So its hash need not be a secret: whoever finds identities that collide makes the program ask more often, and nothing
//! else.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;
use xorf::{BinaryFuse16, Descriptor, Filter as _};

/// How a filter begins that is kept in the database. Another version of its format or of the hash needs another one.
const MAGIC: &[u8; 8] = b"fuse16.1";
const CHECKSUM_BYTES: usize = 8;
const FINGERPRINT_BYTES: usize = 2;

/// Which identities a bucket may have.
#[derive(Debug)]
pub(super) struct Filter {
    /// `None`: it has none.
    fuse: Option<BinaryFuse16>,
}

/// What a filter is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Of {
    pub(super) bucket: i32,
    /// The highest id in it, so that a filter from elsewhere is noticed.
    pub(super) max_id: i64,
}

/// What is kept in the database is not a filter of this bucket, or not as it was written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the filter of a bucket is damaged; it is made anew")]
pub(super) struct Damaged;

/// The construction has failed so often as never happens by chance.
#[derive(Debug, thiserror::Error)]
#[error("no filter can be made of the identities of bucket {0}; they are looked up in its index")]
pub(super) struct NotMade(i32);

/// The same everywhere and for ever, because filters are kept.
pub(super) fn hash(topic: &[u8], event_id: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(topic);
    // A byte that no text has, so that it is certain where the topic ends.
    hasher.write(&[0xff]);
    hasher.write(event_id);
    hasher.finish()
}

impl Filter {
    /// Of all these hashes. It takes about 30 bytes of memory for each while it is made.
    pub(super) fn make(mut hashes: Vec<u64>, of: Of) -> Result<Self, NotMade> {
        // The construction needs them to differ.
        hashes.sort_unstable();
        hashes.dedup();
        if hashes.is_empty() {
            return Ok(Self { fuse: None });
        }
        let fuse = BinaryFuse16::try_from(&hashes).map_err(|_| NotMade(of.bucket))?;
        Ok(Self { fuse: Some(fuse) })
    }

    /// Whether an identity with this hash may be in the bucket.
    pub(super) fn may_have(&self, hash: u64) -> bool {
        self.fuse.as_ref().is_some_and(|fuse| fuse.contains(&hash))
    }

    /// How much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let fingerprints = self.fuse.as_ref().map_or(0, |fuse| fuse.fingerprints.len());
        size_of::<Self>() + fingerprints * FINGERPRINT_BYTES
    }

    /// As it is kept in the database.
    pub(super) fn encode(&self, of: Of) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes() + 64);
        bytes.extend(MAGIC);
        bytes.extend(of.bucket.to_le_bytes());
        bytes.extend(of.max_id.to_le_bytes());
        if let Some(BinaryFuse16 {
            descriptor,
            fingerprints,
        }) = &self.fuse
        {
            bytes.extend(descriptor.seed.to_le_bytes());
            bytes.extend(descriptor.segment_length.to_le_bytes());
            bytes.extend(descriptor.segment_length_mask.to_le_bytes());
            bytes.extend(descriptor.segment_count_length.to_le_bytes());
            bytes.extend(fingerprints.iter().flat_map(|print| print.to_le_bytes()));
        }
        bytes.extend(checksum(&bytes));
        bytes
    }

    /// Reads what [`Filter::encode`] has written of the same bucket.
    pub(super) fn decode(bytes: &[u8], of: Of) -> Result<Self, Damaged> {
        let (content, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Damaged)?;
        if checksum(content) != *sum {
            return Err(Damaged);
        }
        let mut rest = content;
        let is_its_own = take(&mut rest)? == *MAGIC
            && take(&mut rest)? == of.bucket.to_le_bytes()
            && take(&mut rest)? == of.max_id.to_le_bytes();
        if !is_its_own {
            return Err(Damaged);
        }
        if rest.is_empty() {
            return Ok(Self { fuse: None });
        }
        let descriptor = Descriptor {
            seed: u64::from_le_bytes(take(&mut rest)?),
            segment_length: u32::from_le_bytes(take(&mut rest)?),
            segment_length_mask: u32::from_le_bytes(take(&mut rest)?),
            segment_count_length: u32::from_le_bytes(take(&mut rest)?),
        };
        let (prints, odd) = rest.as_chunks::<FINGERPRINT_BYTES>();
        let fingerprints: Box<[u16]> = prints
            .iter()
            .map(|&print| u16::from_le_bytes(print))
            .collect();
        // A lookup takes one fingerprint of each of three segments in a row.
        let needed =
            u64::from(descriptor.segment_count_length) + 2 * u64::from(descriptor.segment_length);
        let fits = descriptor.segment_length.is_power_of_two()
            && descriptor.segment_length_mask == descriptor.segment_length - 1
            && fingerprints.len() as u64 == needed;
        if !fits || !odd.is_empty() {
            return Err(Damaged);
        }
        let fuse = Some(BinaryFuse16 {
            descriptor,
            fingerprints,
        });
        Ok(Self { fuse })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Damaged> {
    let (taken, left) = rest.split_first_chunk().ok_or(Damaged)?;
    *rest = left;
    Ok(*taken)
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = SipHasher13::new();
    hasher.write(content);
    hasher.finish().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF: Of = Of {
        bucket: 7,
        max_id: 1_000_000,
    };

    fn hashes(ids: std::ops::Range<u32>) -> Vec<u64> {
        ids.map(|id| hash(b"orders", id.to_string().as_bytes()))
            .collect()
    }

    #[test]
    fn a_filter_never_denies_an_identity_of_its_bucket_whatever_its_size() {
        for size in [0, 1, 2, 3, 10, 100, 1_000, 65_537, 300_000] {
            let own = hashes(0..size);
            let made = Filter::make(own.clone(), OF).unwrap();
            let kept = Filter::decode(&made.encode(OF), OF).unwrap();
            for filter in [&made, &kept] {
                assert!(own.iter().all(|&hash| filter.may_have(hash)), "{size}");
            }
        }
    }

    #[test]
    fn a_filter_takes_few_others_for_its_own_and_20_bits_an_identity() {
        let size = 1_000_000;
        let filter = Filter::make(hashes(0..size), OF).unwrap();
        let others = hashes(size..2 * size);
        let taken = others.iter().filter(|&&hash| filter.may_have(hash)).count();
        // 15 are expected.
        assert!(taken < 60, "{taken}");
        assert!(filter.bytes() * 8 <= size as usize * 20);
    }

    #[test]
    fn identities_with_the_same_hash_are_one() {
        let twice = [hashes(0..100), hashes(50..150)].concat();
        let filter = Filter::make(twice.clone(), OF).unwrap();
        assert!(twice.iter().all(|&hash| filter.may_have(hash)));
    }

    #[test]
    fn where_a_topic_ends_makes_a_difference() {
        assert_ne!(hash(b"ab", b"c"), hash(b"a", b"bc"));
        // Filters that are kept depend on it.
        assert_eq!(hash(b"orders", b"o-1"), 0x6cc3_dc53_dbe7_6b6a);
    }

    #[test]
    fn a_damaged_filter_and_one_of_another_bucket_are_noticed() {
        let good = Filter::make(hashes(0..1000), OF).unwrap().encode(OF);
        let decode = |bytes: &[u8], of| Filter::decode(bytes, of).map(|_| ());
        assert_eq!(decode(&good, OF), Ok(()));
        for at in [0, 8, 12, 20, 28, 40, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(decode(&bad, OF), Err(Damaged), "{at}");
        }
        for length in [0, 7, 20, 39, good.len() - 1] {
            assert_eq!(decode(&good[..length], OF), Err(Damaged), "{length}");
        }
        assert_eq!(decode(&good, Of { bucket: 8, ..OF }), Err(Damaged));
        assert_eq!(decode(&good, Of { max_id: 9, ..OF }), Err(Damaged));
        // What nobody wrote, with a checksum that is right.
        let mut forged = good[..good.len() - CHECKSUM_BYTES - 2].to_vec();
        forged.extend(checksum(&forged));
        assert_eq!(decode(&forged, OF), Err(Damaged));
    }
}
