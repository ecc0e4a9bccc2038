//! SHA-256, as text.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// The SHA-256 of these bytes, in hexadecimal.
#[must_use]
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string has no way to fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
