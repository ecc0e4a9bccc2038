//! A key as its holder knows it, and as it is stored.
//!
//! Keys are 256 random bits, so a plain SHA-256 of one tells nobody what it is; slow hashes are for
//! passwords, which can be guessed.

use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use rand::{TryRng, rngs::SysRng};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const KEY_BYTES: usize = 32;
/// Every key begins so: people and secret scanners recognize it.
const KEY_PREFIX: &str = "ea_";
/// A prefix that is followed by this many hexadecimal digits is a key, or most of one.
const TELLING_DIGITS: usize = 16;
/// Every hash begins so: another one can be told apart, if ever there is one.
const HASH_PREFIX: &str = "sha256:";

/// A key in clear text: shown once, when it is made.
pub struct ApiKey(String);

impl ApiKey {
    /// A new one.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn generate() -> std::io::Result<Self> {
        let mut bytes = [0; KEY_BYTES];
        SysRng
            .try_fill_bytes(&mut bytes)
            .map_err(std::io::Error::other)?;
        Ok(Self(format!("{KEY_PREFIX}{}", hex::encode(bytes))))
    }

    /// The text that its holder sends.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.0)
    }
}

/// Whether there is a key in a text, or a good part of one.
pub(super) fn is_in(text: &str) -> bool {
    text.split(KEY_PREFIX).skip(1).any(|rest| {
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit);
        digits.count() >= TELLING_DIGITS
    })
}

/// What is stored of a key. Compared in constant time.
#[derive(Clone, Copy)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The hash of a text that somebody sent as a key.
    #[must_use]
    pub fn of(sent: &str) -> Self {
        Self(Sha256::digest(sent).into())
    }
}

impl PartialEq for KeyHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for KeyHash {}

impl Hash for KeyHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// A text that no [`KeyHash`] prints.
#[derive(Debug, thiserror::Error)]
#[error(
    "hash must be {HASH_PREFIX} and 64 hexadecimal digits, as the command `keys new` prints it"
)]
pub struct KeyHashError;

impl FromStr for KeyHash {
    type Err = KeyHashError;

    fn from_str(text: &str) -> Result<Self, KeyHashError> {
        let digits = text.strip_prefix(HASH_PREFIX).ok_or(KeyHashError)?;
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(KeyHashError);
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte =
                u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| KeyHashError)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HASH_PREFIX}{}", hex::encode(self.0))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_are_recognizable() {
        let (one, other) = (ApiKey::generate().unwrap(), ApiKey::generate().unwrap());
        assert_ne!(one.expose(), other.expose());
        assert_eq!(one.expose().len(), 3 + 64);
        assert!(one.expose().starts_with("ea_"));
        assert!(is_in(&format!("ea_ {}, ", one.expose())) && !is_in("ea_games/"));
    }

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let hash = ApiKey::generate().unwrap().hash();
        assert_eq!(hash.to_string().parse::<KeyHash>().unwrap(), hash);
        assert_ne!(KeyHash::of("a"), KeyHash::of("b"));
        // SHA-256 of "abc", from FIPS 180-2.
        assert_eq!(
            KeyHash::of("abc").to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(format!("{hash:?}"), "[hidden]");
    }

    #[test]
    fn other_texts_are_no_hashes() {
        let digits = "a".repeat(64);
        for bad in [
            String::new(),
            digits.clone(),
            format!("sha256:{}", &digits[1..]),
            format!("sha256:{digits}a"),
            format!("sha256:+{}", &digits[1..]),
            format!("sha256:é{}", &digits[2..]),
            format!("md5:{digits}"),
        ] {
            assert!(bad.parse::<KeyHash>().is_err(), "{bad}");
        }
    }
}
