//! TLS, by rustls with the primitives of ring.
//!
//! - `identity`: what a server shows its clients and asks of them; follows its files
//! - `pem`: certificates and keys from files
//! - `pinned`: trusting one certificate, byte for byte
//! - [`trust`]: why a server was not trusted, in words

mod identity;
mod pem;
pub mod pinned;
pub mod trust;

use std::{io, path::PathBuf, sync::Arc};

use rustls::crypto::{CryptoProvider, ring};

pub use identity::{Files, Identity};
pub use pem::authorities;

/// Every user of TLS gets this one, so that none has to be installed for the process.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Certificates or a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{setting} {}: {source}; make the file, or unset {setting}", .path.display())]
    File {
        /// Which setting names it.
        setting: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is in a file is not what is asked for.
    #[error("{setting} {}: {problem}", .path.display())]
    Content {
        /// Which setting names it.
        setting: &'static str,
        /// Which.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Certificate and key are not of one pair.
    #[error(
        "TLS_KEY is not the key of the first certificate in TLS_CERT; give the two of one pair, the \
         server's own certificate before those that signed it"
    )]
    Mismatch,
    /// The library cannot do what it is asked.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}
