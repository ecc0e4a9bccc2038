//! Certificates and keys from PEM files ([RFC 7468](https://www.rfc-editor.org/rfc/rfc7468)).

use std::{path::Path, sync::Arc};

use runtime::files;
use rustls::{
    RootCertStore,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::SigningKey,
};

use super::TlsError;

/// A file is no longer than this, in bytes: several times all public authorities.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A file that a setting names, as it was read.
pub(super) struct PemFile<'a> {
    setting: &'static str,
    path: &'a Path,
    pub(super) bytes: Vec<u8>,
}

impl<'a> PemFile<'a> {
    pub(super) fn read(setting: &'static str, path: &'a Path) -> Result<Self, TlsError> {
        let bytes = files::read(path, MAX_FILE_BYTES).map_err(|source| TlsError::File {
            setting,
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            setting,
            path,
            bytes,
        })
    }

    /// All its certificates; there is at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let certificates = CertificateDer::pem_slice_iter(&self.bytes)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.problem(format!("is not a PEM file: {error}")))?;
        if certificates.is_empty() {
            let problem = "has no certificate; it must have one, in PEM (BEGIN CERTIFICATE)";
            return Err(self.problem(problem));
        }
        Ok(certificates)
    }

    /// Its private key.
    pub(super) fn key(&self, provider: &CryptoProvider) -> Result<Arc<dyn SigningKey>, TlsError> {
        let key = PrivateKeyDer::from_pem_slice(&self.bytes).map_err(|error| match error {
            pem::Error::NoItemsFound => self.problem(
                "has no private key; it must have one, in PEM and not encrypted (BEGIN PRIVATE KEY)",
            ),
            error => self.problem(format!("is not a PEM file: {error}")),
        })?;
        provider.key_provider.load_private_key(key).map_err(|_| {
            self.problem(
                "has a key of a kind that is not supported; make one of RSA (2048 bits or more), \
                 ECDSA (P-256, P-384) or Ed25519",
            )
        })
    }

    /// Its certificates as authorities.
    pub(super) fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|error| {
                self.problem(format!("has a certificate that cannot be read: {error}"))
            })?;
        }
        Ok(roots)
    }

    fn problem(&self, problem: impl Into<String>) -> TlsError {
        TlsError::Content {
            setting: self.setting,
            path: self.path.to_owned(),
            problem: problem.into(),
        }
    }
}

/// The text of a file of authorities, which was found to be good; `setting` names it.
///
/// # Errors
/// [`TlsError`] if it cannot be read, or has no certificate, or one that is not valid.
pub fn authorities(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let file = PemFile::read(setting, path)?;
    file.roots()?;
    Ok(file.bytes)
}
