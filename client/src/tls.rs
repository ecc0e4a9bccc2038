//! TLS: whom to trust, what to present, and what went wrong.

use std::{
    error::Error as StdError,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    AlertDescription, CertificateError as Invalid, ClientConfig, InvalidMessage, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// Whom to trust, and what to present. The files are in PEM; they are read once, when the client is made.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// The certificates of the authorities to trust instead of the public ones.
    pub ca: Option<PathBuf>,
    /// The certificate to present to a server that asks for one, and its private key, which is not encrypted.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A file with a certificate or a key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}", path = path.display())]
pub struct CertificateError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl CertificateError {
    fn new(path: &Path, reason: &impl ToString) -> Self {
        Self {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
}

impl TlsOptions {
    /// What a connection needs.
    pub(crate) fn config(&self) -> Result<ClientConfig, CertificateError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows the protocol versions that rustls has")
            .with_root_certificates(self.roots()?);
        let Some((cert, key)) = &self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| {
            CertificateError::new(key, &format!("it has no private key in PEM: {error}"))
        })?;
        builder
            .with_client_auth_cert(certificates(cert)?, private)
            .map_err(|error| {
                let reason = format!("it does not belong to {}: {error}", key.display());
                CertificateError::new(cert, &reason)
            })
    }

    fn roots(&self) -> Result<RootCertStore, CertificateError> {
        let Some(path) = &self.ca else {
            let public = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
            return Ok(public.collect());
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(path)? {
            roots
                .add(certificate)
                .map_err(|error| CertificateError::new(path, &error))?;
        }
        Ok(roots)
    }
}

/// The certificates in a PEM file; there is at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| {
            CertificateError::new(path, &format!("{error}; give a PEM file that can be read"))
        })?;
    if certificates.is_empty() {
        return Err(CertificateError::new(path, &"it has no certificate in PEM"));
    }
    Ok(certificates)
}

/// Why there is no trusted connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distrust {
    /// Which kind of reason it is.
    pub kind: DistrustKind,
    /// What TLS found, in its own words.
    pub finding: String,
}

/// The kinds of reasons why there is no trusted connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DistrustKind {
    /// This client does not know the authority that signed the certificate of the server.
    UnknownAuthority,
    /// The certificate of the server is for other names.
    OtherName,
    /// The certificate of the server cannot be trusted for another reason; it has expired, for example.
    InvalidServerCertificate,
    /// The server does not accept the certificate of this client, or asks for one.
    RefusedByServer,
    /// The server does not speak TLS.
    NotTls,
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = match self.kind {
            DistrustKind::UnknownAuthority => {
                "trust the authority that signed the certificate of the server"
            }
            DistrustKind::OtherName => "call the server by a name that is in its certificate",
            DistrustKind::InvalidServerCertificate => "the server needs another certificate",
            DistrustKind::RefusedByServer => {
                "the server does not know the certificate of this client"
            }
            DistrustKind::NotTls => "the server does not speak TLS; try an http:// address",
        };
        write!(f, "{}; {advice}", self.finding)
    }
}

impl Distrust {
    /// Finds out whether an error is about trust, whatever other errors are around it.
    pub(crate) fn within(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(tls) = error.downcast_ref::<rustls::Error>() {
                return Some(Self {
                    kind: DistrustKind::of(tls)?,
                    finding: tls.to_string(),
                });
            }
            next = match error.downcast_ref::<io::Error>() {
                // The source of an I/O error is the source of the error that it holds, so that one is asked itself.
                Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
                None => error.source(),
            };
        }
        None
    }
}

impl DistrustKind {
    fn of(error: &rustls::Error) -> Option<Self> {
        match error {
            rustls::Error::InvalidCertificate(Invalid::UnknownIssuer) => {
                Some(Self::UnknownAuthority)
            }
            rustls::Error::InvalidCertificate(
                Invalid::NotValidForName | Invalid::NotValidForNameContext { .. },
            ) => Some(Self::OtherName),
            rustls::Error::InvalidCertificate(_) => Some(Self::InvalidServerCertificate),
            rustls::Error::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied,
            ) => Some(Self::RefusedByServer),
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Some(Self::NotTls),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distrust_is_found_within_other_errors() {
        let tls = rustls::Error::InvalidCertificate(Invalid::UnknownIssuer);
        let error = io::Error::other(io::Error::other(tls));
        let distrust = Distrust::within(&error).unwrap();
        assert_eq!(distrust.kind, DistrustKind::UnknownAuthority);
        assert_eq!(Distrust::within(&io::Error::other("reset")), None);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let options = TlsOptions {
            ca: Some("no/such.pem".into()),
            identity: None,
        };
        let error = options.config().unwrap_err().to_string();
        assert!(error.starts_with("no/such.pem: "), "{error}");
    }
}
